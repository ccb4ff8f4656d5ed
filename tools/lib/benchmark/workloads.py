# SPDX-License-Identifier: Apache-2.0

"""Which images are copied, and what is in them."""

from collections.abc import Iterator
import hashlib
import random
from typing import NamedTuple

from .common import BenchmarkError
from .common import GIB
from .common import MIB

# Runs of data in a sparse image, as those of a file system.
RUN = 32 * MIB


STEP = 4 * MIB


class Workload(NamedTuple):
    """An image, or several, to be copied.

    :ivar size: in bytes
    :ivar percent: how much of it is data
    :ivar text: what it is
    :ivar zeros: whether the rest is stored as zeros
    :ivar order: objects have 2**order bytes
    :ivar mapped: whether there is an object map
    :ivar clone: whether it is a clone with a parent
    :ivar count: copies of it, different images, made at the same time
    :ivar cold: whether the OSD is started anew before each run
    :ivar delay: seconds that the OSD waits with each request
    :ivar fill: what the data is, 'random' or 'qcow2'
    """

    size: int
    percent: float
    text: str
    zeros: bool = False
    order: int = 23
    mapped: bool = True
    clone: bool = False
    count: int = 1
    cold: bool = False
    delay: float = 0
    fill: str = 'random'

    @property
    def data(self) -> int:
        """Bytes that are no zeros, of all images."""
        return self.count * sum(
            length for _, length in data_ranges(self, 0))

    @property
    def stored(self) -> int:
        """Bytes that the cluster has to keep, of all images."""
        return self.size * self.count if self.zeros else self.data


WORKLOADS = {
    'dense': Workload(2 * GIB, 100, '2 GiB, all data'),
    'sparse': Workload(8 * GIB, 15, '8 GiB, 15% data'),
    'huge': Workload(64 * GIB, 1, '64 GiB, 1% data'),
    'zeros': Workload(2 * GIB, 15, '2 GiB, 15% data, stored zeros',
                      zeros=True),
    'qcow2': Workload(1 * GIB, 100, '1 GiB, a qcow2 file', fill='qcow2'),
    'tiny': Workload(16 * MIB, 100, '16 MiB, all data'),
    'clone': Workload(2 * GIB, 50, '2 GiB, 50% data, clone of a parent',
                      clone=True),
    'nomap': Workload(2 * GIB, 50, '2 GiB, 50% data, no object map',
                      mapped=False),
    'huge-nomap': Workload(64 * GIB, 1, '64 GiB, 1% data, no object map',
                           mapped=False),
    'objects4': Workload(2 * GIB, 100, '2 GiB, all data, 4 MiB objects',
                         order=22),
    'four': Workload(512 * MIB, 100, 'four of 512 MiB at once', count=4),
    'cold': Workload(1 * GIB, 100, '1 GiB, all data, OSD just started',
                     cold=True),
    'slow': Workload(256 * MIB, 100, '256 MiB, all data, slow OSD',
                     delay=0.02),
}


DEFAULT_WORKLOADS = ('dense', 'sparse', 'zeros', 'tiny')


def parse_workload(text: str) -> tuple[str, Workload]:
    """A workload by name, or by SIZE:PERCENT[xCOUNT], "16G:15" or "1G:50x4".

    :raises BenchmarkError: if it is neither
    """
    if text in WORKLOADS:
        return text, WORKLOADS[text]
    size, colon, rest = text.partition(':')
    percent, times, count = rest.partition('x')
    unit = {'M': MIB, 'G': GIB}.get(size[-1:])
    if not (unit and colon and size[:-1].isdigit() and percent.isdigit()
            and int(percent) <= 100 and (not times or count.isdigit())):
        raise BenchmarkError(
            f'{text!r} is no workload: use one of {", ".join(WORKLOADS)}, or '
            'SIZE:PERCENT[xCOUNT], for example 16G:15')
    copies = int(count) if times else 1
    words = f'{size[:-1]} {size[-1]}iB, {percent}% data'
    return text, Workload(int(size[:-1]) * unit, int(percent),
                          words + (f', {copies} at once' if times else ''),
                          count=copies)


def data_ranges(workload: Workload, seed: int) -> list[tuple[int, int]]:
    """Where an image holds data, as pairs of offset and length.

    Where it is, is up to the seed, how much it is not.
    """
    if workload.percent >= 100:
        return [(0, workload.size)]
    if not workload.percent:
        return []
    run = min(RUN, workload.size // 16)
    places = workload.size // run
    count = max(1, int(places * workload.percent / 100))
    chosen = sorted(random.Random(seed).sample(range(places), count))
    return [(place * run, run) for place in chosen]


def data_of(workload: Workload, seed: int) -> Iterator[tuple[int, bytes]]:
    """The bytes of an image, as pairs of offset and data."""
    rng = random.Random(seed)
    for offset, length in data_ranges(workload, seed):
        for start in range(offset, offset + length, STEP):
            size = min(STEP, offset + length - start)
            data = rng.randbytes(size)
            if workload.fill == 'qcow2' and not start:
                # What qemu-img takes for a qcow2 file is one to Nova, too.
                data = b'QFI\xfb\0\0\0\3' + data[8:]
            yield start, data


def digest_of(workload: Workload, seed: int) -> str:
    """The sha512 of an image."""
    hasher, position, hole = hashlib.sha512(), 0, bytes(MIB)
    for offset, data in data_of(workload, seed):
        while position < offset:
            step = min(MIB, offset - position)
            hasher.update(hole[:step])
            position += step
        hasher.update(data)
        position += len(data)
    while position < workload.size:
        step = min(MIB, workload.size - position)
        hasher.update(hole[:step])
        position += step
    return hasher.hexdigest()
