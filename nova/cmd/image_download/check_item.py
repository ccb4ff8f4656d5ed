#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

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
