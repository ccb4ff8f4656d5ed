# SPDX-License-Identifier: Apache-2.0

"""How time and memory grow with the size of an image and with their number."""

from typing import Any
from typing import NamedTuple

from .common import GIB
from .common import MIB
from .measuring import measure
from .methods import Bench
from .workloads import Workload


class Series(NamedTuple):
    """Workloads that differ in one thing.

    :ivar title: what differs
    :ivar text: the same with its unit
    :ivar log: whether it is doubled, or so, from one to the next
    :ivar workloads: by that value
    """

    title: str
    text: str
    log: bool
    workloads: dict[int, Workload]


def _size(gib: int, data: int) -> Workload:
    return Workload(gib * GIB, 100 * data / (gib * GIB),
                    f'{gib} GiB, {data // MIB} MiB of data')


SERIES = {
    'size': Series('provisioned size',
                   'GiB provisioned, 512 MiB of data', True, {
        gib: _size(gib, 512 * MIB) for gib in (1, 4, 16, 64)}),
    'data': Series('part that is data', '% of 1 GiB', False, {
        percent: Workload(GIB, percent, f'1 GiB, {percent}% data')
        for percent in (0, 25, 50, 75, 100)}),
    'count': Series('downloads at once', 'times 256 MiB, all data', False, {
        count: Workload(256 * MIB, 100, f'{count} of 256 MiB at once',
                        count=count) for count in (1, 2, 4, 8)}),
}

DEFAULT_METHODS = ('engine', 'rbd-export')


def measure_all(bench: Bench, names: list[str], methods: list[str],
                runs: int) -> dict[str, Any]:
    """Measure series.

    :param names: keys of SERIES
    :param methods: which methods
    :param runs: how often each
    :returns: for each series its points: "x" and "samples" by method
    """
    return {name: [
        {'x': x, 'samples': measure(bench, f'{name}-{x}', workload, methods,
                                    runs, False)}
        for x, workload in SERIES[name].workloads.items()] for name in names}
