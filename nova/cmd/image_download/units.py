# SPDX-License-Identifier: Apache-2.0

"""Numbers with units, as people read them."""

from __future__ import annotations


def format_bytes(count: float) -> str:
    """Return a number of bytes in the largest unit that fits."""
    for unit in ('bytes', 'KiB', 'MiB', 'GiB', 'TiB'):
        if count < 1024 or unit == 'TiB':
            break
        count /= 1024
    return ('%d %s' if unit == 'bytes' else '%.1f %s') % (count, unit)
