# SPDX-License-Identifier: Apache-2.0

"""Figures as parts of a page: tables to be included in it, and plots."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import os
import statistics
from typing import Any

from . import nodes
from . import plots
from . import tables
from . import targets
from .common import GIB
from .common import MIB
from .methods import is_nova
from .methods import METHODS
from .scaling import SERIES
from .summary import middle
from .summary import summarise

Results = Sequence[Mapping[str, Any]]

#: Figures that are plotted: a field of Sample, title, divisor, unit.
FIGURES = (('wall', 'Wall time', 1, 's'),
           ('cpu', 'Processor time of the client', 1, 's'),
           ('rss', 'Resident memory at most', MIB, 'MiB'),
           ('allocated', 'Allocated on the disk', MIB, 'MiB'),
           ('read', 'Sent by the OSD', MIB, 'MiB'))

_LIMITS = ('reads', 'sha512')
_OURS = ('engine', 'verified', 'nova', 'nova-verified')


def merged(results: Results, nova: bool) -> dict[str, Any]:
    """The workloads of all results.

    :param nova: whether to take what Nova copied, or the rest
    :returns: for each workload the result with most methods, the last one if
        there are several
    """
    found: dict[str, Any] = {}
    for result in results:
        for label, entry in result.get('workloads', {}).items():
            samples = {method: taken
                       for method, taken in entry['samples'].items()
                       if is_nova(method) == nova}
            before = found.get(label, {'samples': ()})['samples']
            if samples and len(samples) >= len(before):
                found[label] = dict(entry, samples=samples)
    return found


def bars(workloads: Mapping[str, Any], figure: str, title: str, scale: float,
         unit: str) -> str:
    """A plot of one figure of all workloads and methods."""
    groups = {}
    for label, entry in workloads.items():
        group = []
        for method, samples in entry['samples'].items():
            value = middle(samples, figure)
            if value is None or not value and method in _LIMITS:
                continue
            taken = [sample[figure] / scale for sample in samples]
            group.append(plots.Bar(
                METHODS[method].text, value / scale, min(taken), max(taken),
                plots.OURS if method in _OURS else
                plots.LIMIT if method in _LIMITS else plots.THEIRS))
        groups[f'{label}: {entry["text"]}'] = group
    return plots.bars(title, groups, unit)


def _engine(results: Results) -> Iterable[tuple[str, str]]:
    for nova, name in ((False, 'engine'), (True, 'nova')):
        workloads = merged(results, nova)
        if not workloads:
            continue
        rows = summarise({'workloads': workloads})
        yield f'{name}.inc', tables.page(tables.HEAD, tables.cells(rows))
        for figure in FIGURES:
            yield f'{name}-{figure[0]}.svg', bars(workloads, *figure)


def _targets(results: Results) -> Iterable[tuple[str, str]]:
    rows = targets.cells(results)
    if rows:
        yield 'targets.inc', tables.page(
            ['target', 'bound', 'measured', 'met'], rows)


def _scaling(results: Results) -> Iterable[tuple[str, str]]:
    series = {name: points for result in results
              for name, points in result.get('scaling', {}).items()}
    rows = []
    for name, points in series.items():
        about = SERIES[name]
        axis = plots.Axis(about.text, [point['x'] for point in points],
                          about.log)
        for figure, title, scale, unit in FIGURES[:3]:
            yield f'scaling-{name}-{figure}.svg', plots.lines(
                f'{title} against {about.title}', axis, unit, {
                    METHODS[method].text: [
                        (point['x'],
                         (middle(point['samples'][method], figure) or 0)
                         / scale) for point in points]
                    for method in points[0]['samples']})
        for point in points:
            for method, samples in point['samples'].items():
                taken = [sample['wall'] for sample in samples]
                rows.append([
                    f'{point["x"]} {about.text}', METHODS[method].text,
                    f'{statistics.median(taken):.2f}',
                    f'{min(taken):.2f}-{max(taken):.2f}',
                    f'{middle(samples, "cpu") or 0:.2f}',
                    f'{(middle(samples, "rss") or 0) / MIB:.0f}'])
    if rows:
        yield 'scaling.inc', tables.page(
            ['', 'method', 'seconds', 'min-max', 'CPU s', 'RSS MiB'], rows)


def _rates(results: Results) -> Iterable[tuple[str, str]]:
    rows = [[f'{told["rate"] / MIB:.0f}',
             f'{statistics.median(told["taken"]) / MIB:.2f}',
             f'{min(told["taken"]) / MIB:.2f}-{max(told["taken"]) / MIB:.2f}']
            for result in results for told in result.get('rates', ())]
    if rows:
        yield 'rates.inc', tables.page(
            ['limit, MiB/s', 'measured', 'min-max'], rows)


def _ticker(results: Results) -> Iterable[tuple[str, str]]:
    rows = [[told['mode'], METHODS[told['method']].text,
             f'{1000 * statistics.median(told["gaps"]):.0f}',
             f'{1000 * max(told["gaps"]):.0f}']
            for result in results for told in result.get('ticker', ())]
    if rows:
        yield 'ticker.inc', tables.page(
            ['mode', 'method', 'largest gap in ms, median', 'worst run'],
            rows)


def _nodes(results: Results) -> Iterable[tuple[str, str]]:
    told = [entry for result in results for entry in result.get('nodes', ())]
    if not told:
        return
    yield 'nodes.inc', tables.page(nodes.HEAD, nodes.cells(told))
    for model in {entry['model']: None for entry in told}:
        groups: dict[str, list[plots.Bar]] = {}
        for entry in told:
            if entry['model'] != model:
                continue
            name = f'{entry["nodes"]} nodes' + (
                ', verified' if entry['digest'] else '')
            groups.setdefault(name, []).append(plots.Bar(
                entry['order'], entry['seconds'],
                colour=plots.OURS if entry['order'] == nodes.ours(
                    entry['digest']) else plots.THEIRS))
        yield f'nodes-{model}.svg', plots.bars(
            f'Until the last node has the image, OSDs on {model}', groups,
            's')


def _about(results: Results) -> Iterable[tuple[str, str]]:
    lines = ['.. code-block:: console', '']
    lines += [f'   # {result["command"]}' for result in results]
    yield 'commands.inc', '\n'.join(lines) + '\n'
    about = results[-1]['machine']
    yield 'machine.inc', (
        f'{about["cores"]} cores of {about["cpu"]}, '
        f'{about["memory"] / GIB:.0f} GiB of memory, Linux '
        f'{about["kernel"]}, {about["ceph"]}; {about["date"][:10]}.\n')


_PARTS: tuple[Callable[[Results], Iterable[tuple[str, str]]], ...] = (
    _engine, _targets, _scaling, _rates, _ticker, _nodes, _about)


def write(results: Results, directory: str) -> list[str]:
    """Write all parts for which there are figures.

    :param results: what was measured, in the order of time
    :param directory: where the files are put; it is made if need be
    :returns: the names of the files
    """
    os.makedirs(directory, exist_ok=True)
    names = []
    for part in _PARTS:
        for name, text in part(results):
            with open(os.path.join(directory, name), 'w') as f:
                f.write(text)
            names.append(name)
    return names
