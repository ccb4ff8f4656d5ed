# SPDX-License-Identifier: Apache-2.0

"""The main thread: progress, stall, death of the parent, signals.

The work is done by other threads. Any of them may hang inside librbd or in
the kernel, and then no exception, no signal handler and no clean-up of
librbd's can be relied upon. So this thread never calls anything that may
hang, and in the end it leaves with os._exit: at that point the file has its
name, or it never will, and the image was open for reading only, which the
cluster keeps no record of. Leaving by the usual way with an image open ends
in an abort inside librbd.
"""

from __future__ import annotations

from collections.abc import Callable
import os
import signal
import sys
import threading
import time

from .errors import ExportError
from .errors import OK
from .report import Broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .report import HumanReport
    from .report import JsonReport

# Seconds between two looks at the parent and at the clock.
TICK = 0.2

# Opening an image takes some fifteen requests, one after the other, of which
# nobody sees more than the last. Together they have so many times the stall
# timeout; each of them has librados' own timeout.
OPEN_FACTOR = 4

# Seconds granted to librados to keep its own connect timeout.
CONNECT_GRACE = 2.0


# The longest that the disk may take no byte while data is copied, as a
# multiple of the stall timeout: others write to it as well.
DISK_FACTOR = 4

# The longest that the last data may take to the disk, in seconds. A whole copy
# is not given up for a disk that is slow: what is wrong with it, the kernel
# says, and this ends what would hang for ever.
LAST_WRITES = 3600.0

# What the work can wait for.
DISK, NAMES, MONITORS, CLUSTER = 'disk', 'names', 'monitors', 'cluster'


