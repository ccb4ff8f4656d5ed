# SPDX-License-Identifier: Apache-2.0

# Makes everything that tools/demo and tools/test need; to be sourced by them.
#
#   bootstrap [PACKAGE...]
#                      packages of the distribution, with those in addition;
#                      .venv-nova with our Nova and .venv-services with
#                      Keystone, Glance and Placement
#   bootstrap_tests    test-requirements.txt into .venv-nova
#   bootstrap_shell    the openstack command into .venv-nova
#   bootstrap_upstream .venv-upstream, with upstream's Nova as it is
#
# What is up to date is left alone. Whatever goes wrong ends the script with
# one line that says what and what to do.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
PROGRAM=tools/$(basename "$0")
# The bindings of Ceph are built for the distribution's Python.
PYTHON=/usr/bin/python3
PACKAGES=(
    python3 python3-venv
    ceph-mon ceph-osd ceph-common python3-rados python3-rbd
    qemu-utils
)
# What only the tests need.
TEST_PACKAGES=(git patch iproute2 iptables btrfs-progs fuse2fs ceph-mgr)
# What it takes to boot servers.
BOOT_PACKAGES=(
    rabbitmq-server mariadb-server-core mariadb-client-core
    libvirt-daemon qemu-system-x86 qemu-block-extra python3-libvirt rsync
)
LOGS=$CHECKOUT/build/logs
SETUP_LOG=$LOGS/setup.log
VENV=$CHECKOUT/.venv-nova
UPSTREAM_VENV=$CHECKOUT/.venv-upstream
export NOVA_SERVICES_VENV=$CHECKOUT/.venv-services

die() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
    exit 1
}

# step TEXT COMMAND...: run it with its output in the log; say how long it
# took.
step() {
    local text=$1 start=$SECONDS
    shift
    echo "$text ..."
    if ! "$@" >>"$SETUP_LOG" 2>&1 </dev/null; then
        echo "$text: failed"
        tail -n 5 "$SETUP_LOG" | cut -c 1-300 | sed 's/^/    /' >&2
        return 1
    fi
    echo "$text: $((SECONDS - start)) s"
}

clean_environment() {
    unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV PIP_TARGET \
        PIP_PREFIX PIP_USER CEPH_CONF CEPH_ARGS CEPH_KEYRING CDPATH \
        PYTHONDONTWRITEBYTECODE
    export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    export HOME=${HOME:-/root} LC_ALL=C.UTF-8 PYTHONNOUSERSITE=1
    export DEBIAN_FRONTEND=noninteractive PIP_NO_INPUT=1
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    # A third faster; Python compiles what it imports. pip takes the value for
    # that of "compile": a 1 would have it compile.
    export PIP_NO_COMPILE=no
    # Whatever proxy leads outside, it does not lead to our own servers.
    export no_proxy=127.0.0.1,localhost${no_proxy:+,$no_proxy}
    export NO_PROXY=$no_proxy
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
}

# What is started, we start ourselves: no service of a new package.
apt_install() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends "$@"
)

install_packages() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    step "Lists of packages (apt-get update)" \
        apt-get -q update || : # Old lists may do.
    step 'What an interrupted installation left' dpkg --configure -a || :
    step "Packages: ${missing[*]}" \
        apt_install "${missing[@]}" ||
        die "apt-get could not install ${missing[*]}: is there a network," \
            "and a mirror in /etc/apt/sources.list? See $SETUP_LOG"
}

# What an environment is made from; another text means it has to be made
# anew. It holds its own path, since its programs do. The number is to be
# raised when the commands that make it change.
stamp_of() {
    local venv=$1
    shift
    {
        echo "$venv"
        "$PYTHON" -VV
        echo 1
        cat "$@"
    } | sha256sum
}

# make_venv DIRECTORY STAMP COMMAND...: the command fills it. The stamp is
# empty until the end, so that an interrupted one counts for nothing.
make_venv() {
    local venv=$1 stamp=$2
    shift 2
    rm -rf "$venv" && mkdir "$venv" && : >"$venv/.stamp" &&
        "$PYTHON" -m venv "$venv" && "$@" &&
        "$venv/bin/python" "$CHECKOUT/tools/lib" environment.ceph_bindings &&
        printf '%s\n' "$stamp" >"$venv/.stamp"
}

up_to_date() {
    [ ! -e "$1" ] || [ -e "$1/.stamp" ] ||
        die "$1 was not made by this program: move it away"
    [ -x "$1/bin/python" ] && [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]
}

fill_nova() {
    "$VENV/bin/pip" install -c "$CHECKOUT/constraints.txt" \
        -e "$CHECKOUT" fixtures
}

