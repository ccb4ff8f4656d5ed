#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes what a nova-compute container of kolla-ansible finds, as far as that
# goes without its image, and looks at it with the eyes of its user:
#
#   tools/kolla/test_container.sh
#
# kolla-ansible's own templates and variables are rendered by Ansible, and
# kolla's own program puts the configuration into place. The container is a
# copy-on-write view of this machine with the volumes that kolla-ansible asks
# for. Needs ansible-playbook, pip, a network, and to be root.

set -o errexit
set -o nounset

KOLLA=kolla==23.0.0
KOLLA_ANSIBLE=kolla-ansible==22.2.0

HERE=$(readlink -f "$(dirname "$0")")
WORK=$(mktemp -d)
ROOT=$WORK/root
FAILED=0

function finish {
    umount --recursive "$WORK" 2>/dev/null || :
    rm -rf "$WORK"
}
trap finish EXIT

function check {
    local what=$1
    shift
    if "$@" >"$WORK.output" 2>&1; then
        echo "ok      $what"
    else
        echo "FAILED  $what: $*"
        cat "$WORK.output"
        FAILED=1
    fi
    rm -f "$WORK.output"
}

function fails {
    ! "$@"
}

# Whatever is mounted is seen by this script only.
if [[ -z ${UNSHARED:-} ]]; then
    rm -r "$WORK"
    UNSHARED=y exec unshare --mount "$0" "$@"
fi
mount -t tmpfs tmpfs "$WORK"

python3 -m pip install --quiet --no-deps --target "$WORK/python" \
    "$KOLLA" "$KOLLA_ANSIBLE"
ANSIBLE=$WORK/python/share/kolla-ansible/ansible
SET_CONFIGS=$WORK/python/kolla/docker/base/set_configs.py
USER_ID=$(PYTHONPATH=$WORK/python python3 -c \
    'from kolla.common import users; print(users.USERS["nova-user"]["uid"])')

