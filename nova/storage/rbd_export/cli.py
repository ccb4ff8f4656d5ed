#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The command line."""

from __future__ import annotations

import os
import sys

# Noted as early as can be: see supervise.
PARENT = os.getppid()

import argparse  # noqa: E402
import time  # noqa: E402

from . import errors  # noqa: E402
from . import report as report_  # noqa: E402
from . import supervise  # noqa: E402
from .errors import ExportError  # noqa: E402

CONNECT_TIMEOUT = 10.0
STALL_TIMEOUT = 60.0
MAX_INFLIGHT = 256

_DESCRIPTION = """\
Copy the snapshot POOL/IMAGE@SNAP of a Ceph cluster to the local file DEST.

DEST appears in one go, whole and on the disk, or not at all. A regular file
of that name is replaced then. What is all zeros becomes a hole.
"""

_EPILOG = """\
A size may end in K, M, G or T, for powers of 1024.

exit codes:
   0  done
   1  unexpected error
   2  bad arguments
   3  no such pool, image or snapshot
   4  no permission: key or capabilities
   5  cannot connect to the cluster
   6  stalled: no byte moved for the stall timeout
   7  wrong size           8  wrong digest        9  no space left
  10  the Ceph bindings for Python (python3-rados, python3-rbd) are missing
  11  another cluster than --fsid says
  12  local file error    13  error while reading from the cluster
  14  the parent process died (not looked at under nohup)
 130  SIGINT             143  SIGTERM

examples:
  rbd_export --id nova images/2ab5...@snap /var/tmp/image.raw
  rbd_export --digest sha512 images/2ab5...@snap image.raw
  rbd_export --id nova --json --size 2147483648 --digest sha512:9b71d2... \\
      --max-rate 100M --pool=images --image=2ab5... --snap=snap -- image.raw
  rbd_export --id nova --probe
"""

