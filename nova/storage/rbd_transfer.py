# SPDX-License-Identifier: Apache-2.0

"""Run the export engine as a child process and watch over it.

The engine, :mod:`nova.storage.rbd_export`, copies an RBD snapshot to a file.
It runs in a process of its own because a thread that hangs inside librbd
cannot be cancelled, because an abort inside librbd must not end nova-compute,
and because a child behaves the same whether Nova runs native threads or
eventlet. It may also run under the distribution's Python when only that one
has the Ceph bindings.
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import os
import selectors
import subprocess
import sys
import time
import typing as ty

from oslo_log import log as logging
from oslo_serialization import jsonutils

import nova.conf
from nova.storage import circuit_breaker

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Where distributions install python3-rados and python3-rbd.
SYSTEM_PYTHON = '/usr/bin/python3'

# Seconds that the parent grants the child beyond the child's own timeouts.
# The child ends itself when it stalls; the parent has to act only when the
# child cannot, for example because it was stopped by a signal.
GRACE = 3.0

# Seconds between two progress lines in the log. Downloads that are shorter
# log their result only.
LOG_INTERVAL = 60.0

# Child's last words on stderr that are kept for the debug log, in bytes, and
# how much of the last one goes into a message, in characters.
STDERR_TAIL = 4096
LAST_WORDS = 200

# No line of the protocol is longer, in bytes.
LONGEST_LINE = 65536

# Seconds that a child has to remove its temporary file and go when it is told
# to, before it is killed.
TERM_TIMEOUT = 2.0

# Seconds for which a child is listened to when its time is over: it says
# something twice a second.
LAST_LOOK = 1.0

# Longest wait for a killed child to disappear, in seconds. Only one that
# hangs in the kernel, as on a dead NFS server, takes longer.
REAP_TIMEOUT = 5.0

# The engine's error codes, by who can do something about them.
LOCAL_CODES = frozenset(['no_space', 'local_file'])
UNREACHABLE_CODES = frozenset(['connect', 'stalled'])

# Those that only a cluster that answered can have caused.
ANSWERED_CODES = frozenset(['not_found', 'permission', 'wrong_size',
                            'wrong_digest', 'wrong_cluster', 'read'])

# Exit status of an engine that has no bindings to work with.
EXIT_BINDINGS = 10

# A Python that fails to start like this is not there or none at all. Other
# errors, such as too many open files, would hit any other Python too.
NO_PYTHON = frozenset([errno.ENOENT, errno.ENOTDIR, errno.EACCES,
                       errno.ENOEXEC])

# Where librados looks first when it is given no path.
DEFAULT_CEPH_CONF = '/etc/ceph/ceph.conf'

# Seconds for which an fsid is believed without asking. A cluster that was set
# up anew behind the same configuration is refused for that long.
FSID_MAX_AGE = 600.0

# The fsid of the cluster last asked and when that was, by how and with which
# version of its configuration file it was reached.
_fsids: dict[tuple[str, str, int], tuple[str, float]] = {}

# The interpreter that was seen to have the bindings.
_python: str | None = None

# Called with each event of an engine, as it comes: see the engine's --json.
# For programs that show progress to somebody; nova-compute has no use for it.
observers: list[ty.Callable[[dict[str, ty.Any]], object]] = []

# Seconds that one request of a survey may take.
SURVEY_TIMEOUT = 5


class TransferError(Exception):
    """A download that did not happen.

    The message is for the operator's log only: it may hold paths and
    addresses, so it never goes into an instance fault.

    :param code: the engine's word for the cause, see its ``--help``
    :param message: one sentence, cause and cure
    :param facts: what the engine reported beside them
    """

    def __init__(self, code: str, message: str,
                 facts: dict[str, ty.Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts or {}

    @property
    def local(self) -> bool:
        """Whether this node's own disk is the cause, not the cluster."""
        return self.code in LOCAL_CODES

    @property
    def unreachable(self) -> bool:
        """Whether the cluster did not answer, so no location of it will."""
        return self.code in UNREACHABLE_CODES


