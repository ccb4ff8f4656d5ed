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
source "$TOP_DIR/functions-common"
source "$TOP_DIR/functions"
NOVA_DIR=$WORK/nova NOVA_CONF=$WORK/nova.conf
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

release=$(sed -n 's/^release = //p' "$PLUGIN/../patches/upstream.ini")
python3 -m pip download --quiet --no-deps --dest "$WORK" "nova==$release"
mkdir "$NOVA_DIR" "$WORK/ceph"
python3 -m zipfile -e "$WORK/nova-$release-py3-none-any.whl" "$NOVA_DIR"
cp -r "$NOVA_DIR" "$WORK/before"

# As devstack-plugin-ceph leaves them.
iniset "$NOVA_CONF" libvirt images_type rbd
iniset "$NOVA_CONF" libvirt rbd_user cinder
iniset "$GLANCE_API_CONF" DEFAULT show_multiple_locations True

# What enable_plugin notes down, but for this very checkout and no clone.
DEVSTACK_PLUGINS=nova-rbd
declare -A GITDIR=([nova-rbd]=$PLUGIN/..)

function run {
    load_plugin_settings
    run_plugins "$@"
}

echo "== a controller"
run stack pre-install
check "pre-install changes nothing" diff -r "$WORK/before" "$NOVA_DIR"
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
rm "$WORK/ceph/ceph.client.nova-images.keyring"
check "a missing keyring ends devstack" \
    grep -q "There is no .*keyring" <(run stack post-config 2>&1)

echo "== clean"
run clean
check "Nova is as it was" diff -r "$WORK/before" "$NOVA_DIR"
run clean
check "a second clean is harmless" diff -r "$WORK/before" "$NOVA_DIR"
echo "upstream has changed" >>"$NOVA_DIR/nova/image/glance.py"
sed -i 's/_get_verifier/_verifier/' "$NOVA_DIR/nova/image/glance.py"
check "another release ends devstack" \
    grep -q "Set NOVA_BRANCH" <(run stack install 2>&1)

exit $FAILED
