#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client cannot lift the QoS limit of a pool for itself: what it sets with
# conf_set loses to what "rbd config pool set" says.
#
# Version: Ceph 16.2.15 (Debian 16.2.15+ds-0+deb12u2).
# Behaviour: librbd applies the configuration that is stored in the pool (and
# in the image) over that of the client, also over values that the program
# itself set before it connected. A client that sets 0, which stands for no
# limit, is throttled all the same, and Image.config_list() names the pool as
# the source of the value.
# Seen: see "expect" below.

. "$(dirname "$0")/ceph.inc"
packages ceph-common ceph-mon ceph-osd python3-rbd
cluster
inside rbd create --size 8M images/one
inside rbd config pool set images rbd_qos_read_bps_limit 65536
expect 'set by the client: 0
used by the image: 65536, from the pool: True' "$(inside python3 -c '
import rados
import rbd
with rados.Rados(conffile="/etc/ceph/ceph.conf") as client:
    client.conf_set("rbd_qos_read_bps_limit", "0")
    print("set by the client:", client.conf_get("rbd_qos_read_bps_limit"))
    with client.open_ioctx("images") as pool, \
            rbd.Image(pool, "one", read_only=True) as image:
        used = next(option for option in image.config_list()
                    if option["name"] == "rbd_qos_read_bps_limit")
        print("used by the image: %s, from the pool: %s" % (
            used["value"], used["source"] == rbd.RBD_CONFIG_SOURCE_POOL))
')"
