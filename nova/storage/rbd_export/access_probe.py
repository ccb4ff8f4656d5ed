# SPDX-License-Identifier: Apache-2.0

"""What a client can do in a cluster, found out without changing anything.

For the operator who sets up a node, by way of ``nova-image-download check``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import errno
import platform
import sys
import threading
import time
import uuid

from . import connection
from . import export
from . import keyring as keyring_
from .errors import describe
from .errors import ExportError
from .errors import READING_CONF

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rados

    from .arguments import Arguments
    from .watchdog import Job

# Seconds after which pools that nobody named are left out.
POOLS_TIME = 5.0

# A sample read ends after so many seconds, however little it has read.
SAMPLE_TIME = 5.0

# Reads of a sample that are in flight at a time, and the bytes of each.
SAMPLE_READS = 8
SAMPLE_READ_SIZE = 4 << 20


def survey(args: Arguments, job: Job) -> dict[str, object]:
    """Connect, and find out what the client may do there."""
    job.enter(READING_CONF, 'disk')
    facts = local_facts(args.id, args.conf, args.keyring)
    # Also if the connection never comes about.
    job.facts = facts
    try:
        client, fsid = export.connect(args, job)
        facts['fsid'] = fsid
        facts['release'] = release(client)
        job.touch()
        facts['pools'], facts['all_pools'] = pools(
            client, filter(None, args.pools.split(',')), job.touch)
    except ExportError as exc:
        exc.facts.update(facts)
        raise
    if args.image and args.sample:
        try:
            facts['sample'] = sample(client, args.pool, args.image, args.snap,
                                     args.sample, job.touch)
        except ExportError as exc:
            # One image says nothing about what else was found.
            facts['sample'] = {'code': exc.code, 'message': str(exc)}
    facts['seconds'] = round(time.monotonic() - job.started, 3)
    return facts


def local_facts(user: str | None, conf: str | None,
                keyring: str | None) -> dict[str, object]:
    """Say what will be used to connect, without doing that.

    :returns: python, its version, the client's name, mon_host and keyrings;
        of a keyring never more than whether it has an entry for the client
    :raises: ExportError if the bindings are missing
    """
    facts: dict[str, object] = {
        'python': sys.executable,
        'python_version': platform.python_version(),
    }
    try:
        connection.load_rados()
        connection.load_rbd()()
    except ExportError as exc:
        exc.facts.update(facts)
        raise
    import rados
    import rbd
    name = 'client.%s' % (user or 'admin')
    facts['client'] = name
    facts['librbd'] = '.'.join(map(str, rbd.RBD().version()))
    try:
        settings = connection.settings_of(1, 1, keyring, 'default')
        client = rados.Rados(rados_id=user, conf_defaults=settings,
                             conffile=conf or '', conf=settings)
        facts['mon_host'] = client.conf_get('mon_host') or ''
        # Either goes before all keyrings.
        facts['key_in_conf'] = bool(client.conf_get('key'))
        facts['keyfile'] = client.conf_get('keyfile') or ''
        paths = client.conf_get('keyring') or ''
    except rados.Error:
        # Connecting says it in a better way.
        return facts
    facts['keyrings'] = [{'path': path, 'state': keyring_.state(path, name)}
                         for path in paths.split(',') if path.strip()]
    return facts


def _attempt(action: Callable[[], object]) -> str:
    """Say how the cluster takes a request.

    :returns: 'yes' if the client may do it, 'no', or what went wrong
    """
    import rados
    try:
        action()
    except rados.ObjectNotFound:
        # Permissions are looked at first.
        return 'yes'
    except rados.Error as exc:
        number = abs(getattr(exc, 'errno', None) or 0)
        if number in (errno.EPERM, errno.EACCES):
            return 'no'
        if number == errno.ETIMEDOUT:
            return 'timeout'
        if number == errno.ESHUTDOWN:
            return 'blocklisted'
        return describe(exc)
    return 'yes'


def _rights(client: rados.Rados, pool: str) -> dict[str, str]:
    """Say what a client may do in a pool.

    Whether it may write is found out by removing an object that does not
    exist: an OSD refuses that to a client without the permission before it
    looks for the object.
    """
    import rados
    try:
        ioctx = client.open_ioctx(pool)
    except rados.ObjectNotFound:
        return {'pool': pool, 'read': 'missing', 'write': 'missing'}
    except rados.Error as exc:
        problem = describe(exc)
        return {'pool': pool, 'read': problem, 'write': problem}
    try:
        # Every pool that has or had RBD images has this object.
        read = _attempt(lambda: ioctx.read('rbd_directory', 1))
        write = read if read == 'timeout' else _attempt(
            lambda: ioctx.remove_object('no-such-object-%s' % uuid.uuid4()))
    finally:
        ioctx.close()
    return {'pool': pool, 'read': read, 'write': write}


def pools(client: rados.Rados, wanted: Iterable[str],
          touch: Callable[[], None]) -> tuple[list[dict[str, str]], bool]:
    """Say what a client may do in the pools of a cluster.

    :param wanted: pools to look at first, and in any case
    :returns: one entry a pool, and whether these are all of the cluster's
    """
    first = list(dict.fromkeys(wanted))
    names = first + [name for name in client.list_pools()
                     if name not in first]
    entries: list[dict[str, str]] = []
    end = time.monotonic() + POOLS_TIME
    for name in names:
        if len(entries) >= len(first) and time.monotonic() > end:
            return entries, False
        entries.append(_rights(client, name))
        touch()
        if entries[-1]['read'] == 'timeout':
            # The others are on the same OSDs.
            return entries, False
    return entries, True


def sample(client: rados.Rados, pool: str, image: str, snap: str, limit: int,
           touch: Callable[[], None]) -> dict[str, object]:
    """Read a part of a snapshot and measure how fast that is.

    :param limit: bytes to read at most
    :returns: size of the image, data_bytes in it or None if that is not
        known, and bytes and seconds of the sample
    :raises: ExportError
    """
    from . import snapshot as snapshot_
    snapshot = snapshot_.Snapshot(client, pool, image, snap, touch)
    # A few megabytes are not worth a question about each object.
    hints = snapshot.extents(ask_each=False)
    touch()
    data = [(0, snapshot.size)] if hints is None else hints
    parts = iter(_parts(data, snapshot.size, limit))
    lock = threading.Lock()
    read: list[int] = []
    failures: list[ExportError] = []
    started = time.monotonic()

    def work() -> None:
        while not failures and time.monotonic() - started < SAMPLE_TIME:
            with lock:
                part = next(parts, None)
            if part is None:
                return
            try:
                read.append(len(snapshot.read(*part)))
            except ExportError as exc:
                failures.append(exc)
            touch()

    threads = [threading.Thread(target=work, daemon=True)
               for _ in range(SAMPLE_READS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {
        'size': snapshot.size,
        'data_bytes': None if hints is None else sum(
            max(0, min(offset + length, snapshot.size) - offset)
            for offset, length in hints),
        'bytes': sum(read),
        'seconds': round(time.monotonic() - started, 4),
        'reads': SAMPLE_READS,
    }


def _parts(extents: Iterable[tuple[int, int]], size: int,
           limit: int) -> Iterable[tuple[int, int]]:
    """Cut the first bytes of extents into reads."""
    for offset, length in extents:
        end = min(offset + length, size)
        while offset < end and limit > 0:
            step = min(SAMPLE_READ_SIZE, end - offset, limit)
            yield offset, step
            offset += step
            limit -= step


def release(client: rados.Rados) -> str:
    """Return the release that the monitors run, '' if they do not say."""
    import json
    status, answer, _error = client.mon_command(
        json.dumps({'prefix': 'version', 'format': 'json'}), b'')
    if status:
        return ''
    try:
        return str(json.loads(answer)['version']).split(' (')[0]
    except (ValueError, LookupError, TypeError):
        return ''
