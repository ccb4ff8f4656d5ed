# SPDX-License-Identifier: Apache-2.0

"""The flow of a copy from the connection to the file's name."""

from __future__ import annotations

import time

from . import pipeline
from . import watchdog
from .errors import ExportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rados

    from .arguments import Arguments

# A read may take this part of the stall timeout before smaller ones are made.
SLOWEST_PART = 4


def connect(args: Arguments,
            job: watchdog.Job) -> tuple[rados.Rados, str]:
    """Connect to the cluster, and check that it is the one that is meant.

    :returns: the connection, and the cluster's fsid
    :raises: ExportError
    """
    from . import connection
    job.enter('loading the libraries of Ceph', watchdog.DISK)
    connection.load_rados()
    wait_for_rbd = connection.load_rbd()
    client = connection.connect(args.id, args.conf, args.keyring,
                                args.connect_timeout, args.stall_timeout,
                                args.read_from_replica, job.enter)
    fsid = client.get_fsid()
    job.connected(fsid)
    job.enter('loading the libraries of Ceph', watchdog.DISK)
    wait_for_rbd()
    job.enter('opening the image', factor=watchdog.OPEN_FACTOR)
    if args.fsid and fsid.lower() != args.fsid.lower():
        raise ExportError(
            'wrong_cluster', 'this is the cluster %s, not %s'
            % (fsid, args.fsid), expected=args.fsid, actual=fsid)
    return client, fsid


def probe(args: Arguments, job: watchdog.Job) -> dict[str, object]:
    """Connect, and say to what."""
    fsid = connect(args, job)[1]
    return {'fsid': fsid, 'seconds': round(time.monotonic() - job.started, 3)}


def export(args: Arguments, job: watchdog.Job) -> dict[str, object]:
    """Copy the snapshot, and say what that took."""
    from . import connection
    from . import extents
    from . import output_file
    from . import snapshot as snapshot_

    # Before the cluster is troubled.
    output = output_file.OutputFile(args.dest)
    job.abandon = output.abandon
    job.enter('opening the directory', watchdog.DISK)
    output.open_directory()
    client, fsid = connect(args, job)
    snapshot = snapshot_.Snapshot(client, args.pool, args.image, args.snap,
                                  job.touch)
    job.facts['pool'] = args.pool
    size = snapshot.size
    if args.size is not None and args.size != size:
        raise ExportError(
            'wrong_size', 'the image has %d bytes and not %d'
            % (size, args.size), expected=args.size, actual=size)

    job.enter('asking what the image holds', factor=watchdog.OPEN_FACTOR)
    hints = snapshot.extents()
    connection.allow_queueing(client, args.stall_timeout)
    read_size = pipeline.READ_SIZE
    largest = max(read_size, min(snapshot.object_size,
                                 pipeline.LARGE_READ_SIZE))
    if hints is None:
        parts = [(0, size)] if size else []
        read_size = largest
    else:
        parts = extents.normalise(hints, size, snapshot.unit)
    rate_limit = None
    if args.max_rate:
        from . import rate_limit as rate_limit_
        rate_limit = rate_limit_.RateLimit(args.max_rate)
        read_size = pipeline.paced_read_size(read_size, args.max_rate)
        largest = read_size
    slowest = snapshot.slowest_limit(read_size)
    if slowest is not None:
        # librbd keeps the limit, all that is needed is to wait for it.
        read_size = largest = slowest.read_size
        job.delay = slowest.seconds * args.inflight
        job.note = '; its reads are limited by %s = %d' % (slowest.option,
                                                           slowest.value)
    hasher = None
    if args.algorithm:
        from . import digest
        hasher = digest.new(args.algorithm)
    job.enter('creating the file', watchdog.DISK)
    writer = output.create(size)

    pipe = pipeline.Pipeline(snapshot, writer, parts, hasher, args.inflight,
                             read_size, largest, rate_limit, job.touch,
                             args.stall_timeout / SLOWEST_PART)
    counters = pipe.counters
    # Holes count as done from the start, where nobody has to hash them.
    holes = 0 if hasher else size - extents.total(parts)
    job.done = lambda: holes + counters.done_bytes
    job.total = size
    job.waits_for_disk = pipe.waits_for_disk
    job.enter('copying')
    pipe.run()

    verified = ['fsid'] if args.fsid else []
    if args.size is not None:
        verified.append('size')
    found = None
    if hasher is not None:
        found = hasher.hexdigest()
        if args.expected is not None:
            if found != args.expected:
                job.enter('looking at the image again',
                          factor=watchdog.OPEN_FACTOR)
                # What is read of one that was removed is no damage.
                snapshot.check_still_there()
                raise ExportError(
                    'wrong_digest', 'the %s of the image is %s and not %s'
                    % (args.algorithm, found, args.expected),
                    expected=args.expected, actual=found)
            verified.append('digest')
    if 'digest' not in verified:
        job.enter('looking at the image again', factor=watchdog.OPEN_FACTOR)
        snapshot.check_still_there()
    job.enter('writing to the local disk', watchdog.DISK,
              patience=watchdog.LAST_WRITES)
    while writer.flush_some():
        job.touch()
    job.touch()
    allocated = writer.sync()
    job.touch()
    output.publish()
    return {
        'bytes': size,
        'data_bytes': counters.data_bytes,
        'hole_bytes': size - counters.data_bytes,
        'read_bytes': counters.read_bytes,
        'allocated_bytes': allocated,
        'seconds': round(time.monotonic() - job.started, 3),
        'digest': '%s:%s' % (args.algorithm, found) if found else None,
        'fsid': fsid, 'pool': args.pool, 'image': args.image,
        'snap': args.snap, 'verified': verified,
    }
