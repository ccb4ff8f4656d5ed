# SPDX-License-Identifier: Apache-2.0

"""How long the download under way waited while another one had the lock.

The code that takes the lock of an image sets it, and the lines about the
download have it. It is a context variable because there are calls of upstream
between the two, and because each thread, or greenthread, waits for itself.
"""

import contextvars
import typing as ty

# A wait no longer than so many seconds was not for a download.
SHORT = 1.0

_seconds: contextvars.ContextVar[float] = contextvars.ContextVar(
    'seconds', default=0.0)


def begin(seconds: float) -> contextvars.Token:
    """Start work that has waited, and return what :func:`end` takes.

    :param seconds: how long the lock was waited for
    """
    return _seconds.set(seconds)


def end(token: ty.Any) -> None:
    """End the work that :func:`begin` started."""
    _seconds.reset(token)


def seconds() -> float:
    """Return the seconds that the work under way has waited.

    0.0 if the lock was free, or if there is no such work.
    """
    waited = _seconds.get()
    return waited if waited > SHORT else 0.0
