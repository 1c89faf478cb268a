#!/usr/bin/env bash
# Fetches what Debian's newest suite has, into a folder: nothing on this machine is changed.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: scripts/newest.sh FOLDER

Puts the newest Prometheus, promtool, Alertmanager, amtool and VictoriaMetrics of Debian unstable
into FOLDER/usr/bin, to be found first there by PATH. Needs apt and Debian's archive keyring.
USAGE
}

say() { printf 'newest: %s\n' "$*"; }

readonly PACKAGES=(prometheus promtool prometheus-alertmanager victoria-metrics)
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

main() {
    [[ $# == 1 && $1 != -* ]] || { usage >&2; return 2; }
    [[ -e $KEYRING ]] || { say "missing: $KEYRING (apt-get install debian-archive-keyring)"; return 1; }
    mkdir -p "$1"/{lists/partial,cache/archives/partial}
    cd "$1"
    echo "deb [signed-by=$KEYRING] http://deb.debian.org/debian unstable main" >sources.list
    local apt=(
        apt-get -qq -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=-
        -o Dir::State::Lists="$PWD/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$PWD/cache"
        -o APT::Sandbox::User= -o Debug::NoLocking=1
    )
    say "fetching ${PACKAGES[*]} (a minute)"
    "${apt[@]}" update
    rm -rf -- *.deb usr
    "${apt[@]}" download "${PACKAGES[@]}"
    local package
    for package in *.deb; do
        say "${package%_*}"
        dpkg-deb -x "$package" .
    done
}

main "$@"
