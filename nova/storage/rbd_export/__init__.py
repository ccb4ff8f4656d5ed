# SPDX-License-Identifier: Apache-2.0

"""Copy an RBD snapshot to a local file.

A program of its own that needs nothing but the standard library and the Ceph
bindings, rados and rbd. It is run by path or as a module::

    python3 -I .../nova/storage/rbd_export images/UUID@snap /tmp/image.raw
    python3 -m nova.storage.rbd_export --help

The copy, in eight lines::

    open the directory of DEST                                output_file
    connect to the cluster, compare its fsid                  connection
    open the snapshot, compare its size, ask what it holds    snapshot
    make a file without a name, all of it one hole            output_file
    in threads: read a piece, find its zeros, write the rest  pipeline
    in one more thread: hash pieces and holes in their order  digest
    compare the digest, or look whether the snapshot is there snapshot
    wait for the disk, then give the file its name            disk_writer

Meanwhile the main thread does nothing but watch: see watchdog. What is not
guaranteed: that a copy without a digest is the image. RBD has no checksum of
its own for an image, and the size is all that can be compared then.

=============  =============================================================
module         topic
=============  =============================================================
cli            the program: runs what the command line asks for
arguments      the command line: its help, its parser, its values
export         the flow of a copy
access_probe   what a client may do in a cluster, for "check"
connection     the connection to the cluster
snapshot       the snapshot: what of it exists, and its bytes
extents        which byte ranges to read, in which pieces
pipeline       reading, writing and hashing at the same time
rate_limit     the limit on the rate of reads
zeros          finding zeros in data
output_file    the file: invisible until it is whole
disk_writer    writing to it, and bringing its data to the disk
digest         hash algorithms
libc           memory and writeback, where the C library is glibc
watchdog       the main thread: progress, stall, death of the parent, signals
report         what the caller is given to read
errors         the table of causes: all that can go wrong
=============  =============================================================

The modules say TYPE_CHECKING = False for themselves where others import it
from typing: nothing else here needs that module, and importing it takes 3 to
4 ms of the start, which every boot waits for. Type checkers know the name.
"""
