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


class Job:
    """Work that the main thread watches.

    :param connect_timeout: seconds for :meth:`connected` to be called
    :param stall_timeout: seconds that may pass without a :meth:`touch`
    """

    def __init__(self, connect_timeout: float, stall_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._stall_timeout = stall_timeout
        self.started = self.touched = time.monotonic()
        self._connected = False
        self._factor = OPEN_FACTOR
        self._local = False
        self.waits_for_disk: Callable[[], bool] = lambda: False
        self.phase = 'connecting'
        self.done: Callable[[], int] = lambda: 0
        self.total = 0
        self.abandon: Callable[[], None] = lambda: None

    def touch(self) -> None:
        """Note that something moved. Cheap, from any thread."""
        self.touched = time.monotonic()

    def connected(self) -> None:
        self._connected = True
        self.enter('opening the image', OPEN_FACTOR)

    def enter(self, phase: str, factor: int = 1, local: bool = False) -> None:
        """Note what is done from now on.

        :param phase: it, in words
        :param factor: how many times the stall timeout may pass without a
            touch
        :param local: whether it has nothing to do with the cluster any more
        """
        self.touch()
        self.phase = phase
        self._factor = factor
        self._local = local

    def overdue(self) -> ExportError | None:
        """Return the reason to give up, if there is one."""
        now = time.monotonic()
        if not self._connected:
            if now - self.started < self._connect_timeout + CONNECT_GRACE:
                return None
            return ExportError(
                'connect', 'the cluster could not be reached within %g s; '
                'check its monitors and the network to them'
                % self._connect_timeout)
        patience = self._stall_timeout * self._factor
        if now - self.touched < patience:
            return None
        if self._local or self.waits_for_disk():
            # The cluster has done its part: nobody should stop asking it.
            return ExportError(
                'local_file', 'the local disk took no byte for %g s; check '
                'its health' % patience, phase=self.phase)
        return ExportError(
            'stalled', 'no byte has moved for %g s while %s; check the health '
            'of the cluster and of the local disk' % (patience, self.phase),
            phase=self.phase)


def _tied_to_parent() -> bool:
    # What is started under nohup is meant to outlive its shell.
    return signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def run(job: Job, work: Callable[[], dict[str, object]],
        report: JsonReport | HumanReport, parent: int) -> int:
    """Do the work in a thread and watch over it.

    :param work: does it, and returns the facts for the result
    :param parent: process id of the parent when this process began
    :returns: the exit code
    """
    ended = threading.Event()
    outcome: list[dict[str, object] | BaseException] = []
    signals: list[int] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as exc:
            outcome.append(exc)
        ended.set()

    def on_signal(number: int, frame: object) -> None:
        # And no more: whom it interrupts may hold the lock of the event.
        signals.append(number)

    tied = _tied_to_parent()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_signal)
    thread = threading.Thread(target=target, daemon=True)
    thread.start()

    failure: BaseException | None = None
    reported = job.started
    try:
        while not ended.wait(TICK):
            if signals:
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
                report.progress(job.done(), job.total, now - job.started)
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
                    % signal.Signals(signals[0]).name, signal=signals[0])
    except Broken:
        failure = ExportError('parent_died', 'nobody reads the output')
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
        return ExportError('unexpected', 'out of memory; try a lower '
                           '--inflight')
    return ExportError('unexpected', '%s: %s' % (type(exc).__name__, exc))


def leave(code: int) -> None:
    """End the process now, whatever other threads are doing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    os._exit(code)
