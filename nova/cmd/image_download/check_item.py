# SPDX-License-Identifier: Apache-2.0

"""What a check says about one thing."""

from __future__ import annotations

import dataclasses

from nova.cmd.image_download.printable import printable

OK = 'ok'
PROBLEM = 'problem'
UNKNOWN = 'unknown'
WARNING = 'warning'
NOT_APPLICABLE = 'not applicable'


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing that was looked at.

    :ivar topic: what, in a few words
    :ivar state: OK; PROBLEM: a boot does not read from RBD; UNKNOWN: it
        could not be found out whether it does; WARNING: it does, but; or
        NOT_APPLICABLE
    :ivar found: the evidence
    :ivar remedy: what to do about a problem or a warning
    """

    topic: str
    state: str
    found: str
    remedy: str = ''

    def __post_init__(self) -> None:
        # Both may hold names that a tenant chose.
        object.__setattr__(self, 'found', printable(self.found))
        object.__setattr__(self, 'remedy', printable(self.remedy))
