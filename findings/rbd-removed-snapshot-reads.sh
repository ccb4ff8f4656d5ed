#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A snapshot that is removed while it is open goes on being read without any
# error, and gives zeros for some objects and data for others.
#
# Version: Ceph 16.2.15 (Debian 16.2.15+ds-0+deb12u2).
# Behaviour: objects that were written or discarded after the snapshot read as
# zeros as a whole, also those of which only one block was written; objects
# that were left alone read as they are. No read fails, not even later.
# Seen: see "expect" below, a letter for each object: A as the snapshot had
# it, 0 for zeros.

. "$(dirname "$0")/ceph.inc"
packages ceph-common ceph-mon ceph-osd python3-rbd
cluster
expect 'before: AAAAAA
after:  000AAA' "$(inside python3 -c '
import rados
import rbd
MB = 1 << 20
def look(image):
    return "".join(
        {b"A" * MB: "A", bytes(MB): "0"}.get(image.read(at * MB, MB), "?")
        for at in range(6))
with rados.Rados(conffile="/etc/ceph/ceph.conf") as client, \
        client.open_ioctx("images") as pool:
    rbd.RBD().create(pool, "one", 6 * MB, order=20)
    with rbd.Image(pool, "one") as image:
        image.write(b"A" * 6 * MB, 0)
        image.create_snap("snap")
        image.write(b"B" * MB, 0)
        image.discard(MB, MB)
        image.write(b"C" * 4096, 2 * MB)
        with rbd.Image(pool, "one", snapshot="snap",
                       read_only=True) as snapshot:
            print("before:", look(snapshot))
            image.remove_snap("snap")
            print("after: ", look(snapshot))
')"