class Job:
    """Work that the main thread watches.

    :param connect_timeout: seconds that names and monitors may take
    :param stall_timeout: seconds that may pass without a :meth:`touch`
    """

    def __init__(self, connect_timeout: float, stall_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._stall_timeout = stall_timeout
        self.started = self.touched = time.monotonic()
        self.phase = 'starting'
        self._waits_for = DISK
        self._patience = stall_timeout
        self.waits_for_disk: Callable[[], bool] = lambda: False
        self.announce: Callable[[str], None] = lambda phase: None
        self.connected: Callable[[str], None] = lambda fsid: None
        self.done: Callable[[], int] = lambda: 0
        self.total = 0
        self.abandon: Callable[[], None] = lambda: None
        # What the reports of a stall say beside it, and how much longer the
        # cluster may take, in seconds.
        self.facts: dict[str, object] = {}
        self.note = ''
        self.delay = 0.0

    def touch(self) -> None:
        """Note that something moved. Cheap, from any thread."""
        self.touched = time.monotonic()

    def enter(self, phase: str, waits_for: str = CLUSTER, factor: float = 1,
              patience: float | None = None) -> None:
        """Note what is done from now on, and report it.

        :param phase: it, in words
        :param waits_for: DISK, NAMES, MONITORS or CLUSTER
        :param factor: how many times the timeout may pass without a touch
        :param patience: seconds that may pass, in place of that
        """
        if patience is None:
            patience = factor * self._stall_timeout
            if waits_for in (NAMES, MONITORS):
                patience = self._connect_timeout + CONNECT_GRACE
        self.touch()
        self.phase, self._waits_for = phase, waits_for
        self._patience = patience
        self.announce(phase)

    def overdue(self) -> ExportError | None:
        """Return the reason to give up, if there is one."""
        waited = time.monotonic() - self.touched
        patience = self._patience
        if waited < patience:
            return None
        if self._waits_for == MONITORS:
            return ExportError(
                'connect', 'the cluster could not be reached within %g s'
                % self._connect_timeout, **self.facts)
        if self._waits_for == NAMES:
            return ExportError(
                'name_resolution', 'the name server did not answer within '
                '%g s while %s' % (self._connect_timeout, self.phase),
                **self.facts)
        if self._waits_for == DISK:
            return self._disk_stalled(patience)
        if self.waits_for_disk():
            # The cluster has done its part.
            patience *= DISK_FACTOR
            return self._disk_stalled(patience) if waited >= patience else None
        patience += self.delay
        if waited < patience:
            return None
        return ExportError(
            'stalled', 'no byte has moved for %g s while %s'
            % (patience, self.phase + self.note),
            **dict(self.facts, phase=self.phase))

    def _disk_stalled(self, patience: float) -> ExportError:
        return ExportError(
            'disk_stalled', 'the local disk has not answered for %g s while '
            '%s' % (patience, self.phase),
            **dict(self.facts, phase=self.phase))


def _tied_to_parent() -> bool:
    # What is started under nohup is meant to outlive its shell.
    return signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def _block_signals() -> set[int]:
    """Keep the signals that end this process until they are asked for.

    To be called before there is another thread: each inherits that.

    :returns: those that are not ignored
    """
    numbers = {int(number) for number in (signal.SIGINT, signal.SIGTERM,
                                          signal.SIGHUP)
               if signal.getsignal(number) is not signal.SIG_IGN}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    return numbers


def _ended_by(numbers: set[int], senders: set[int] | None) -> int:
    """Return the signal that came and that counts, 0 if there is none.

    A service manager sends SIGTERM to all processes of a service at once. The
    parent may be willing to wait for its downloads, and if it goes, this
    process notices.

    :param numbers: signals to look for
    :param senders: processes whose signals count, None for all
    """
    while numbers:
        found = signal.sigtimedwait(numbers, 0)
        if found is None:
            break
        if (senders is None or found.si_pid in senders
                or found.si_signo == signal.SIGINT):
            return found.si_signo
    return 0


def run(job: Job, work: Callable[[], dict[str, object]],
        report: JsonReport | HumanReport, parent: int) -> int:
    """Do the work in a thread and watch over it.

    :param work: does it, and returns the facts for the result
    :param parent: process id of the parent when this process began
    :returns: the exit code
    """
    ended = threading.Event()
    outcome: list[dict[str, object] | BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as exc:
            outcome.append(exc)
        ended.set()

    tied = _tied_to_parent()
    signals = _block_signals()
    # Only a program reads JSON: the parent.
    senders = {parent, os.getpid()} if report.for_programs else None
    job.announce = report.phase
    job.connected = report.connected
    thread = threading.Thread(target=target, daemon=True)
    thread.start()

    ended_by = 0
    failure: BaseException | None = None
    reported = job.started
    try:
        while not ended.wait(TICK):
            ended_by = _ended_by(signals, senders)
            if ended_by:
                break
            failure = job.overdue()
            if failure is None and tied and os.getppid() != parent:
                failure = ExportError('parent_died', 'the process that '
                                      'started this one is gone')
            if failure is not None:
                break
            now = time.monotonic()
            if now - reported >= report.interval:
                reported = now
                report.progress(job.done(), job.total, now - job.started,
                                job.phase)
        if failure is None:
            if outcome:
                if isinstance(outcome[0], BaseException):
                    failure = outcome[0]
                else:
                    report.result(outcome[0])
                    return OK
            else:
                failure = ExportError(
                    'interrupted', 'ended by %s'
                    % signal.Signals(ended_by).name, signal=ended_by)
    except Broken:
        failure = ExportError('parent_died', 'the output is not read')
    if not isinstance(failure, ExportError):
        failure = _unexpected(failure)
    try:
        report.error(failure)
    except Broken:
        pass
    # Last, since it hangs if the disk does.
    job.abandon()
    return failure.exit


def _unexpected(exc: BaseException | None) -> ExportError:
    if os.environ.get('RBD_EXPORT_TRACEBACK') and exc is not None:
        import traceback
        traceback.print_exception(type(exc), exc, exc.__traceback__)
    if isinstance(exc, MemoryError):
        return ExportError('limits', 'out of memory', 'allow nova-compute '
                           'more memory, or set a lower --inflight')
    return ExportError('unexpected', '%s: %s' % (type(exc).__name__, exc))


def leave(code: int) -> None:
    """End the process now, whatever other threads are doing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    os._exit(code)
