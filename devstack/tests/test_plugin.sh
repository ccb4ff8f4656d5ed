#!/bin/bash
#
# Runs the plugin against the functions of a real devstack and a real source
# tree of Nova, and looks at what it leaves:
#
#   devstack/tests/test_plugin.sh DEVSTACK_CHECKOUT
#
# Only sudo and ceph are replaced: nothing outside a temporary directory is
# touched.

set -o errexit
set -o nounset

TOP_DIR=$(readlink -f "${1:?name a checkout of devstack}")
PLUGIN=$(readlink -f "$(dirname "$0")/..")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
FAILED=0

function check {
    local what=$1
    shift
    if "$@"; then
        echo "ok      $what"
    else
        echo "FAILED  $what: $*"
        FAILED=1
    fi
}

function is {
    [[ "$(iniget "$1" "$2" "$3")" == "$4" ]]
}

# What devstack has set when it runs plugins. Its functions are not made for
# nounset.
set +o nounset
export FILES=$TOP_DIR/files
DEST=$WORK DATA_DIR=$WORK/data STACK_USER=$(id -un)
ENABLED_SERVICES=g-api,n-api,n-cpu
TARGET_BRANCH=stable/2026.2 NOVA_BRANCH=stable/2026.2
source "$TOP_DIR/functions-common"
source "$TOP_DIR/functions"
NOVA_DIR=$WORK/nova NOVA_CONF=$WORK/nova.conf NOVA_CPU_CONF=$WORK/nova-cpu.conf
NOVA_RBD_COMMAND=$WORK/nova-image-download
GLANCE_API_CONF=$WORK/glance-api.conf
NOVA_RBD_CEPH_CONF=$WORK/ceph/ceph.conf
REMOTE_CEPH=False

function sudo {
    "$@"
}

