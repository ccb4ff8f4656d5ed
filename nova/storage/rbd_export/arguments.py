# SPDX-License-Identifier: Apache-2.0

"""The command line: its help, its parser, its values."""

from __future__ import annotations

from collections.abc import Callable

from . import errors
from . import pipeline
from .errors import ExportError

CONNECT_TIMEOUT = 10.0
STALL_TIMEOUT = 60.0
MAX_INFLIGHT = 256
MAX_SECONDS = 86400
POLICIES = ('default', 'balance', 'localize')

# What the exit statuses mean, by the codes of the table of causes.
_EXITS = {
    'unexpected': 'unexpected error',
    'bad_arguments': 'bad arguments',
    'not_found': 'no such pool, image or snapshot',
    'permission': "no permission: the capabilities of the client's key",
    'connect': 'cannot connect to the cluster',
    'stalled': 'stalled',
    'wrong_size': 'wrong size',
    'wrong_digest': 'wrong digest',
    'no_space': 'no space left',
    'bindings': 'the Ceph bindings for Python are missing (python3-rados,\n'
                '       python3-rbd)',
    'wrong_cluster': 'another cluster than --fsid says',
    'local_file': 'local file error',
    'read': 'error while reading from the cluster',
    'parent_died': 'the parent process died, or nobody reads the output. '
                   'Under nohup\n       the parent does not matter.',
    'no_key': 'no key for the client: no keyring, or the client is not in it',
    'keyring_not_readable': 'the keyring may not be read',
    'bad_keyring': 'the keyring holds a key that cannot be decoded',
    'key_rejected': 'the cluster has another key for the client, or none',
    'no_conf': 'no ceph.conf',
    'conf_not_readable': 'the ceph.conf may not be read',
    'bad_conf': 'the ceph.conf cannot be understood',
    'no_monitors': 'the ceph.conf does not name a monitor',
    'name_resolution': 'the names of the monitors cannot be resolved',
    'blocklisted': 'the cluster has fenced this client',
    'disk_stalled': 'the local disk does not answer',
    'not_writable': 'the directory of DEST may not be written to',
    'snapshot_removed': 'the snapshot was removed while it was read',
    'limits': 'a limit of this process: open files, memory, threads',
}

HELP = """\
usage: rbd_export [options] POOL/IMAGE@SNAP DEST
       rbd_export [options] --pool=POOL --image=IMAGE --snap=SNAP -- DEST
       rbd_export [options] --probe
       rbd_export [options] --survey [--pools POOLS]
                  [--sample BYTES --pool=POOL --image=IMAGE --snap=SNAP]

Copy a snapshot of an RBD image in a Ceph cluster to the local file DEST.

DEST appears in one go, whole and on the disk, or not at all. A regular file
of that name is replaced then. What is all zeros becomes a hole.

source:
  POOL/IMAGE@SNAP       the snapshot; or, for names with / and @ in them:
  --pool POOL, --image IMAGE, --snap SNAP

cluster:
  --id USER             name of the Ceph client, without "client."; default:
                        admin
  --conf FILE           Ceph's configuration file; default: $CEPH_CONF,
                        /etc/ceph/ceph.conf and so on
  --keyring FILE        keyring with the client's key; default: as configured
  --fsid UUID           refuse any cluster but this
  --connect-timeout S   seconds to reach the cluster in; default: %(connect)g
  --read-from-replica default|balance|localize
                        which copies of the data to read: the first ones, any,
                        or the nearest by crush_location; default: default
  --probe               only connect, and show the cluster's fsid
  --survey              only connect, and find out what the client may do in
                        which pools; details with --json
  --pools POOLS         with commas between them: look at these first
  --sample BYTES        also read so much of a snapshot, and time that

checks:
  --size BYTES          refuse an image of another size
  --digest ALGO[:HEX]   compute a digest with this algorithm of Python's
                        hashlib, and with HEX refuse an image with another

pace:
  --inflight N          reads at a time; default: %(inflight)d
  --max-rate BYTES      read no more than this a second; default: no limit
  --stall-timeout S     give up after so many seconds in which no byte has
                        moved; default: %(stall)g

output:
  --json                progress and result as JSON objects, one a line, on
                        stdout
  -h, --help            show this

A number of bytes may end in K, M, G or T, for powers of 1024.

exit codes:
    0  done
%(exits)s
  130, 143  ended by SIGINT, SIGTERM

examples:
  rbd_export --id nova images/2ab5c1@snap /var/tmp/image.raw
  rbd_export --digest sha512 images/2ab5c1@snap image.raw
  rbd_export --id nova --json --size 2G --digest sha512:9b71d2... \\
      --max-rate 100M --pool=images --image=2ab5c1 --snap=snap -- image.raw
  rbd_export --id nova --probe
""" % {'connect': CONNECT_TIMEOUT, 'stall': STALL_TIMEOUT,
       'inflight': pipeline.INFLIGHT,
       'exits': '\n'.join('   %2d  %s' % (errors.EXIT_CODES[code], text)
                          for code, text in _EXITS.items())}

