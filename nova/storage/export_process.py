# SPDX-License-Identifier: Apache-2.0

"""Start, watch and end one process of the export engine.

The engine, :mod:`nova.storage.rbd_export`, runs in a process of its own
because a thread that hangs inside librbd cannot be cancelled, because an
abort inside librbd must not end nova-compute, and because a child behaves the
same whether Nova runs native threads or eventlet. It may also run under the
distribution's Python when only that one has the Ceph bindings.
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import os
import selectors
import signal
import subprocess
import time
import typing as ty

from oslo_log import log as logging
from oslo_serialization import jsonutils

from nova.storage.rbd_export import errors
from nova.storage.transfer_error import TransferError
from nova.storage.watching import announce

LOG = logging.getLogger(__name__)

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

# Seconds for which a child is listened to when its time is over: it reports
# something twice a second.
LAST_LOOK = 1.0

# Longest wait for a killed child to disappear, in seconds. Only one that
# hangs in the kernel, as on a dead NFS server, takes longer.
REAP_TIMEOUT = 5.0

# Longest pause between two looks whether a child has ended, in seconds.
LONGEST_NAP = 0.05

# Signals by which a service manager or an operator ends a process.
ENDING_SIGNALS = frozenset([signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                            signal.SIGQUIT])

# The process, or the host, has no more of something.
NO_MORE = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])

# Runs a program beside modules from more directories, which come last: they
# hide none of the standard library.
_WITH_PATHS = """\
import sys
sys.path += sys.argv.pop(1).split(':')
__file__ = sys.argv[0] = sys.argv.pop(1)
with open(__file__) as program:
    program = program.read()
exec(compile(program, __file__, 'exec'))
"""

# A Python that fails to start like this is not there or none at all. Other
# errors, such as too many open files, would hit any other Python too.
NO_PYTHON = frozenset([errno.ENOENT, errno.ENOTDIR, errno.EACCES,
                       errno.ENOEXEC])


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a download is.

    :ivar done: bytes of the image that are done with
    :ivar total: bytes of the image; 0 until it is known
    :ivar seconds: since the engine began
    """

    done: int
    total: int
    seconds: float


def engine_path() -> str:
    """Return the path by which the engine is run."""
    # The file and not its directory: Python would import ten modules more to
    # find the one in the other.
    return os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        'rbd_export', '__main__.py')


