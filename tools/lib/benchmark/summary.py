# SPDX-License-Identifier: Apache-2.0

"""Medians, spread and ratios of what was measured."""

from collections.abc import Mapping
from collections.abc import Sequence
import statistics
from typing import Any

from .measuring import Sample

#: A sample, as it is kept in JSON.
Taken = Mapping[str, Any]

#: The methods that others are compared with, the first that was measured.
OURS = ('engine', 'nova')


def middle(samples: Sequence[Taken], figure: str) -> float | None:
    """The median of a figure, None if it is not known."""
    values = [sample.get(figure) for sample in samples]
    return None if None in values else statistics.median(values)


def ratio(over: Sequence[Taken], under: Sequence[Taken],
          figure: str) -> float:
    """How many times that of others a figure is.

    It is the median of the ratios of each round, not that of the medians:
    what slowed the machine down for a while slowed down both.
    """
    return statistics.median(a[figure] / b[figure]
                             for a, b in zip(over, under))


def summarise(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Medians, spread, and the ratio of each method to our own.

    :param result: with "workloads"
    :returns: a row for each workload and method
    """
    rows = []
    for label, entry in result['workloads'].items():
        ours = next((entry['samples'][name] for name in OURS
                     if name in entry['samples']), None)
        for method, samples in entry['samples'].items():
            row = {'workload': label, 'method': method,
                   'size': entry['size'] * entry['count'],
                   'min': min(s['wall'] for s in samples),
                   'max': max(s['wall'] for s in samples)}
            row.update({figure: middle(samples, figure)
                        for figure in Sample._fields})
            if ours:
                for figure in ('wall', 'cpu'):
                    row[figure + '_ratio'] = ratio(samples, ours, figure)
            rows.append(row)
    return rows
