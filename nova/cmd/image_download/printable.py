# SPDX-License-Identifier: Apache-2.0

"""Text of others, made fit for a terminal.

Names of images are chosen by tenants and may hold whatever a terminal obeys:
colours, titles, a cleared screen with a forged line on it.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text with an escape in place of what is not printable."""
    if text.isprintable():
        return text
    return ''.join(
        char if char.isprintable()
        else char.encode('unicode_escape').decode('ascii') for char in text)
