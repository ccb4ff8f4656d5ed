# SPDX-License-Identifier: Apache-2.0

"""Finding zeros in data.

An image that was uploaded without thin provisioning holds its zeros as data.
On the local disk they become holes, block by block.
"""

from __future__ import annotations

from collections.abc import Iterator

# Files systems allocate blocks of this many bytes, or a multiple.
BLOCK = 4096

_BLOCK_OF_ZEROS = bytes(BLOCK)
# Compared in steps that stay in the processor's cache.
_STEP = 65536
_STEP_OF_ZEROS = bytes(_STEP)


def is_zero(data: bytes) -> bool:
    """Whether there is no byte but zero in data."""
    # A look at a few bytes settles it for nearly all data.
    if data[:16].strip(b'\0') or data[-16:].strip(b'\0'):
        return False
    whole = len(data) - len(data) % _STEP
    for start in range(0, whole, _STEP):
        if not data.startswith(_STEP_OF_ZEROS, start):
            return False
    return not data[whole:].strip(b'\0')


def data_runs(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the runs of blocks that are not all zeros.

    Blocks are counted from the start of the data, so that must be the start
    of a block in the file too.

    :returns: pairs of start and end, in bytes from the start of the data, in
        order, not adjacent
    """
    size = len(data)
    # A block of zeros has a zero in its first byte, in its last one and in
    # between. Taking one byte of each block costs next to nothing, and where
    # none of them is zero, as in most data, that was all.
    firsts = data[::BLOCK]
    candidate = firsts.find(0)
    if candidate < 0:
        if size:
            yield 0, size
        return
    if is_zero(data):
        return
    start = 0
    while candidate >= 0:
        offset = candidate * BLOCK
        end = min(offset + BLOCK, size)
        if data.startswith(_BLOCK_OF_ZEROS[:end - offset], offset):
            if start < offset:
                yield start, offset
            start = end
        candidate = firsts.find(0, candidate + 1)
    if start < size:
        yield start, size
