# SPDX-License-Identifier: Apache-2.0

"""The limit on the rate at which bytes are read from the cluster."""

from __future__ import annotations

import threading
import time

# How far a reader that was late may catch up, in seconds. Without it, each
# time that the system wakes a thread late would lower the rate for good.
CATCH_UP = 0.1


class RateLimit:
    """Spaces reads so that a rate is not exceeded.

    :param rate: bytes a second
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        # When the bytes asked for so far have had their time.
        self._due = time.monotonic()

    def reserve(self, length: int) -> float:
        """Take part of the rate.

        :param length: bytes about to be read
        :returns: seconds to wait before they are
        """
        with self._lock:
            now = time.monotonic()
            due = max(self._due, now - CATCH_UP)
            self._due = due + length / self._rate
        return max(0.0, due - now)
