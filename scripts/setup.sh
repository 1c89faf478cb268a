#!/usr/bin/env bash
# Installs the real parts that the tests and the demo run: brokers, databases, Prometheus, Alertmanager.
# Only missing ones are installed; their services are neither started nor left enabled.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: scripts/setup.sh [--for demo|test|pictures|python]

  --for test      everything the test suite runs (default); a missing part fails when CI=true
  --for demo      only Prometheus and Alertmanager, which the demo can do without
  --for pictures  what draws the dashboards: Prometheus, node, npm, Chromium
  --for python    a python3 that can make virtual environments

Packages are installed with apt-get by root or through passwordless sudo. Elsewhere the
script names what is missing and goes on.
USAGE
}

say() { printf 'setup: %s\n' "$*"; }

# Debian package, then the programs it brings: one that is there counts wherever it came from.
parts_for() {
    echo 'prometheus prometheus promtool'
    if [[ $1 == pictures ]]; then
        printf '%s\n' 'nodejs node' 'npm npm' 'chromium chromium|chromium-browser|google-chrome'
        return
    fi
    echo 'prometheus-alertmanager prometheus-alertmanager|alertmanager amtool'
    [[ $1 == demo ]] && return
    cat <<'PARTS'
rabbitmq-server rabbitmq-server epmd
redis-server redis-server
redis-sentinel redis-sentinel
chromium chromium|chromium-browser|google-chrome
victoria-metrics victoria-metrics
postgresql pg_ctlcluster
openssl openssl
shellcheck shellcheck
iproute2 ss tc
PARTS
}

has_one_of() {
    local program
    for program in ${1//|/ }; do
        command -v "$program" >/dev/null && return 0
    done
    return 1
}

# Sets `missing`. No mapfile here or in main: the bash of macOS has none.
find_missing() {
    local package programs program
    missing=()
    if [[ $1 == python ]]; then
        python3 -c 'import ensurepip' 2>/dev/null || missing=(python3 python3-venv)
        return
    fi
    while read -r package programs; do
        for program in $programs; do
            has_one_of "$program" || { missing+=("$package"); break; }
        done
    done < <(parts_for "$1")
}

installed_packages() { dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n' | sed -n 's/^ii *//p' | sort; }

readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_ASIDE=$POLICY.before-celeriac

# invoke-rc.d and deb-systemd-invoke both ask this file; 101 means "do not start it".
forbid_service_starts() {
    if [[ -e $POLICY && ! -e $POLICY_ASIDE ]] && ! grep -q 'celeriac setup' "$POLICY"; then
        mv "$POLICY" "$POLICY_ASIDE"
    fi
    printf '#!/bin/sh\n# Written by celeriac setup for the time of one package install.\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
}

allow_service_starts() {
    rm -f "$POLICY"
    if [[ -e $POLICY_ASIDE ]]; then mv "$POLICY_ASIDE" "$POLICY"; fi
}

# Packages enable their services for the next boot even when they may not start them now.
disable_services_of() {
    local path name
    while read -r path; do
        name=${path##*/}
        case $path in
            # What `systemctl disable` does, also where there is no systemctl.
            */systemd/system/*.*) find /etc/systemd/system -type l -lname "*/$name" -delete ;;
            /etc/init.d/*) update-rc.d "$name" disable >/dev/null 2>&1 ;;
        esac || say "could not keep $name from starting at the next boot"
    done < <(dpkg -L "$@")
}

apt_install() {
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null 9>&-
}

# One package that this release does not have keeps apt-get from installing any.
install_one_by_one() {
    local package status=0
    for package in "$@"; do
        apt_install "$package" || status=$?
    done
    return "$status"
}

install_as_root() {
    local before added status=0
    export DEBIAN_FRONTEND=noninteractive
    exec 9>/run/lock/celeriac-setup.lock
    flock 9
    before=$(installed_packages)
    log=$(mktemp) # not local: the trap runs after this function has returned
    trap 'allow_service_starts; rm -f "$log"' EXIT
    forbid_service_starts
    apt-get update -qq >"$log" 2>&1 9>&- || say 'apt-get update failed; using the package lists that are here'
    apt_install "$@" || install_one_by_one "$@" || status=$?
    if ((status)); then cat "$log" >&2; fi
    mapfile -t added < <(comm -13 <(echo "$before") <(installed_packages))
    if ((${#added[@]})); then disable_services_of "${added[@]}"; fi
    return "$status"
}

install() {
    say "installing with apt-get: $* (this can take a minute; their services stay off)"
    if ((EUID == 0)); then
        bash "$0" --install "$@"
    else
        sudo -n bash "$0" --install "$@"
    fi || say 'apt-get could not install all of them; its messages are above'
}

may_install() {
    command -v apt-get >/dev/null || return 1
    ((EUID == 0)) || sudo -n true 2>/dev/null
}

main() {
    local purpose=test
    case ${1-} in
        --install) shift; install_as_root "$@"; return ;;
        --for) purpose=${2-} ;;
        '') ;;
        -h | --help) usage; return ;;
        *) usage >&2; return 2 ;;
    esac
    [[ $purpose =~ ^(demo|test|pictures|python)$ ]] || { usage >&2; return 2; }

    # The server's programs live outside PATH on Debian for anyone but root.
    PATH=$PATH:/usr/lib/rabbitmq/bin:/usr/sbin:/sbin
    find_missing "$purpose"
    if ((${#missing[@]})) && may_install; then
        install "${missing[@]}"
        hash -r
        find_missing "$purpose"
    fi
    if ((${#missing[@]} == 0)); then
        say "everything for the $purpose is here"
        return
    fi
    say "missing: ${missing[*]}"
    say "to install them: sudo apt-get install --no-install-recommends ${missing[*]}"
    if [[ $purpose == python || $purpose == pictures ]]; then
        return 1
    elif [[ $purpose == demo ]]; then
        say 'the demo runs without them, and shows less'
    elif [[ ${CI-} == true ]]; then
        say 'CI=true: the tests need every part'
        return 1
    else
        say 'tests that need them are skipped'
    fi
}

main "$@"