@dataclasses.dataclass(frozen=True)
class Cluster:
    """How a cluster is reached.

    :ivar user: Ceph client name without ``client.``, '' for librados' default
    :ivar conf: path of the ceph.conf, '' for librados' search path
    :ivar connect_timeout: seconds; 0 and less stand for the default
    """

    user: str = ''
    conf: str = ''
    connect_timeout: int = 5

    def __post_init__(self) -> None:
        # No option for it has a lower limit, and no wait is endless here.
        if self.connect_timeout <= 0:
            object.__setattr__(self, 'connect_timeout',
                               type(self).connect_timeout)

    @classmethod
    def of_glance(cls) -> 'Cluster':
        """Return the cluster that ``[glance]`` names.

        Empty options fall back to those of ``[libvirt]``, as they always
        have.
        """
        timeout = (CONF.glance.rbd_connect_timeout or
                   CONF.libvirt.rbd_connect_timeout)
        return cls(
            user=CONF.glance.rbd_user or CONF.libvirt.rbd_user or '',
            conf=(CONF.glance.rbd_ceph_conf or
                  CONF.libvirt.images_rbd_ceph_conf or ''),
            connect_timeout=timeout)

    def arguments(self) -> list[str]:
        """Return the engine's options for this cluster."""
        arguments = ['--connect-timeout=%d' % self.connect_timeout]
        if self.user:
            arguments.append('--id=%s' % self.user)
        if self.conf:
            arguments.append('--conf=%s' % self.conf)
        return arguments

    @property
    def breaker(self) -> circuit_breaker.CircuitBreaker:
        """The breaker of this cluster in this process."""
        return circuit_breaker.get(('rbd', self.user, self.conf))


