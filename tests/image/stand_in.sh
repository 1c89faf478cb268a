#!/usr/bin/env bash
# Writes a root file system that stands in for python:3.13-slim: Debian 13 with its own Python 3.13.
# `python` and `pip` are in /usr/local/bin there too, in a venv, which Debian lets pip write to.
set -euo pipefail

archive=${1:?usage: stand_in.sh ARCHIVE.tar}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

mkdir -p "$(dirname "$archive")"
work=$(mktemp -d "$archive.XXXXXX")
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=python3-venv,ca-certificates trixie "$work/root" "$mirror"
chroot "$work/root" python3 -m venv /usr/local
rm -rf "$work/root/var/cache/apt/archives"/*.deb "$work/root/var/lib/apt/lists"/*
tar -C "$work/root" -cf "$work/root.tar" .
mv "$work/root.tar" "$archive"