# render NAME EXTRA_VARS...: config.json and the list of volumes
function render {
    local name=$1
    shift
    printf '    - %s\n' "$ANSIBLE"/group_vars/all/*.yml \
        "$ANSIBLE/roles/nova-cell/defaults/main.yml" "$HERE/globals.yml" \
        >"$WORK/vars_files"
    cat - "$WORK/vars_files" >"$WORK/render.yml" <<EOF
- hosts: localhost
  gather_facts: false
  vars_files:
EOF
    cat >>"$WORK/render.yml" <<EOF
  tasks:
    - template:
        src: $ANSIBLE/roles/nova-cell/templates/nova-compute.json.j2
        dest: $WORK/$name.json
    - copy:
        content: "{{ nova_compute_default_volumes + nova_compute_extra_volumes }}"
        dest: $WORK/$name.volumes
EOF
    ansible-playbook --inventory localhost, --connection local \
        --extra-vars "ansible_python_interpreter=$(command -v python3)" \
        --extra-vars "kolla_internal_vip_address=127.0.0.1" \
        "${@/#/--extra-vars=}" "$WORK/render.yml" >"$WORK/ansible.log" 2>&1 ||
        { cat "$WORK/ansible.log"; exit 1; }
    python3 -c 'import json, sys; print(*json.load(sys.stdin), sep="\n")' \
        <"$WORK/$name.volumes" >"$WORK/$name.lines"
    mv "$WORK/$name.lines" "$WORK/$name.volumes"
}

echo "== what kolla-ansible makes"
render local
render ceph nova_backend_ceph=true
check "the volume is asked for" \
    grep -qx "/etc/kolla/nova-images:/etc/ceph:ro" "$WORK/local.volumes"
check "next to those of kolla-ansible" \
    grep -q ":/var/lib/nova/" "$WORK/local.volumes"
check "no other one is in its place" \
    test "$(grep -c ":/etc/ceph" "$WORK/local.volumes")" = 1
check "nothing is copied into it with local disks" \
    fails grep -q /etc/ceph "$WORK/local.json"
# Why it is for local disks only: kolla_set_configs could not write there.
check "but with disks in Ceph" grep -q /etc/ceph/ceph.conf "$WORK/ceph.json"

echo "== the container"
# What an operator does on the host, see the guide.
HOST=$WORK/host/etc/kolla
mkdir -p "$HOST/nova-compute"
printf '[global]\nmon_host = 127.0.0.1\n' >"$WORK/ceph.conf"
printf '[client.nova-images]\nkey = QQ==\n' >"$WORK/keyring"
install -d -m 0755 "$HOST/nova-images"
install -m 0644 "$WORK/ceph.conf" "$HOST/nova-images/ceph.conf"
install -m 0400 -o "$USER_ID" -g "$USER_ID" "$WORK/keyring" \
    "$HOST/nova-images/ceph.client.nova-images.keyring"
cp "$WORK/local.json" "$HOST/nova-compute/config.json"
# kolla-ansible merges this into its own.
cp "$HERE/nova-compute.conf" "$HOST/nova-compute/nova.conf"
echo "7c2c8e5f-9d7f-4d3b-b1a5-0d3f0f2a9f51" >"$HOST/nova-compute/compute_id"
touch "$HOST/nova-compute/hostnqn" "$HOST/nova-compute/auth.conf"
mkdir "$WORK/upper" "$WORK/overlay" "$ROOT"
mount -t overlay overlay -o \
    "lowerdir=/,upperdir=$WORK/upper,workdir=$WORK/overlay" "$ROOT"
mkdir -p "$ROOT/etc/ceph" "$ROOT/etc/nova" "$ROOT/etc/nvme" \
    "$ROOT/var/lib/nova" "$ROOT/var/lib/kolla/config_files"
for user in nova fluentd; do
    sed -i "/^$user:/d" "$ROOT/etc/passwd"
done
echo "nova:x:$USER_ID:$USER_ID::/var/lib/nova:/bin/false" >>"$ROOT/etc/passwd"
echo "fluentd:x:42474:42474::/:/bin/false" >>"$ROOT/etc/passwd"
for group in nova kolla; do
    sed -i "/^$group:/d" "$ROOT/etc/group"
done
printf 'nova:x:%s:\nkolla:x:42400:\n' "$USER_ID" >>"$ROOT/etc/group"
# The volumes of the host's /etc/kolla, in that order.
while IFS=: read -r source target mode; do
    if [[ $source == /etc/kolla/* ]]; then
        mount --bind "$WORK/host$source" "$ROOT$target"
        mount -o remount,bind,"$mode" "$ROOT$target"
    fi
done <"$WORK/local.volumes"
mkdir -p "$ROOT/opt/kolla"
cp "$SET_CONFIGS" "$ROOT/opt/kolla/"
# Its own modules, and that of YAML, from wherever they are.
python3 - "$ROOT/opt/kolla" <<'EOF'
import pathlib
import shutil
import sys

import yaml

shutil.copytree(pathlib.Path(yaml.__file__).parent, sys.argv[1] + '/yaml')
EOF
mount --rbind /proc "$ROOT/proc"
check "kolla_set_configs comes to an end" chroot "$ROOT" env \
    KOLLA_CONFIG_STRATEGY=COPY_ALWAYS PYTHONPATH=/opt/kolla \
    /usr/bin/python3 /opt/kolla/set_configs.py

# as_nova COMMAND...: as the user of the image
function as_nova {
    chroot "$ROOT" setpriv --reuid "$USER_ID" --regid "$USER_ID" \
        --clear-groups "$@"
}

check "the command is nova-compute's" \
    grep -qx nova-compute "$ROOT/run_command"
check "its user reads the options" \
    as_nova grep -q "rbd_ceph_conf = /etc/ceph/ceph.conf" /etc/nova/nova.conf
check "and the file of the cluster" as_nova cat /etc/ceph/ceph.conf
check "and the key" as_nova cat /etc/ceph/ceph.client.nova-images.keyring
check "nobody else reads the key" fails chroot "$ROOT" setpriv \
    --reuid 42400 --regid 42400 --clear-groups \
    cat /etc/ceph/ceph.client.nova-images.keyring
check "nor can it be changed there" fails as_nova \
    sh -c 'echo x >/etc/ceph/ceph.conf'

exit $FAILED