_FACTORS = {'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}


class Arguments:
    """The values of the command line."""

    id: str | None = None
    conf: str | None = None
    keyring: str | None = None
    pool = image = snap = dest = ''
    fsid: str | None = None
    size: int | None = None
    algorithm: str | None = None
    expected: str | None = None
    inflight = pipeline.INFLIGHT
    max_rate: int | None = None
    connect_timeout = CONNECT_TIMEOUT
    stall_timeout = STALL_TIMEOUT
    read_from_replica = 'default'
    json = False
    probe = False
    survey = False
    pools = ''
    sample = 0
    help = False


def _text(text: str) -> str:
    if not text:
        raise ValueError('must not be empty')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError('is not UTF-8')
    return text


def _bytes(text: str) -> int:
    number, factor = text, 1
    for ending in ('iB', 'B'):
        if number.endswith(ending):
            number = number[:-len(ending)]
            break
    if number[-1:].upper() in _FACTORS:
        factor = _FACTORS[number[-1].upper()]
        number = number[:-1]
    if not (number.isascii() and number.isdigit()):
        raise ValueError('is no number of bytes')
    return int(number) * factor


def _rate(text: str) -> int:
    value = _bytes(text)
    if value < 1:
        raise ValueError('must be more than 0')
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_SECONDS:
        raise ValueError('is no number of seconds, more than 0 and at most %d'
                         % MAX_SECONDS)
    return value


def _inflight(text: str) -> int:
    if not (text.isascii() and text.isdigit()
            and 1 <= int(text) <= MAX_INFLIGHT):
        raise ValueError('is no number from 1 to %d' % MAX_INFLIGHT)
    return int(text)


def _policy(text: str) -> str:
    if text not in POLICIES:
        raise ValueError('is none of %s' % ', '.join(POLICIES))
    return text


# Written by hand: argparse takes longer to load than the cluster to answer.
_VALUES: dict[str, Callable[[str], object]] = {
    'id': _text, 'conf': _text, 'keyring': _text, 'pool': _text,
    'image': _text, 'snap': _text, 'fsid': _text, 'size': _bytes,
    'digest': _text, 'inflight': _inflight, 'max-rate': _rate,
    'connect-timeout': _seconds, 'stall-timeout': _seconds,
    'read-from-replica': _policy, 'pools': _text, 'sample': _bytes,
}
_FLAGS = ('json', 'probe', 'survey', 'help')


def _bad(message: str) -> ExportError:
    return ExportError('bad_arguments', '%s; see --help' % message)


def _split(spec: str) -> tuple[str, str, str]:
    pool, slash, rest = spec.partition('/')
    image, at, snap = rest.rpartition('@')
    if not (slash and at and pool and image and snap):
        raise _bad('%r is not of the form POOL/IMAGE@SNAP' % spec)
    return pool, image, snap


def parse(words: list[str]) -> Arguments:
    """Turn the command line into values, all of them checked.

    :raises: ExportError
    """
    args = Arguments()
    names: list[str] = []
    digest = None
    rest = iter(words)
    for word in rest:
        if word == '--':
            names += rest
            break
        if word == '-h':
            word = '--help'
        if not word.startswith('-') or word == '-':
            names.append(word)
            continue
        option, equals, text = word[2:].partition('=')
        if not word.startswith('--') or not (option in _VALUES or
                                             option in _FLAGS):
            raise _bad('there is no option %s' % word.partition('=')[0])
        if option in _FLAGS:
            if equals:
                raise _bad('--%s takes no value' % option)
            setattr(args, option, True)
            continue
        if not equals:
            try:
                text = next(rest)
            except StopIteration:
                raise _bad('--%s needs a value' % option)
        try:
            value = _VALUES[option](text)
        except ValueError as exc:
            raise _bad('--%s: %r %s' % (option, text, exc))
        if option == 'digest':
            digest = text
        else:
            setattr(args, option.replace('-', '_'), value)
    if args.help:
        return args
    _take_names(args, names)
    if digest is not None:
        from . import digest as digest_
        args.algorithm, args.expected = digest_.parse(digest)
    return args


def _take_names(args: Arguments, names: list[str]) -> None:
    """Find out what is to be copied, and where to."""
    named = (args.pool, args.image, args.snap)
    if args.probe:
        if names or any(named):
            raise _bad('--probe takes no image and no file')
        return
    if args.survey:
        if names or any(named) != all(named):
            raise _bad('--survey takes no file, and --pool, --image and '
                       '--snap together')
        return
    if not any(named):
        if len(names) != 2:
            raise _bad('POOL/IMAGE@SNAP and DEST are needed')
        args.pool, args.image, args.snap = _split(names.pop(0))
        for name in (args.pool, args.image, args.snap):
            try:
                _text(name)
            except ValueError as exc:
                raise _bad('%r %s' % (name, exc))
    elif not all(named):
        raise _bad('--pool, --image and --snap are needed together')
    if len(names) != 1 or not names[0]:
        raise _bad('one DEST is needed')
    args.dest = names[0]
