#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# librados passes over "[ client.nova ]" without a word.
#
# Version: Ceph 16.2.15 (Debian 16.2.15+ds-0+deb12u2).
# Behaviour: with blanks inside the brackets the file is read without an error
# or a warning, and what the section says counts for nobody, neither for
# client.nova nor for another client. Without the blanks the same line counts.
# Seen: see "expect" below.

. "$(dirname "$0")/ceph.inc"
packages ceph-common python3-rados
look() {
    printf '[global]\nmon_host = 127.0.0.1\n%s\nkeyring = /here\n' "$1" \
        >"$ROOT/tmp/ceph.conf"
    inside python3 -c 'import rados
client = rados.Rados(rados_id="nova", conffile="/tmp/ceph.conf")
print(client.conf_get("keyring").split(",")[0])' 2>&1
}
expect '[client.nova]: /here
[ client.nova ]: /etc/ceph/ceph.client.nova.keyring' \
"$(for header in '[client.nova]' '[ client.nova ]'; do
       echo "$header: $(look "$header")"
   done)"
