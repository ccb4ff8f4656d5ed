# SPDX-License-Identifier: Apache-2.0

"""Spare callers the wait for a cluster that is known to be unreachable.

Without it every boot pays the connect timeout, or the stall timeout, for as
long as the cluster is away.
"""

from __future__ import annotations

import threading
import time
import typing as ty

# The pause before an unreachable cluster is tried again, in seconds. It
# doubles with each failure in a row. The first is about the time in which a
# monitor restarts; the last keeps a node of an outage of hours from noticing
# its end much later than its operator.
FIRST_PAUSE = 30.0
LONGEST_PAUSE = 300.0


class CircuitBreaker:
    """Remembers whether the last attempts on one resource failed.

    Closed: everyone may try. Open: nobody may, until the pause is over. Then
    one caller may try while the others are still refused; its outcome closes
    the breaker or opens it for twice as long. Safe for use by several native
    threads or greenthreads.

    :param clock: function returning monotonic seconds, for tests
    """

    def __init__(self, clock: ty.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = 0.0
        self._retry_at = 0.0
        self._probing = False
        self.reason = ''
        self.remedy = ''

    def seconds_to_wait(self) -> float:
        """Ask for permission to try.

        A caller who gets it while the breaker is open has to report the
        outcome with :meth:`succeeded`, :meth:`failed` or :meth:`abandoned`;
        if it never does, the next caller is let through after another pause.

        :returns: 0.0 when the caller may try now, else the seconds until
            somebody may
        """
        with self._lock:
            if not self._pause:
                return 0.0
            now = self._clock()
            if now < self._retry_at:
                return self._retry_at - now
            self._retry_at = now + self._pause
            self._probing = True
            return 0.0

    def failed(self, reason: str, remedy: str = '') -> None:
        """Record that the resource could not be reached.

        Callers who were on their way when the breaker opened meet the same
        outage. Only the one that was let through since makes it last longer.

        :param reason: why, for the log of those who are refused
        :param remedy: what to do, for the same
        """
        with self._lock:
            self.reason, self.remedy = reason, remedy
            if self._pause and not self._probing:
                return
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            self._retry_at = self._clock() + self._pause
            self._probing = False

    def abandoned(self) -> None:
        """Record that an attempt ended before it reached the resource.

        It has shown nothing, so that the next caller may try in its place.
        """
        with self._lock:
            if self._probing:
                self._probing = False
                self._retry_at = self._clock()

    def succeeded(self) -> None:
        """Record that the resource answered: everyone may try again."""
        with self._lock:
            self._pause = 0.0
            self._probing = False
            self.reason = self.remedy = ''


_breakers: dict[ty.Hashable, CircuitBreaker] = {}


def get(key: ty.Hashable) -> CircuitBreaker:
    """Return the one breaker of this process for a resource.

    :param key: what names the resource, for a cluster how it is reached
    """
    # Unlike a defaultdict this gives two threads the same one.
    return _breakers.setdefault(key, CircuitBreaker())


def find(key: ty.Hashable) -> CircuitBreaker | None:
    """Return the breaker of a resource, None if it has none yet."""
    return _breakers.get(key)


def discard(key: ty.Hashable) -> None:
    """Forget the breaker of a resource that there may never be again."""
    _breakers.pop(key, None)


def reset() -> None:
    """Forget every breaker, as a restart of the process does."""
    _breakers.clear()
