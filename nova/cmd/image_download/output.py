# SPDX-License-Identifier: Apache-2.0

"""What the command writes to stdout: tables, lines and JSON."""

from __future__ import annotations

import shutil
import sys
import typing as ty

from oslo_serialization import jsonutils
import prettytable

from nova.cmd.image_download import bench
from nova.cmd.image_download import bench_page
from nova.cmd.image_download import check_item
from nova.cmd.image_download import download
from nova.cmd.image_download import units

# Columns of a terminal that the table of checks takes for all but its last
# column, and the least that is left to that one.
CHECK_MARGIN = 40
CHECK_WIDTH = 30


def check_json(items: list[check_item.Item], over_rbd: bool | None) -> str:
    """Return a check for programs.

    ``cure`` is the old name of ``remedy``, which scripts read.

    :param over_rbd: from check.over_rbd
    """
    return jsonutils.dumps({
        'over_rbd': over_rbd,
        'checks': [{'topic': item.topic, 'state': item.state,
                    'found': item.found, 'remedy': item.remedy,
                    'cure': item.remedy} for item in items]}, indent=2)


def check_table(items: list[check_item.Item]) -> str:
    """Return a table for a terminal, else one line for each item."""
    rows = [[item.topic, item.state, item.found + (
        '. To fix this, %s' % item.remedy if item.remedy else '')]
        for item in items]
    if not sys.stdout.isatty():
        return '\n'.join('%-15s %-15s %s' % tuple(row) for row in rows)
    table = prettytable.PrettyTable(['Check', 'State', 'Found'])
    table.align = 'l'
    table.max_width['Found'] = max(
        CHECK_WIDTH, shutil.get_terminal_size().columns - CHECK_MARGIN)
    table.add_rows(rows)
    return table.get_string()


def verdict(items: list[check_item.Item], image: str | None) -> str:
    """Return the last line of a check."""
    what = 'this image' if image else 'images'
    for state, text in (
        (check_item.PROBLEM, 'A boot on this node does not read %s from RBD'),
        (check_item.UNKNOWN, 'It could not be found out whether a boot on '
         'this node reads %s from RBD'),
    ):
        topics = dict.fromkeys(item.topic for item in items
                               if item.state == state)
        if topics:
            return '%s, see: %s.' % (text % what, ', '.join(topics))
    return 'A boot on this node reads %s from RBD.' % what


def summary(outcome: download.Outcome) -> str:
    """Return what came of a download, in one line."""
    size = units.format_bytes
    data = ('' if outcome.data_bytes is None
            else ' of which %s are data' % size(outcome.data_bytes))
    return ('%s%s over %s in %.2f s (%s/s), %s on disk, %s' % (
        size(outcome.size), data, outcome.method.upper(), outcome.seconds,
        size(outcome.rate), size(outcome.allocated),
        outcome.verified if outcome.verified == 'unverified'
        else 'verified by %s' % outcome.verified))


def bench_table(runs: ty.Sequence[bench.Run]) -> str:
    """Return a table of a comparison, and a sentence on it."""
    size = units.format_bytes
    table = prettytable.PrettyTable([
        'Way', 'Seconds', 'Fastest', 'Slowest', 'Rate', 'CPU seconds',
        'On disk', 'Verified by'])
    table.align = 'r'
    for each in bench.summarise(runs):
        table.add_row([
            each.method.upper(), '%.2f' % each.seconds,
            '%.2f' % each.fastest, '%.2f' % each.slowest,
            size(each.rate) + '/s', '%.2f' % each.cpu_seconds,
            size(each.allocated), each.verified])
    lines = [table.get_string()]
    speedup = bench.speedup(bench.summarise(runs))
    if speedup:
        lines.append(bench_page.comparison(speedup))
    return '\n'.join(lines)
