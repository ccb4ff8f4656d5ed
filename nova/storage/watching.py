# SPDX-License-Identifier: Apache-2.0

"""Hand what happens in a download to whoever asked to watch it.

A program that shows progress or wants to know how a download ended asks for
the objects themselves, so that it never has to read log lines::

    def observe(happening):
        if isinstance(happening, rbd_transfer.Progress):
            draw(happening.done, happening.total)
        elif isinstance(happening, rbd_transfer.Result):
            ...
        elif isinstance(happening, rbd_transfer.TransferError):
            ...

    with rbd_transfer.watching(observe):
        glance.API().download(...)

An observer sees the downloads that the code within the ``with`` makes in the
same thread or greenthread, not those of others. It has to pass over objects
of classes that it does not know. nova-compute watches nothing.
"""

from __future__ import annotations

import contextlib
import contextvars
import typing as ty

Observer = ty.Callable[[object], object]

_observers: contextvars.ContextVar[tuple[Observer, ...]] = (
    contextvars.ContextVar('observers', default=()))


@contextlib.contextmanager
def watching(observer: Observer) -> ty.Iterator[None]:
    """Call an observer with what happens while the context lasts.

    :param observer: called with one object at a time, in the thread of the
        download, which goes on when the observer returns; what the observer
        raises ends the download
    """
    token = _observers.set(_observers.get() + (observer,))
    try:
        yield
    finally:
        _observers.reset(token)


def announce(happening: object) -> None:
    """Hand an object to all who watch from here.

    :param happening: what happened
    """
    for observer in _observers.get():
        observer(happening)