_FACTORS = {'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise ExportError('bad_arguments', '%s; see --help' % message)


def _bytes(text: str) -> int:
    number, factor = text.strip(), 1
    for ending in ('iB', 'B', ''):
        if ending and number.endswith(ending):
            number = number[:-len(ending)]
            break
    if number[-1:].upper() in _FACTORS:
        factor = _FACTORS[number[-1].upper()]
        number = number[:-1]
    if not (number.isascii() and number.isdigit()):
        raise argparse.ArgumentTypeError('%r is no number of bytes' % text)
    return int(number) * factor


def _positive_bytes(text: str) -> int:
    value = _bytes(text)
    if value < 1:
        raise argparse.ArgumentTypeError('must be more than 0')
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(
            '%r is no number of seconds, more than 0 and at most a day' % text)
    return value


def _inflight(text: str) -> int:
    if not (text.isascii() and text.isdigit()
            and 1 <= int(text) <= MAX_INFLIGHT):
        raise argparse.ArgumentTypeError('%r is no number from 1 to %d'
                                         % (text, MAX_INFLIGHT))
    return int(text)


def _parser() -> _Parser:
    from . import pipeline
    parser = _Parser(
        prog='rbd_export', description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage='rbd_export [options] POOL/IMAGE@SNAP DEST\n'
              '       rbd_export [options] --pool=POOL --image=IMAGE '
              '--snap=SNAP -- DEST\n'
              '       rbd_export [options] --probe')
    add = parser.add_argument
    add('names', nargs='*', help=argparse.SUPPRESS)
    add('--pool', help='pool, if not given as POOL/IMAGE@SNAP')
    add('--image', help='image, likewise')
    add('--snap', help='snapshot, likewise')
    add('--id', metavar='USER', help='name of the Ceph client, without '
        '"client."; default: admin')
    add('--conf', metavar='FILE', help="Ceph's configuration file; default: "
        '$CEPH_CONF, /etc/ceph/ceph.conf and so on')
    add('--keyring', metavar='FILE', help='keyring; default: as configured')
    add('--fsid', metavar='UUID', help='refuse any cluster but this')
    add('--size', metavar='BYTES', type=_bytes, help='refuse an image of '
        'another size')
    add('--digest', metavar='ALGO[:HEX]', help='compute a digest of the image '
        'with this algorithm of hashlib; with HEX, refuse an image with '
        'another')
    add('--inflight', metavar='N', type=_inflight, default=pipeline.INFLIGHT,
        help='reads at a time; default: %(default)s')
    add('--max-rate', metavar='BYTES', type=_positive_bytes, help='read no '
        'more bytes than this a second; default: no limit')
    add('--connect-timeout', metavar='S', type=_seconds,
        default=CONNECT_TIMEOUT, help='seconds to reach the cluster in; '
        'default: %(default)g')
    add('--stall-timeout', metavar='S', type=_seconds, default=STALL_TIMEOUT,
        help='give up after so many seconds in which no byte moved; default: '
        '%(default)g')
    add('--read-from-replica', choices=('default', 'balance', 'localize'),
        default='default', help='which copies of the data to read: the first, '
        'any, or the nearest by crush_location; default: the first')
    add('--json', action='store_true', help='write progress and result to '
        'stdout, one JSON object a line')
    add('--probe', action='store_true', help='only connect, and show the '
        'fsid of the cluster')
    return parser


def _split(spec: str) -> tuple[str, str, str]:
    pool, slash, rest = spec.partition('/')
    image, at, snap = rest.rpartition('@')
    if not (slash and at and pool and image and snap):
        raise ExportError('bad_arguments', '%r is not of the form '
                          'POOL/IMAGE@SNAP; see --help' % spec)
    return pool, image, snap


def parse(arguments: list[str]) -> argparse.Namespace:
    """Turn the command line into values, all of them checked.

    :raises: ExportError
    """
    args = _parser().parse_args(arguments)
    named = (args.pool, args.image, args.snap)
    if args.probe:
        if args.names or any(name is not None for name in named):
            raise ExportError('bad_arguments', '--probe takes no image and no '
                              'file; see --help')
    elif all(name is None for name in named):
        if len(args.names) != 2:
            raise ExportError('bad_arguments', 'POOL/IMAGE@SNAP and DEST are '
                              'needed; see --help')
        args.pool, args.image, args.snap = _split(args.names[0])
        args.dest = args.names[1]
    else:
        if not all(named):
            raise ExportError('bad_arguments', '--pool, --image and --snap '
                              'are needed together; see --help')
        if len(args.names) != 1:
            raise ExportError('bad_arguments', 'one DEST is needed; see '
                              '--help')
        args.dest = args.names[0]
    if not args.probe and not args.dest:
        raise ExportError('bad_arguments', 'DEST is empty; see --help')
    for name in (args.pool, args.image, args.snap, args.id):
        try:
            (name or '').encode()
        except UnicodeEncodeError:
            raise ExportError('bad_arguments', '%r is not UTF-8' % name)
    args.algorithm = args.expected = None
    if args.digest is not None:
        from . import digest
        args.algorithm, args.expected = digest.parse(args.digest)
    if args.fsid is not None:
        args.fsid = args.fsid.strip().lower()
        if not args.fsid:
            raise ExportError('bad_arguments', '--fsid is empty; see --help')
    return args


def _connect(args: argparse.Namespace, job: supervise.Job):
    from . import cluster
    cluster.load_bindings()
    client = cluster.connect(args.id, args.conf, args.keyring,
                             args.connect_timeout, args.stall_timeout,
                             args.read_from_replica)
    fsid = client.get_fsid()
    job.connected()
    if args.fsid and fsid.lower() != args.fsid:
        raise ExportError(
            'wrong_cluster', 'this is the cluster %s, not %s; check the '
            'configuration file' % (fsid, args.fsid), expected=args.fsid,
            actual=fsid)
    return client, fsid


def probe(args: argparse.Namespace, job: supervise.Job) -> dict[str, object]:
    """Connect, and say to what."""
    fsid = _connect(args, job)[1]
    return {'fsid': fsid, 'seconds': round(time.monotonic() - job.started, 3)}


def export(args: argparse.Namespace, job: supervise.Job) -> dict[str, object]:
    """Copy the snapshot, and say what that took."""
    from . import cluster
    from . import extents
    from . import pipeline
    from . import target as target_

    # Before the cluster is troubled.
    target = target_.Target(args.dest)
    job.abandon = target.abandon
    client, fsid = _connect(args, job)
    snapshot = cluster.Snapshot(client, args.pool, args.image, args.snap)
    job.touch()
    size = snapshot.size
    if args.size is not None and args.size != size:
        raise ExportError(
            'wrong_size', 'the image has %d bytes and not %d; it is not the '
            'one that was meant, or damaged' % (size, args.size),
            expected=args.size, actual=size)

    job.phase = 'looking for data'
    hints = snapshot.extents()
    job.touch()
    read_size = pipeline.READ_SIZE
    if hints is None:
        parts = [(0, size)] if size else []
        read_size = max(read_size, min(snapshot.object_size,
                                       pipeline.READ_SIZE_UNMAPPED))
    else:
        parts = extents.normalise(hints, size, snapshot.unit)
        # Without hints there is no telling how much will be zeros.
        target.check_space(extents.total(parts))
    pace = None
    if args.max_rate:
        from . import pacing
        pace = pacing.Pace(args.max_rate)
        read_size = pipeline.paced_read_size(read_size, args.max_rate)
    hasher = None
    if args.algorithm:
        from . import digest
        hasher = digest.new(args.algorithm)
    target.create(size)

    pipe = pipeline.Pipeline(snapshot, target, parts, hasher, args.inflight,
                             read_size, pace, job.touch)
    counters = pipe.counters
    # Holes count as done from the start, where nobody has to hash them.
    holes = 0 if hasher else size - extents.total(parts)
    job.done = lambda: holes + counters.done_bytes
    job.total = size
    job.phase = 'copying'
    pipe.run()

    verified = ['fsid'] if args.fsid else []
    if args.size is not None:
        verified.append('size')
    found = None
    if hasher is not None:
        found = hasher.hexdigest()
        if args.expected is not None:
            if found != args.expected:
                raise ExportError(
                    'wrong_digest', 'the %s of the image is %s and not %s; it '
                    'is damaged, or not the one that was meant'
                    % (args.algorithm, found, args.expected),
                    expected=args.expected, actual=found)
            verified.append('digest')
    snapshot.check_still_there()
    job.phase = 'writing to the local disk'
    job.touch()
    while target.flush_some():
        job.touch()
    job.touch()
    allocated = target.sync()
    job.touch()
    target.publish()
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


def run(arguments: list[str]) -> int:
    """Do what the command line says, and return the exit code."""
    # Before the arguments are known to be right, errors go where they ask.
    wanted = arguments[:arguments.index('--')] if '--' in arguments else (
        arguments)
    report: report_.JsonReport | report_.HumanReport
    report = (report_.JsonReport() if '--json' in wanted
              else report_.HumanReport())
    try:
        args = parse(arguments)
    except ExportError as exc:
        try:
            report.error(exc)
        except report_.Broken:
            pass
        return exc.exit
    job = supervise.Job(args.connect_timeout, args.stall_timeout)
    work = probe if args.probe else export
    return supervise.run(job, lambda: work(args, job), report, PARENT)


def main() -> None:
    """Run, and end the process."""
    try:
        code = run(sys.argv[1:])
    except SystemExit as exc:
        # --help
        code = exc.code if isinstance(exc.code, int) else errors.OK
    supervise.leave(code)
