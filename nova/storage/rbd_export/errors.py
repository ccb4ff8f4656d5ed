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

"""What can go wrong, as exit codes."""

from __future__ import annotations

import errno
import os

OK = 0

# The codes of error events and the exit codes that go with them. They are an
# interface: programs that run this one depend on them.
EXIT_CODES = {
    'unexpected': 1,
    'bad_arguments': 2,
    'not_found': 3,
    'permission': 4,
    'connect': 5,
    'stalled': 6,
    'wrong_size': 7,
    'wrong_digest': 8,
    'no_space': 9,
    'bindings': 10,
    'wrong_cluster': 11,
    'local_file': 12,
    'read': 13,
    'parent_died': 14,
}

# Shells report a death by signal N as 128 + N.
SIGNAL_EXIT = 128


class ExportError(Exception):
    """An export that did not happen.

    :param code: a key of EXIT_CODES, or 'interrupted'
    :param message: one sentence that names the cause and, where there is one,
        the cure; never a secret
    :param facts: what else a program may want to know, by name
    """

    def __init__(self, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts

    @property
    def exit(self) -> int:
        if self.code == 'interrupted':
            return SIGNAL_EXIT + int(self.facts.get('signal', 0))  # type: ignore[call-overload]  # noqa: E501
        return EXIT_CODES[self.code]


def describe(exc: BaseException) -> str:
    """Say what the system or the Ceph bindings said, in one short line."""
    number = getattr(exc, 'errno', None)
    if isinstance(number, int) and number:
        return '%s (%s)' % (os.strerror(abs(number)),
                            errno.errorcode.get(abs(number), str(number)))
    text = ' '.join(str(exc).split())
    return '%s: %s' % (type(exc).__name__, text) if text else (
        type(exc).__name__)


def is_no_space(exc: OSError) -> bool:
    """Whether a disk is full or a quota is used up."""
    return exc.errno in (errno.ENOSPC, errno.EDQUOT)