fill_services() {
    "$NOVA_SERVICES_VENV/bin/pip" install --no-deps -r \
        "$CHECKOUT/tools/services-requirements.txt"
}

# fill_more NAME STAMP: what is in NAME-requirements.txt.
fill_more() {
    "$VENV/bin/pip" install -c "$CHECKOUT/constraints.txt" \
        -r "$CHECKOUT/$1-requirements.txt" &&
        printf '%s\n' "$2" >"$VENV/.stamp-${1##*/}"
}

# One at a time: both commands may be run at once, and twice.
lock() {
    exec {LOCK}>"$CHECKOUT/build/.bootstrap.lock"
    if ! flock -n "$LOCK"; then
        echo 'Waiting for another run to finish its set-up.'
        flock "$LOCK"
    fi
}

unlock() {
    exec {LOCK}>&-
}

# Both at once: pip keeps one core busy. Each in a process group of its own, so
# that an interruption reaches all of it.
make_environments() {
    local nova services jobs=() job failed=
    nova=$(stamp_of "$VENV" "$CHECKOUT"/{pyproject.toml,constraints.txt} \
        "$CHECKOUT"/{patches/upstream.ini,tools/lib/patchset/build.py})
    services=$(stamp_of "$NOVA_SERVICES_VENV" \
        "$CHECKOUT/tools/services-requirements.txt")
    set -m
    if ! up_to_date "$NOVA_SERVICES_VENV" "$services"; then
        step 'Keystone, Glance, Placement, into .venv-services' \
            make_venv "$NOVA_SERVICES_VENV" "$services" fill_services &
        jobs+=($!)
    fi
    if up_to_date "$VENV" "$nova"; then
        step 'Our Nova, brought up to date' \
            "$VENV/bin/python" "$CHECKOUT/tools/devtree.py" &
    else
        step 'Our Nova and what it needs, into .venv-nova' \
            make_venv "$VENV" "$nova" fill_nova &
    fi
    jobs+=($!)
    set +m
    trap 'kill -TERM -- "${jobs[@]/#/-}" 2>/dev/null; echo "$PROGRAM: interrupted" >&2; exit 130' INT TERM HUP
    for job in "${jobs[@]}"; do
        wait "$job" || failed=y
    done
    trap - INT TERM HUP
    [ -z "$failed" ] || die "the set-up failed: is there a network? See" \
        "$SETUP_LOG"
}

bootstrap() {
    [ "$(id -u)" = 0 ] ||
        die 'this installs packages and starts Ceph: run it as root'
    [ -f /etc/debian_version ] && command -v apt-get >/dev/null ||
        die 'this installs packages with apt-get: run it on Debian 12'
    PACKAGES+=("$@")
    mkdir -p "$LOGS" 2>/dev/null || die "cannot write to $LOGS"
    clean_environment
    lock
    printf '\n=== %s %s\n' "$(date -u +%FT%TZ)" "$PROGRAM" >>"$SETUP_LOG"
    install_packages
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "Nova needs Python 3.11 or newer, but $PYTHON is" \
            "$("$PYTHON" -V 2>&1): run it on Debian 12"

    make_environments
    unlock
}

# bootstrap_more NAME TEXT: what is in NAME-requirements.txt, unless it is there.
bootstrap_more() {
    local stamp
    lock
    stamp=$(stamp_of "$VENV" "$VENV/.stamp" "$CHECKOUT/$1-requirements.txt")
    [ "$(cat "$VENV/.stamp-${1##*/}" 2>/dev/null)" = "$stamp" ] ||
        step "$2, into .venv-nova" fill_more "$1" "$stamp" ||
        die "pip could not install $1-requirements.txt: is there a network?" \
            "See $SETUP_LOG"
    unlock
}

bootstrap_tests() {
    bootstrap_more test 'What the tests need'
}

bootstrap_shell() {
    bootstrap_more tools/shell 'The openstack command'
}

fill_upstream() {
    # Our own is made of the same wheel. Its hash is checked here again.
    local wheel
    wheel=$("$VENV/bin/python" "$CHECKOUT/tools/lib" patchset.upstream_wheel) &&
        "$UPSTREAM_VENV/bin/pip" install -c "$CHECKOUT/constraints.txt" \
            "$wheel"
}

bootstrap_upstream() {
    local stamp
    lock
    stamp=$(stamp_of "$UPSTREAM_VENV" \
        "$CHECKOUT"/{constraints.txt,patches/upstream.ini})
    up_to_date "$UPSTREAM_VENV" "$stamp" ||
        step "Upstream's Nova and what it needs, into .venv-upstream" \
            make_venv "$UPSTREAM_VENV" "$stamp" fill_upstream ||
        die "pip could not install upstream's Nova: is there a network? See" \
            "$SETUP_LOG"
    unlock
}
