# SPDX-License-Identifier: Apache-2.0

"""What the engine is to reach, and whether it does."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from .common import MIB
from .summary import middle
from .summary import ratio
from .summary import Taken


class Target(NamedTuple):
    """A bound on how two methods compare on a workload.

    :ivar workload: its name
    :ivar over: the method whose figure is divided, or several, of which the
        one that takes longer counts
    :ivar under: the one, or the several, by whose figure it is divided; none
        for the figure itself
    :ivar least: what the quotient must at least be, None for no such bound
    :ivar most: what it may at most be
    :ivar figure: a field of Sample
    """

    workload: str
    over: tuple[str, ...]
    under: tuple[str, ...]
    least: float | None = None
    most: float | None = None
    figure: str = 'wall'


def _targets() -> list[Target]:
    ours, rbd = ('engine',), ('rbd-export',)
    targets = [Target(workload, rbd, ours, least=least)
               for workload, least in (('dense', 1.6), ('sparse', 4),
                                       ('huge', 10), ('zeros', 1.5),
                                       ('tiny', 1), ('four', 1.4))]
    targets += [
        Target('dense', ours, ('reads',), most=1.5),
        Target('dense', ('verified',), ('reads', 'sha512'), most=1.08),
        Target('sparse', ('verified',), ('reads', 'sha512'), most=1.08),
        Target('dense', ('qemu-img',), ours, least=1.5),
        Target('sparse', ('qemu-img',), ours, least=1.3),
        Target('dense', ('http',), ('nova',), least=3),
        Target('sparse', ('http',), ('nova',), least=10),
        Target('dense', ('http',), ('nova-verified',), least=1.5),
        Target('zeros', ours, (), most=1.01, figure='allocated'),
    ]
    for workload in ('dense', 'sparse', 'huge', 'zeros', 'tiny'):
        targets += [
            Target(workload, ours, rbd, most=0.7, figure='cpu'),
            Target(workload, ours, rbd, most=0.25, figure='rss'),
            Target(workload, ours, (), most=100 * MIB, figure='rss')]
        if workload in ('dense', 'sparse'):
            targets.append(Target(workload, ('verified',), (), most=100 * MIB,
                                  figure='rss'))
    return targets


TARGETS = _targets()

_WORDS = {'wall': 'Wall time', 'cpu': 'CPU', 'rss': 'Resident memory',
          'allocated': 'On disk'}


class Outcome(NamedTuple):
    """What was measured for a target.

    :ivar target: the target
    :ivar value: the quotient, or the figure
    :ivar met: whether that is within the bounds
    """

    target: Target
    value: float
    met: bool


def _slower(entry: Mapping[str, Any],
            methods: Iterable[str]) -> list[Taken] | None:
    """The samples of the method that takes longer, None if one is missing."""
    found = [entry['samples'].get(method) for method in methods]
    if not found or None in found:
        return None
    return max(found, key=lambda samples: middle(samples, 'wall') or 0)


def outcome(target: Target, results: Iterable[Mapping[str, Any]],
            ) -> Outcome | None:
    """Compare what was measured with a target.

    :param results: each with "workloads"; the last one that has all that is
        needed counts
    :returns: None if it was not measured
    """
    found = None
    for result in results:
        entry = result.get('workloads', {}).get(target.workload)
        if entry is None:
            continue
        over = _slower(entry, target.over)
        under = _slower(entry, target.under)
        if not over or target.under and not under:
            continue
        if under:
            value = ratio(over, under, target.figure)
        else:
            value = middle(over, target.figure) or 0.0
            if target.figure == 'allocated':
                value /= entry['data']
        found = Outcome(target, value, (
            (target.least is None or value >= target.least) and
            (target.most is None or value <= target.most)))
    return found


def cells(results: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of text: what, wanted, measured, met."""
    results = list(results)
    rows = []
    for target in TARGETS:
        told = outcome(target, results)
        if told is None:
            continue
        over, under = (' or '.join(names)
                       for names in (target.over, target.under))
        what = f'{_WORDS[target.figure]}, {target.workload}: {over}'
        form, scale, unit = '.2f', 1, ''
        if under:
            what += f' by {under}'
        elif target.figure == 'allocated':
            what += ' by the data that is not zero'
            form = '.3f'
        else:
            form, scale, unit = '.0f', MIB, ' MiB'
        sign, bound = ('at least', target.least) if (
            target.least is not None) else ('at most', target.most)
        assert bound is not None
        rows.append([what, f'{sign} {bound / scale:g}{unit}',
                     f'{told.value / scale:{form}}{unit}',
                     'yes' if told.met else '**no**'])
    return rows