@dataclasses.dataclass(frozen=True)
class Source:
    """An RBD snapshot."""

    pool: str
    image: str
    snapshot: str

    def __str__(self) -> str:
        return '%s/%s@%s' % (self.pool, self.image, self.snapshot)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a download did.

    :ivar size: bytes of the image
    :ivar data_bytes: bytes of it that were written; the rest are holes
    :ivar seconds: from the start of the child to its end
    :ivar digest: 'algorithm:hex' if one was asked for, else None
    :ivar fsid: of the cluster that was read
    """

    size: int
    data_bytes: int
    seconds: float
    digest: str | None
    fsid: str


def export(source: Source, dst_path: str, cluster: Cluster | None = None,
           size: int | None = None, digest: str | None = None,
           fsid: str | None = None) -> Result:
    """Copy an RBD snapshot to a file that appears whole or not at all.

    :param source: the snapshot to read
    :param dst_path: path of the file; an existing regular file is replaced
    :param cluster: how to reach the cluster, by default as ``[glance]`` says
    :param size: bytes that the image must have, None if not known
    :param digest: 'algorithm:hex' to verify, None to verify nothing
    :param fsid: the cluster must have this fsid, None for any
    :returns: a :class:`Result`
    :raises: :class:`TransferError`; nothing is left at dst_path then that was
        not there before
    """
    cluster = cluster or Cluster.of_glance()
    arguments = cluster.arguments() + [
        '--stall-timeout=%d' % CONF.glance.rbd_download_stall_timeout]
    if CONF.glance.rbd_download_inflight:
        arguments.append(
            '--inflight=%d' % CONF.glance.rbd_download_inflight)
    if CONF.glance.rbd_download_max_rate:
        arguments.append(
            '--max-rate=%d' % CONF.glance.rbd_download_max_rate)
    if CONF.glance.rbd_read_from_replica != 'default':
        arguments.append(
            '--read-from-replica=%s' % CONF.glance.rbd_read_from_replica)
    if size is not None:
        arguments.append('--size=%d' % size)
    if digest:
        arguments.append('--digest=%s' % digest)
    if fsid:
        arguments.append('--fsid=%s' % fsid)
    # With '=' no name can be taken for an option, and after '--' no path.
    arguments += ['--pool=%s' % source.pool, '--image=%s' % source.image,
                  '--snap=%s' % source.snapshot,
                  # The child has another working directory.
                  '--', os.path.abspath(dst_path)]

    started = time.monotonic()
    final = _attempt(cluster, arguments,
                     patience=CONF.glance.rbd_download_stall_timeout,
                     subject=str(source))
    return Result(size=final['bytes'], data_bytes=final['data_bytes'],
                  seconds=time.monotonic() - started,
                  digest=final.get('digest'), fsid=final['fsid'])


def probe(cluster: Cluster | None = None) -> str:
    """Connect to a cluster and return its fsid.

    :param cluster: how to reach it, by default as ``[glance]`` says
    :raises: :class:`TransferError`
    """
    cluster = cluster or Cluster.of_glance()
    final = _attempt(cluster, cluster.arguments() + ['--probe'],
                     patience=cluster.connect_timeout, subject='the cluster')
    return final['fsid']


def survey(cluster: Cluster | None = None, pools: ty.Iterable[str] = (),
           source: Source | None = None, sample: int = 0
           ) -> dict[str, ty.Any]:
    """Find out what the client may do in a cluster.

    For an operator who waits for the answer: the cluster is asked although it
    did not answer a moment ago.

    :param cluster: how to reach it, by default as ``[glance]`` says
    :param pools: to look at in any case
    :param source: a snapshot to read a sample of
    :param sample: how many bytes of it
    :returns: what :mod:`nova.storage.rbd_export.access_probe` found
    :raises: :class:`TransferError`, whose facts tell what was found until
        then
    """
    cluster = cluster or Cluster.of_glance()
    arguments = cluster.arguments() + [
        '--survey', '--stall-timeout=%d' % SURVEY_TIMEOUT]
    if pools:
        arguments.append('--pools=%s' % ','.join(pools))
    if source is not None:
        arguments += ['--sample=%d' % sample, '--pool=%s' % source.pool,
                      '--image=%s' % source.image,
                      '--snap=%s' % source.snapshot]
    return _run(arguments, SURVEY_TIMEOUT + cluster.connect_timeout + GRACE,
                'the cluster')


def fsid(cluster: Cluster | None = None) -> str:
    """Return the fsid of a cluster, asking it only if that may have changed.

    The engine compares the fsid again on the connection that it reads from,
    so an answer that is out of date refuses too much, never too little.

    :param cluster: how to reach it, by default as ``[glance]`` says
    :raises: :class:`TransferError`
    """
    cluster = cluster or Cluster.of_glance()
    try:
        version = os.stat(cluster.conf or DEFAULT_CEPH_CONF).st_mtime_ns
    except OSError:
        version = 0
    key = (cluster.user, cluster.conf, version)
    answer, asked = _fsids.get(key, ('', 0.0))
    if not answer or time.monotonic() - asked > FSID_MAX_AGE:
        answer = probe(cluster)
        _fsids.clear()
        _fsids[key] = answer, time.monotonic()
    return answer


def engine_path() -> str:
    """Return the path by which the engine is run."""
    # The file and not its directory: Python would import ten modules more to
    # find the one in the other.
    return os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        'rbd_export', '__main__.py')


def _attempt(cluster: Cluster, arguments: list[str], patience: float,
             subject: str) -> dict[str, ty.Any]:
    """Run the engine unless the cluster is known to be away."""
    wait = cluster.breaker.seconds_to_wait()
    if wait:
        raise TransferError(
            'connect', 'the cluster did not answer a moment ago (%s) and is '
            'not tried again for %d s' % (cluster.breaker.reason, wait + 1))
    try:
        final = _run(arguments, patience + cluster.connect_timeout + GRACE,
                     subject)
    except TransferError as exc:
        if exc.code == 'wrong_cluster':
            _fsids.clear()
        if exc.unreachable:
            cluster.breaker.failed(str(exc))
        elif exc.code in ANSWERED_CODES:
            cluster.breaker.succeeded()
        raise
    cluster.breaker.succeeded()
    return final


def _run(arguments: list[str], patience: float,
         subject: str) -> dict[str, ty.Any]:
    """Run the engine with the first Python that has the bindings."""
    global _python

    pythons = [python for python in dict.fromkeys(
        (_python, sys.executable, SYSTEM_PYTHON)) if python]
    missing = None
    for python in pythons:
        try:
            final = _Child(python, arguments, patience, subject).run()
        except TransferError as exc:
            if exc.code in ANSWERED_CODES | UNREACHABLE_CODES:
                _python = python
            if exc.code != 'bindings':
                raise
            missing = exc
        else:
            _python = python
            return final
    raise TransferError(
        'bindings', 'no Python on this host has the Ceph bindings (tried '
        '%s); install the packages python3-rados and python3-rbd'
        % ', '.join(pythons)) from missing


class _Child:
    """One run of the engine.

    :param python: interpreter to run it with
    :param arguments: its command line
    :param patience: seconds without a sign of life before it is killed
    :param subject: what it works on, for the log
    """

    def __init__(self, python: str, arguments: list[str], patience: float,
                 subject: str) -> None:
        self._python = python
        # -I keeps the environment and the user's directories from changing
        # what the child imports.
        self._command = [python, '-I', engine_path(), '--json'] + arguments
        self._patience = patience
        self._subject = subject
        self._final: dict[str, ty.Any] | None = None
        self._rest = b''
        self._stderr: ty.Deque[bytes] = collections.deque(maxlen=8)
        self._started = self._logged = time.monotonic()
        self._deadline = self._started + patience

    def run(self) -> dict[str, ty.Any]:
        LOG.debug('Starting the RBD export engine: %s', self._command)
        try:
            process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                close_fds=True, cwd='/')
        except (OSError, ValueError) as exc:
            # No interpreter at this path is as good as one without bindings.
            # A ValueError is an argument that no command line can hold.
            absent = getattr(exc, 'errno', None) in NO_PYTHON
            raise TransferError('bindings' if absent else 'unexpected',
                                'cannot run %s: %s' % (self._python, exc))
        finished = False
        try:
            finished = self._watch(process)
        except OSError as exc:
            raise TransferError('unexpected', 'cannot watch the export '
                                'process: %s' % exc)
        finally:
            # Also when this thread of execution is being torn down.
            left = min(GRACE, self._deadline - time.monotonic())
            status = self._end(process, max(0, left) if finished else 0)
        self._log_stderr()
        if self._final is not None:
            return self._judge(self._final, status)
        if not finished:
            raise TransferError(
                'stalled', 'the export process gave no sign of life for '
                '%d s and was killed' % self._patience)
        raise TransferError(
            'bindings' if status == EXIT_BINDINGS else 'unexpected',
            'the export process ended with status %s and no result: %s'
            % (status, self._last_words()))

    @staticmethod
    def _judge(final: dict[str, ty.Any],
               status: int | None) -> dict[str, ty.Any]:
        """Return the final event if it tells of success, else raise it."""
        if final['event'] == 'error':
            raise TransferError(str(final.get('code', 'unexpected')),
                                str(final.get('message', 'no message')),
                                final)
        if status != 0:
            # The file was whole, verified and in place before it said so.
            LOG.warning('The RBD export process ended with status %s after '
                        'it had succeeded', status)
        return final

    def _watch(self, process: subprocess.Popen) -> bool:
        """Read what the child says until it has nothing to say any more.

        :returns: False if it stalled
        """
        # Both kinds of selector exist under eventlet too, where they are
        # replaced by ones that yield to the hub.
        with selectors.DefaultSelector() as selector:
            for pipe, take in ((process.stdout, self._take_events),
                               (process.stderr, self._take_stderr)):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, take)
            # Until when the child is listened to although its time is over.
            last = None
            while selector.get_map():
                now = time.monotonic()
                left = self._deadline - now
                if left > 0:
                    last = None
                else:
                    # Who was stopped meanwhile finds in the pipe what the
                    # child said, or hears from it soon.
                    last = last or now + LAST_LOOK
                    left = last - now
                    if left <= 0:
                        return self._final is not None
                for key, _events in selector.select(left):
                    try:
                        data = os.read(key.fd, 65536)
                    except BlockingIOError:
                        continue
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
        return True

    def _take_events(self, data: bytes) -> None:
        lines = (self._rest + data).split(b'\n')
        self._rest = lines.pop()[-LONGEST_LINE:]
        for line in lines:
            try:
                self._take_event(jsonutils.loads(line))
            except (ValueError, LookupError, TypeError, RecursionError):
                # What a library printed, for example.
                self._take_stderr(line + b'\n')

    def _take_event(self, event: dict[str, ty.Any]) -> None:
        if event['event'] == 'progress':
            # The child counts the time since its last byte itself and says
            # so. Here only silence counts, as of a process that was stopped.
            self._deadline = time.monotonic() + self._patience
            self._log_progress(event)
        elif event['event'] in ('result', 'error'):
            self._deadline = time.monotonic() + GRACE
            self._final = event
        else:
            raise ValueError('no event of the protocol')
        for observer in observers:
            observer(event)

    def _log_progress(self, event: dict[str, ty.Any]) -> None:
        now = time.monotonic()
        if now - self._logged >= LOG_INTERVAL:
            self._logged = now
            LOG.info('Reading %(subject)s from RBD: %(done)d of %(total)d '
                     'MiB after %(seconds)d s',
                     {'subject': self._subject,
                      'done': event['bytes'] >> 20,
                      'total': event['total'] >> 20,
                      'seconds': now - self._started})

    def _take_stderr(self, data: bytes) -> None:
        self._stderr.append(data[-STDERR_TAIL:])

    def _tail(self) -> str:
        tail = b''.join(self._stderr)[-STDERR_TAIL:]
        return tail.decode('utf-8', 'replace').strip()

    def _last_words(self) -> str:
        lines = self._tail().splitlines()
        return lines[-1][-LAST_WORDS:] if lines else 'it wrote nothing'

    def _log_stderr(self) -> None:
        tail = self._tail()
        if tail:
            LOG.debug('The RBD export engine wrote: %s', tail)

    @staticmethod
    def _end(process: subprocess.Popen, grace: float) -> int | None:
        """Make sure that the child is gone and its pipes are closed.

        :param grace: seconds that it has to end by itself
        :returns: its exit status, None if it hangs in the kernel
        """
        steps = ((grace, process.terminate), (TERM_TIMEOUT, process.kill))
        try:
            for timeout, stop in steps:
                try:
                    return process.wait(timeout)
                except subprocess.TimeoutExpired:
                    stop()
            return process.wait(REAP_TIMEOUT)
        except subprocess.TimeoutExpired:
            LOG.error('The RBD export process %d cannot be killed, it hangs '
                      'in the kernel; see what blocks the file system of '
                      'the image cache.', process.pid)
            return None
        finally:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