class ExportProcess:
    """One run of the engine.

    :param python: interpreter to run it with
    :param arguments: its command line
    :param patience: seconds without a sign of life before it is killed
    :param subject: what it works on, for the log
    :param paths: directories that it finds the bindings in, beside its own
    :param on_connected: called when the cluster has answered
    """

    def __init__(self, python: str, arguments: list[str], patience: float,
                 subject: str, paths: ty.Sequence[str] = (),
                 on_connected: ty.Callable[[], object] = lambda: None
                 ) -> None:
        self._python = python
        # -I keeps the environment and the user's directories from changing
        # what the child imports.
        self._command = [python, '-I']
        if paths:
            self._command += ['-c', _WITH_PATHS, ':'.join(paths)]
        self._command += [engine_path(), '--json'] + arguments
        self._on_connected = on_connected
        self._phase = ''
        self._patience = patience
        self._subject = subject
        self._final: dict[str, ty.Any] | None = None
        self._rest = b''
        self._stderr: ty.Deque[bytes] = collections.deque(maxlen=8)
        self._started = self._logged = time.monotonic()
        self._deadline = self._started + patience

    def run(self) -> dict[str, ty.Any]:
        """Run it to its end and return its final event.

        :raises: :class:`TransferError`
        """
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
            raise TransferError('bindings' if absent else _code_of(exc),
                                'cannot run %s: %s' % (
                                    self._python, errors.describe(exc)))
        finished = False
        try:
            finished = self._watch(process)
        except OSError as exc:
            raise TransferError(_code_of(exc), 'cannot watch the export '
                                'process: %s' % errors.describe(exc))
        finally:
            # Also when this thread of execution is being torn down.
            left = min(GRACE, self._deadline - time.monotonic())
            ended = _end(process, max(0, left) if finished else 0)
        self._log_stderr()
        if self._final is not None:
            return self._judge(self._final, process.returncode)
        if not finished or not ended:
            raise TransferError(
                'silent', 'the export process gave no sign of life for '
                '%d s and was killed' % self._patience)
        raise self._death(process.returncode)

    def _death(self, status: int) -> TransferError:
        """Return the error of a child that ended by itself without a word."""
        if status >= 0:
            return TransferError(
                'bindings' if status == errors.EXIT_CODES['bindings']
                else 'unexpected',
                'the export process ended with status %d and no result: %s'
                % (status, self._last_words()))
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = 'signal %d' % -status
        if -status in ENDING_SIGNALS:
            return TransferError(
                'interrupted', 'the export process was ended by %s' % name)
        if -status == signal.SIGKILL:
            return TransferError(
                'killed', 'the export process was ended by SIGKILL, which '
                'the kernel sends when there is no memory left')
        if -status == signal.SIGXCPU:
            return TransferError(
                'limits', 'the export process was ended by SIGXCPU, as its '
                'limit of processor time (RLIMIT_CPU) was reached')
        if self._phase in errors.READS_CONF:
            return TransferError(
                'bad_conf', 'librados ended the export process with %s while '
                '%s, over something in %s' % (name, self._phase,
                                              self._conf()))
        return TransferError(
            'unexpected', 'the export process ended with %s and no result: %s'
            % (name, self._last_words()))

    def _conf(self) -> str:
        option = '--conf='
        return next((word[len(option):] for word in self._command
                     if word.startswith(option)), 'its ceph.conf')

    @staticmethod
    def _judge(final: dict[str, ty.Any],
               status: int | None) -> dict[str, ty.Any]:
        """Return the final event if it reports success, else raise it."""
        if final['event'] == 'error':
            remedy = final.get('remedy')
            raise TransferError(str(final.get('code', 'unexpected')),
                                str(final.get('message', 'no message')),
                                None if remedy is None else str(remedy),
                                final)
        if status != 0:
            # The file was whole, verified and in place before it said so.
            LOG.warning('The RBD export process ended with status %s after '
                        'it had succeeded', status)
        return final

    def _watch(self, process: subprocess.Popen) -> bool:
        """Read what the child reports until it has no more to report.

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
                    # A parent that was stopped meanwhile finds in the pipe
                    # what the child reported, or hears from it soon.
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
            event = _parse(line)
            if event is None:
                # What a library printed, for example.
                self._take_stderr(line + b'\n')
            else:
                self._take_event(event)

    def _take_event(self, event: dict[str, ty.Any]) -> None:
        if event['event'] in ('result', 'error'):
            self._deadline = time.monotonic() + GRACE
            self._final = event
            return
        # The child counts the time since its last byte itself and reports
        # it. Here only silence counts, as of a process that was stopped.
        self._deadline = time.monotonic() + self._patience
        if event['event'] == 'phase':
            self._phase = str(event.get('phase'))
        elif event['event'] == 'connected':
            self._on_connected()
        elif event['event'] == 'progress':
            progress = Progress(event['bytes'], event['total'],
                                event['seconds'])
            self._log_progress(progress)
            announce(progress)

    def _log_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._logged >= LOG_INTERVAL:
            self._logged = now
            LOG.info('Reading %(subject)s from RBD: %(done)d of %(total)d '
                     'MiB after %(seconds)d s',
                     {'subject': self._subject,
                      'done': progress.done >> 20,
                      'total': progress.total >> 20,
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


def _code_of(exc: Exception) -> str:
    """Return the code for what the system refused to the parent."""
    return ('limits' if getattr(exc, 'errno', None) in NO_MORE
            else 'unexpected')


def _parse(line: bytes) -> dict[str, ty.Any] | None:
    """Return the event in a line of the protocol, None if there is none.

    Kinds of events that are not known, as of a newer engine, are events too.
    """
    try:
        event = jsonutils.loads(line)
        name = event['event']
        if name == 'progress':
            for figure in ('bytes', 'total'):
                event[figure] = int(event[figure])
            event['seconds'] = float(event.get('seconds') or 0)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return event if isinstance(name, str) else None


def _wait(process: subprocess.Popen, seconds: float) -> bool:
    """Wait for a process to end; return whether it has.

    Not with Popen.wait(): under old releases of eventlet, what that raises
    when its time is over has a class that cannot be named.
    """
    deadline = time.monotonic() + seconds
    nap = 0.001
    while process.poll() is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(nap, left))
        nap = min(2 * nap, LONGEST_NAP)
    return True


def _end(process: subprocess.Popen, grace: float) -> bool:
    """Make sure that a child is gone and its pipes are closed.

    :param grace: seconds that it has to end by itself
    :returns: whether it did
    """
    try:
        for timeout, stop in ((grace, process.terminate),
                              (TERM_TIMEOUT, process.kill)):
            if _wait(process, timeout):
                return stop == process.terminate
            stop()
        if not _wait(process, REAP_TIMEOUT):
            LOG.error('The RBD export process %d cannot be killed, it hangs '
                      'in the kernel. To fix this, check what blocks the '
                      'file system of the image cache.', process.pid)
        return False
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
