# SPDX-License-Identifier: Apache-2.0

"""Tables of figures, for a terminal and for a page."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from .common import MIB

HEAD = ['workload', 'method', 'seconds', 'min-max', 'MiB/s', 'CPU s',
        'OSD CPU s', 'RSS MiB', 'disk MiB', 'read MiB', 'wall/ours',
        'CPU/ours']


def _number(value: float | None, form: str) -> str:
    return '' if value is None else format(value, form)


def cells(rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of text, one for each row of figures.

    :param rows: those of :func:`benchmark.summary.summarise`
    """
    return [[
        row['workload'], row['method'], f'{row["wall"]:.2f}',
        f'{row["min"]:.2f}-{row["max"]:.2f}',
        f'{row["size"] / MIB / row["wall"]:.0f}', f'{row["cpu"]:.2f}',
        _number(row.get('osd'), '.2f'), f'{row["rss"] / MIB:.0f}',
        f'{row["allocated"] / MIB:.0f}',
        _number(None if row['read'] is None else row['read'] / MIB, '.0f'),
        _number(row.get('wall_ratio'), '.2f'),
        _number(row.get('cpu_ratio'), '.2f')] for row in rows]


def text(head: Sequence[str], body: Sequence[Sequence[str]],
         left: int = 2) -> str:
    """A table for a terminal.

    :param head: names of the columns
    :param body: the rows
    :param left: so many columns have text and not figures
    """
    lines = [head, *body]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return '\n'.join('  '.join(
        cell.ljust(width) if n < left else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)


def page(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table in reStructuredText."""
    lines = ['.. list-table::', '   :header-rows: 1', '']
    for row in [head, *body]:
        for n, cell in enumerate(row):
            if cell[:1].isdigit():
                # A range of numbers stays on one line.
                cell = cell.replace('-', '\N{NON-BREAKING HYPHEN}')
            lines.append(f'   {"*" if not n else " "} - {cell}'.rstrip())
    return '\n'.join(lines) + '\n'
