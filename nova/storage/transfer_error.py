# SPDX-License-Identifier: Apache-2.0

"""The one exception of a download that did not happen."""

from __future__ import annotations

import typing as ty

from nova.storage.rbd_export import errors


class TransferError(Exception):
    """A download that did not happen.

    The message and the remedy are for the operator's log only: they may hold
    paths and addresses, so they never go into an instance fault.

    :param code: a key of :data:`nova.storage.rbd_export.errors.CAUSES`; one
        that is not there, as of a newer engine, counts as 'unexpected' in all
        but its name
    :param message: one sentence: what happened, and not what to do
    :param remedy: what to do, if more is known than the table of causes says
    :param facts: what else the engine reported
    :ivar kind: whose concern the cause is, see the table of causes
    """

    def __init__(self, code: str, message: str, remedy: str | None = None,
                 facts: dict[str, ty.Any] | None = None) -> None:
        super().__init__(message)
        cause = errors.CAUSES.get(code) or errors.CAUSES['unexpected']
        self.code = code
        self.kind = cause.kind
        self.remedy = cause.remedy if remedy is None else remedy
        self.facts = facts or {}

    @property
    def local(self) -> bool:
        """Return whether the disk of this node is the cause."""
        return self.kind == errors.DISK

    @property
    def unreachable(self) -> bool:
        """Return whether the cluster as a whole did not answer."""
        return self.kind == errors.NO_ANSWER
