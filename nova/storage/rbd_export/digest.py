# SPDX-License-Identifier: Apache-2.0

"""Hash algorithms, by the names that hashlib and Glance give them."""

from __future__ import annotations

import hashlib

from .errors import ExportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash


def available() -> list[str]:
    """Return the names of the algorithms that can be used here."""
    return sorted(name for name in hashlib.algorithms_available
                  if _make(name) is not None)


def new(algorithm: str) -> _Hash:
    """Return a new hash object.

    :raises: ExportError if there is no such algorithm here
    """
    made = _make(algorithm)
    if made is None:
        raise ExportError(
            'bad_arguments', 'there is no digest algorithm %r here; use one '
            'of %s' % (algorithm, ', '.join(available())))
    return made


def parse(text: str) -> tuple[str, str | None]:
    """Split ALGORITHM or ALGORITHM:HEX and check both.

    :returns: the algorithm and the digest in lower case, None if there is none
    :raises: ExportError if one of them cannot be right
    """
    algorithm, colon, expected = text.partition(':')
    made = new(algorithm)
    if not colon:
        return algorithm, None
    expected = expected.strip().lower()
    digits = 2 * made.digest_size
    if len(expected) != digits or expected.strip('0123456789abcdef'):
        raise ExportError(
            'bad_arguments', 'the digest after %s: must be %d hexadecimal '
            'digits' % (algorithm, digits))
    return algorithm, expected


def _make(algorithm: str) -> _Hash | None:
    try:
        # Glance may still hold MD5 checksums. They tell damage, and a host
        # in FIPS mode must not refuse them for that.
        made = hashlib.new(algorithm, usedforsecurity=False)
    except (ValueError, TypeError):
        return None
    # The digests of SHAKE have no length of their own.
    return made if made.digest_size else None