function ceph {
    echo "$*" >"$WORK/ceph-called"
    while [[ $# -gt 0 && "$1" != "-o" ]]; do
        shift
    done
    echo "[key]" >"$2"
}

# Whether services count as enabled is lib/nova's business.
function is_service_enabled {
    [[ ",$ENABLED_SERVICES," == *",${1/nova/n-cpu},"* ]]
}

# refuses PHASE TEXT: the plugin ends devstack in the phase and says why
function refuses {
    local said status=0
    said=$(run stack "$1" 2>&1) || status=$?
    if [[ $status -eq 0 || $said != *"[ERROR]"*"$2"* ]]; then
        echo "$said"
        return 1
    fi
}

function accepts {
    (run stack "$1") >"$WORK/output" 2>&1 || ! cat "$WORK/output"
}

release=$(sed -n 's/^\[\([0-9.]*\)\]$/\1/p;T;q' \
    "$PLUGIN/../patches/upstream.ini")
python3 -m pip download --quiet --no-deps --dest "$WORK" "nova==$release"
mkdir "$NOVA_DIR" "$WORK/ceph"
python3 -m zipfile -e "$WORK/nova-$release-py3-none-any.whl" "$NOVA_DIR"
# A git tree, as in devstack.
function nova_git {
    git -C "$NOVA_DIR" -c user.name=test -c user.email=test@localhost \
        -c commit.gpgsign=false "$@"
}
nova_git init --quiet
nova_git add .
nova_git commit --quiet --message "$release"
nova_git tag "$release"
cp -r "$NOVA_DIR" "$WORK/before"

# Whether Nova is as it was, all but the index of git.
function is_as_before {
    diff -r --exclude .git "$WORK/before" "$NOVA_DIR" && \
        [[ -z "$(nova_git status --porcelain)" ]]
}

# As devstack-plugin-ceph leaves them.
iniset "$NOVA_CONF" libvirt images_type rbd
iniset "$NOVA_CONF" libvirt rbd_user cinder
iniset "$GLANCE_API_CONF" DEFAULT show_multiple_locations True

# What enable_plugin notes down, but for this very checkout and no clone.
DEVSTACK_PLUGINS=,devstack-plugin-ceph,neutron,nova-rbd
declare -A GITDIR=([nova-rbd]=$PLUGIN/.. [devstack-plugin-ceph]=$WORK/none)

function run {
    load_plugin_settings
    run_plugins "$@"
}

echo "== other plugins"
DEVSTACK_PLUGINS=,nova-rbd,devstack-plugin-ceph
check "the other way round ends devstack" refuses pre-install \
    "Swap two lines of local.conf, to this order: enable_plugin devstack-plugin-ceph"
DEVSTACK_PLUGINS=,other-nova-rbd,nova-rbd
check "a missing plugin ends devstack" refuses pre-install \
    "devstack-plugin-ceph is not enabled"
DEVSTACK_PLUGINS=,devstack-plugin-ceph,nova-rbd
check "the right order is accepted" accepts pre-install
DEVSTACK_PLUGINS=,devstack-plugin-ceph,neutron,nova-rbd,other
check "others do not matter" accepts pre-install
ENABLE_CEPH_GLANCE=False
check "Glance without Ceph ends devstack" refuses pre-install \
    "ENABLE_CEPH_GLANCE is False"
unset ENABLE_CEPH_GLANCE

echo "== releases, before Nova is cloned"
NOVA_DIR=$WORK/none
for branch in "$release" "${release%%.*}.9.9" stable/2026.2 \
        unmaintained/2024.1 2024.2-eol 31.3.0 refs/changes/45/12345/6 \
        49c9ec5e75; do
    NOVA_BRANCH=$branch
    check "$branch is accepted" accepts pre-install
done
for branch in master stable/2027.1 stable/2023.2 unmaintained/zed 28.3.1 \
        35.0.0 35.0.0.0rc1 zed-eol; do
    NOVA_BRANCH=$branch
    check "$branch ends devstack" refuses pre-install \
        "The patch set is not for NOVA_BRANCH=$branch. Use NOVA_BRANCH="
done
NOVA_BRANCH=master
check "the remedy names releases and branches" refuses pre-install \
    "NOVA_BRANCH=$release with the branch 2026.2"
NOVA_DIR=$WORK/nova
check "a checkout is taken for what it is" accepts pre-install
RECLONE=True
check "unless it is going to be renewed" refuses pre-install \
    "NOVA_BRANCH=master"
RECLONE=False TARGET_BRANCH=master
accepts pre-install
check "a devstack of other branches warns" \
    grep -q "WARNING.*of the branch master" "$WORK/output"
TARGET_BRANCH=stable/2026.1 NOVA_BRANCH=$release
accepts pre-install
check "and one of another release" \
    grep -q "WARNING.*stable/2026.1.*Nova, which is of $release" "$WORK/output"
TARGET_BRANCH=stable/2026.2
accepts pre-install
check "but not that of Nova's release" \
    test -z "$(grep WARNING "$WORK/output")"
TARGET_BRANCH=stable/2026.2 NOVA_BRANCH=stable/2026.2

echo "== a controller"
run stack pre-install
check "pre-install changes nothing" is_as_before
run stack install
check "install applies the patch set" \
    test -f "$NOVA_DIR/nova/image/direct_download.py"
run stack install
check "a second install is harmless" \
    grep -q direct_download "$NOVA_DIR/nova/image/glance.py"
run stack post-config
check "the key reads images and nothing else" grep -qF \
    "client.nova-images mon allow r osd profile rbd-read-only pool=images" \
    "$WORK/ceph-called"
check "the keyring is private" \
    test "$(stat -c %a "$WORK/ceph/ceph.client.nova-images.keyring")" = 600
check "locations are hidden" is "$GLANCE_API_CONF" DEFAULT \
    show_multiple_locations False
check "direct URLs are hidden" is "$GLANCE_API_CONF" DEFAULT \
    show_image_direct_url False
check "two stores" is "$GLANCE_API_CONF" DEFAULT enabled_backends \
    "cheap:file, robust:rbd"
check "RBD is the default" is "$GLANCE_API_CONF" glance_store \
    default_backend robust
check "disks are local" is "$NOVA_CONF" libvirt images_type default
check "volumes keep their key" is "$NOVA_CONF" libvirt rbd_user cinder
check "the switch" is "$NOVA_CONF" glance enable_rbd_download True
check "the scheme" is "$NOVA_CONF" glance allowed_direct_url_schemes rbd
check "the key for images" is "$NOVA_CONF" glance rbd_user nova-images
check "the pool" is "$NOVA_CONF" glance rbd_pool images
check "HTTP is allowed" is "$NOVA_CONF" glance rbd_download_fallback True

echo "== a subnode, with the gates off"
rm "$WORK/ceph-called"
ENABLED_SERVICES=n-cpu REMOTE_CEPH=True NOVA_RBD_DOWNLOAD=False
GLANCE_API_CONF=$WORK/no-glance.conf
run stack post-config
check "no key is made" test ! -e "$WORK/ceph-called"
check "Glance is left alone" test ! -e "$GLANCE_API_CONF"
check "the switch is off" is "$NOVA_CONF" glance enable_rbd_download False
check "no scheme" is "$NOVA_CONF" glance allowed_direct_url_schemes ""

echo "== what the files hold in the end"
ENABLED_SERVICES=g-api,n-api,n-cpu REMOTE_CEPH=False NOVA_RBD_DOWNLOAD=True
GLANCE_API_CONF=$WORK/glance-api.conf
run stack post-config
cp "$NOVA_CONF" "$NOVA_CPU_CONF"
check "a good configuration is accepted" accepts extra
for value in True yes on 1 maybe; do
    iniset "$GLANCE_API_CONF" DEFAULT show_multiple_locations $value
    check "shown locations end devstack ($value)" refuses extra \
        "has show_multiple_locations = $value"
done
for value in False off No 0 ""; do
    iniset "$GLANCE_API_CONF" DEFAULT show_multiple_locations "$value"
    check "hidden ones do not ($value)" accepts extra
done
iniset "$GLANCE_API_CONF" DEFAULT show_image_direct_url True
check "shown URLs end devstack" refuses extra "has show_image_direct_url = True"
iniset "$GLANCE_API_CONF" DEFAULT show_image_direct_url False
iniset "$NOVA_CPU_CONF" libvirt images_type rbd
check "disks in RBD end devstack" refuses extra \
    "$NOVA_CPU_CONF has [libvirt]images_type = rbd"
iniset "$NOVA_CPU_CONF" libvirt images_type qcow2
check "local disks do not" accepts extra
NOVA_RBD_IMAGES_TYPE=rbd
check "nor with a setting" refuses post-config "NOVA_RBD_IMAGES_TYPE"
NOVA_RBD_IMAGES_TYPE=default
keyring=$WORK/ceph/ceph.client.nova-images.keyring
chmod 0644 "$keyring"
check "a public keyring ends devstack" refuses extra "$keyring is not a file of"
rm "$keyring"
check "a missing keyring ends devstack" refuses extra "There is no $keyring"
REMOTE_CEPH=True
check "and early on a subnode" refuses post-config "There is no $keyring"
touch "$keyring"
check "an empty one as well" refuses post-config "There is no $keyring"
ENABLED_SERVICES=g-api
check "but not where there is no nova-compute" accepts extra
ENABLED_SERVICES=g-api,n-api,n-cpu

echo "== the command"
DEVSTACK_VENV=$WORK/venv GLOBAL_VENV=True
mkdir -p "$WORK/venv/bin"
printf '#!/bin/sh\necho "$@"\n' >"$WORK/venv/bin/python3"
chmod +x "$WORK/venv/bin/python3"
run stack install
check "it is run by the interpreter of Nova" grep -qx -- \
    "-m nova.cmd.image_download check a\ b" \
    <("$NOVA_RBD_COMMAND" check "a b")

echo "== clean"
run clean
check "Nova is as it was" is_as_before
check "the command is gone" test ! -e "$NOVA_RBD_COMMAND"
run clean
check "a second clean is harmless" is_as_before

echo "== checkouts that the patch set does not fit"
echo "# changed" >>"$NOVA_DIR/nova/storage/rbd_utils.py"
for phase in pre-install install; do
    check "a local change is told from another release ($phase)" \
        refuses $phase "$NOVA_DIR was changed locally"
done
nova_git checkout --quiet .
run stack install
echo "# changed" >>"$NOVA_DIR/nova/image/glance.py"
check "as is one in a file that is patched" refuses install \
    "$NOVA_DIR was changed locally"
run clean
nova_git checkout --quiet .
check "the remedies help" is_as_before
echo "# changed" >>"$NOVA_DIR/nova/storage/rbd_utils.py"
nova_git commit --quiet --all --message "Another release"
nova_git tag 99.0.0
for phase in pre-install install; do
    check "another release ends devstack ($phase)" refuses $phase \
        "$NOVA_DIR (99.0.0) is not a release of Nova that the patch set is for. Use NOVA_BRANCH="
done
check "and is left alone" test -z "$(nova_git status --porcelain)"

exit $FAILED
