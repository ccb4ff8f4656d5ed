# SPDX-License-Identifier: Apache-2.0

"""What a check says about one thing."""

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
    :ivar cure: what to do about a problem or a warning
    """

    topic: str
    state: str
    found: str
    cure: str = ''


def size(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ('bytes', 'KiB', 'MiB', 'GiB', 'TiB'):
        if count < 1024 or unit == 'TiB':
            break
        count /= 1024
    return ('%d %s' if unit == 'bytes' else '%.1f %s') % (count, unit)
