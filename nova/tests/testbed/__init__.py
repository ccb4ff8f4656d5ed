# SPDX-License-Identifier: Apache-2.0

"""Real servers and file systems for tests, as fixtures.

Ceph, Keystone, Glance, and the rest of an OpenStack on the loopback
interface. Imports nothing of Nova, so that programs which only need servers
can use it too.
"""
