# SPDX-License-Identifier: Apache-2.0

"""Copy an RBD snapshot to a local file.

A program of its own that needs nothing but the standard library and the Ceph
bindings, rados and rbd. It is run by path or as a module::

    python3 -I .../nova/storage/rbd_export images/UUID@snap /tmp/image.raw
    python3 -m nova.storage.rbd_export --help

=============  =============================================================
module         topic
=============  =============================================================
cli            the command line
supervise      the main thread: progress, stall, death of the parent, signals
cluster        the connection, the image, what of it exists
extents        which byte ranges to read, in which pieces
pipeline       reading, writing and hashing at the same time
pacing         the limit on the rate
zeros          finding zeros in data
target         the file: invisible until it is whole
digest         hash algorithms
libc           memory and writeback, where the C library is glibc
report         what is told to the caller
errors         what can go wrong, as exit codes
=============  =============================================================
"""
