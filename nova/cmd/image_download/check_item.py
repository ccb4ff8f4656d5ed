# SPDX-License-Identifier: Apache-2.0

"""What a check says about one thing."""

from __future__ import annotations

import dataclasses

OK = 'ok'
PROBLEM = 'problem'
WARNING = 'warning'
NOT_APPLICABLE = 'not applicable'


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing that was looked at.

    :ivar topic: what, in a few words
    :ivar state: OK, PROBLEM, WARNING or NOT_APPLICABLE
    :ivar found: the evidence
    :ivar remedy: what to do about a problem or a warning
    """

    topic: str
    state: str
    found: str
    remedy: str = ''
