# SPDX-License-Identifier: Apache-2.0

"""Which byte ranges of an image to read, and in which pieces."""

from __future__ import annotations

from collections.abc import Iterable


def normalise(extents: Iterable[tuple[int, int]], size: int,
              unit: int) -> list[tuple[int, int]]:
    """Turn hints about existing data into ranges that can be relied upon.

    Releases of Ceph differ in what they report: ranges out of order or more
    than once (tracker 53885), ranges that start in the middle of an object
    (tracker 53784), ranges past the end of the image. Widened to whole
    objects, sorted, merged and cut they are right, or they name too much.

    :param extents: pairs of offset and length in bytes, in any order
    :param size: of the image in bytes
    :param unit: bytes to which ranges are widened: the size of an object, or
        of a set of objects where the image is striped
    :returns: pairs of offset and length, in order, apart from each other
    """
    result: list[tuple[int, int]] = []
    start = end = 0
    for offset, length in sorted(extents):
        first = max(0, offset - offset % unit)
        last = min(size, -(-(offset + length) // unit) * unit)
        if length <= 0 or last <= first:
            continue
        if first > end:
            if end > start:
                result.append((start, end - start))
            start = first
        end = max(end, last)
    if end > start:
        result.append((start, end - start))
    return result


def rotated(extents: list[tuple[int, int]], unit: int,
            part: float) -> list[tuple[int, int]]:
    """Let ranges begin in the middle and go round the end.

    Nodes that read the same image at the same time then do not ask the same
    OSD for the same object, one and all.

    :param extents: pairs of offset and length in bytes, in order
    :param unit: bytes; the new beginning is a multiple of it in the image, or
        the beginning of a range
    :param part: how much of the data comes before it, from 0 to 1
    :returns: the same bytes, in pairs of offset and length
    """
    skip = int(total(extents) * part)
    for n, (offset, length) in enumerate(extents):
        if skip < length:
            start = max(offset, (offset + skip) // unit * unit)
            head = [(offset, start - offset)] if start > offset else []
            return [(start, offset + length - start), *extents[n + 1:],
                    *extents[:n], *head]
        skip -= length
    return extents


class Cursor:
    """Cuts ranges into pieces at multiples of a length that may change.

    :param extents: pairs of offset and length in bytes, in order
    """

    def __init__(self, extents: Iterable[tuple[int, int]]) -> None:
        self._rest = iter(extents)
        self._offset = self._left = 0

    def next_length(self, length: int) -> int:
        """Return how long the next piece will be, 0 if there is none.

        :param length: of a piece; those at the ends of a range may be shorter
        """
        while not self._left:
            extent = next(self._rest, None)
            if extent is None:
                return 0
            self._offset, self._left = extent
        return min(self._left, length - self._offset % length)

    def take(self, length: int) -> tuple[int, int]:
        """Return the next piece.

        :param length: that of the piece, as next_length said
        :returns: its offset and length
        """
        offset = self._offset
        self._offset += length
        self._left -= length
        return offset, length


def total(extents: Iterable[tuple[int, int]]) -> int:
    """Return how many bytes there are in all ranges."""
    return sum(length for _offset, length in extents)
