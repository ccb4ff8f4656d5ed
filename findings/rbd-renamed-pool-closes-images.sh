#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# To rename a pool takes images that are open in it away from clients whose
# key is limited to the pool by its name.
#
# Version: Ceph 16.2.15 (Debian 16.2.15+ds-0+deb12u2).
# Behaviour: an image stays open by the pool's number, but each request is
# judged by the pool's present name: reads that succeeded a moment ago fail
# with EPERM, in the middle of a copy, and go on to.
# Seen: see "expect" below.

. "$(dirname "$0")/ceph.inc"
packages ceph-common ceph-mon ceph-osd python3-rbd
cluster
inside rbd create --size 8M images/one
inside rbd bench --io-type write --io-total 8M images/one >/dev/null 2>&1
inside ceph auth get-or-create client.reader mon 'profile rbd' \
    osd 'profile rbd-read-only pool=images' -o /c/reader 2>/dev/null
expect 'read
renamed
PermissionError' "$(inside python3 -c '
import json
import time
import rados
import rbd
client = rados.Rados(conffile="/etc/ceph/ceph.conf", rados_id="reader",
                     conf={"keyring": "/c/reader"})
admin = rados.Rados(conffile="/etc/ceph/ceph.conf")
client.connect()
admin.connect()
pool = client.open_ioctx("images")
image = rbd.Image(pool, "one", read_only=True)
image.read(0, 4096)
print("read")
admin.mon_command(json.dumps({"prefix": "osd pool rename",
                              "srcpool": "images", "destpool": "other"}), b"")
print("renamed")
try:
    # The OSD hears of it with its next map.
    for _ in range(300):
        image.read(0, 4096)
        time.sleep(0.1)
    print("still read")
except rbd.PermissionError as exc:
    print(type(exc).__name__)
image.close()
pool.close()
')"
