#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Make the guide's table of faults from what the functional tests recorded.

The tests append a row for each fault to the file that the environment
variable NOVA_FAULT_MATRIX names, after they have checked all that it says::

  NOVA_FAULT_MATRIX=$PWD/build/faults.jsonl tools/run_tests.py functional
  tools/fault_matrix.py build/faults.jsonl -o doc/source/admin/fault-matrix.rst

Of several rows for the same fault in the same mode, as of several runs, the
last one counts.

exit codes: 0 done, 1 the rows are not good enough for the guide: one tells of
wrong bytes, or a fault was not met in both modes, 2 wrong usage or no rows
"""

import argparse
import json
import sys
import textwrap
import typing as ty

OK, BAD, USAGE = range(3)

MODES = ('threading', 'eventlet')
# What may be found where the image was to be put.
FILES = ('right bytes', 'nothing')
# In this order; others come after them.
TOPICS = ('The cluster', 'The network', 'The processes', 'The local disk',
          'The bytes', 'Crashes and the shared cache')
FIELDS = ('topic', 'cause', 'produced', 'happened', 'files')

PAGE = '''\
============
Fault matrix
============

..
   Made by tools/fault_matrix.py. Do not edit.

What comes of a fault in the middle of a direct download. Every row was
produced on a real Ceph cluster with a real Glance, {count} of them in each of
Nova's two concurrency modes. In none of them were bytes lost or wrong: what
is in the image cache in the end is the image, or nothing.

Wherever HTTP was allowed and tried, Glance had a second copy of the image
outside of the cluster that was broken. Timeouts were the shortest possible:
:oslo.config:option:`glance.rbd_connect_timeout` was 2 seconds and
:oslo.config:option:`glance.rbd_download_stall_timeout` 5 seconds. The seconds
are those from the fault, or from the start of the download where the fault was
there before, to the end, with native threads and with eventlet, on a machine
with two processors that also ran the cluster.
'''


class RowsError(Exception):
    """The rows cannot be used."""


class Fault:
    """A fault and what came of it.

    :ivar facts: the values of FIELDS by their names
    :ivar seconds: how long it took, by mode
    """

    def __init__(self, facts: ty.Dict[str, str]) -> None:
        self.facts = facts
        self.seconds: ty.Dict[str, float] = {}


def read(lines: ty.Iterable[str]) -> ty.List[Fault]:
    """Bring together the rows of each fault.

    :param lines: JSON objects
    :returns: the faults in the order of the table
    :raises RowsError: if a line is no row, or there is none
    """
    faults: ty.Dict[ty.Tuple[str, ...], Fault] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            facts = {field: str(row[field]) for field in FIELDS}
            mode, seconds = row['mode'], float(row['seconds'])
        except (ValueError, TypeError, KeyError) as e:
            raise RowsError('line %d is no row of the fault matrix: %r'
                            % (number, e)) from None
        fault = faults.setdefault(tuple(facts.values()), Fault(facts))
        fault.seconds[mode] = seconds
    if not faults:
        raise RowsError('there are no rows: run the functional tests with '
                        'NOVA_FAULT_MATRIX set to the file')

    def topic(fault: Fault) -> int:
        name = fault.facts['topic']
        return TOPICS.index(name) if name in TOPICS else len(TOPICS)

    return sorted(faults.values(), key=topic)


def complaints(faults: ty.Iterable[Fault]) -> ty.List[str]:
    """Say what is not good enough for the guide."""
    found = []
    for fault in faults:
        facts = fault.facts
        name = '%(cause)s (%(happened)s)' % facts
        if facts['files'] not in FILES:
            found.append('%s: %s at the target' % (name, facts['files']))
        for mode in MODES:
            if mode not in fault.seconds:
                found.append('%s: not met in the mode %s' % (name, mode))
    return found


def render(faults: ty.List[Fault]) -> str:
    """Return the page."""
    parts = [PAGE.format(count=len(faults))]
    topic = None
    for fault in faults:
        facts = fault.facts
        if facts['topic'] != topic:
            topic = facts['topic']
            parts.append('\n%s\n%s\n\n%s' % (topic, '-' * len(topic), '''\
.. list-table::
   :header-rows: 1
   :widths: 26 24 24 12 7 7

   * - Fault
     - How it was produced
     - What happened
     - At the target
     - Threads
     - Eventlet
'''))
        cells = [facts[field] for field in
                 ('cause', 'produced', 'happened', 'files')]
        cells += ['%.1f s' % fault.seconds[mode] if mode in fault.seconds
                  else 'not run' for mode in MODES]
        for number, cell in enumerate(cells):
            parts.append(textwrap.fill(
                cell, 79, initial_indent='     - ' if number else '   * - ',
                subsequent_indent=' ' * 7, break_long_words=False,
                break_on_hyphens=False) + '\n')
    return ''.join(parts)


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run; see the module's text for what is returned."""
    parser = argparse.ArgumentParser(
        prog='fault_matrix.py', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='+', metavar='FILE',
                        help='what the tests recorded')
    parser.add_argument('-o', '--output', metavar='FILE',
                        help='the page (default: standard output)')
    args = parser.parse_args(argv)
    lines: ty.List[str] = []
    try:
        for path in args.rows:
            with open(path, encoding='utf-8') as f:
                lines += f
        faults = read(lines)
    except (OSError, RowsError) as e:
        print('fault_matrix.py: %s' % e, file=sys.stderr)
        return USAGE
    bad = complaints(faults)
    if bad:
        print('fault_matrix.py: the guide is not for this:', *bad,
              sep='\n  ', file=sys.stderr)
        return BAD
    page = render(faults)
    if args.output:
        with open(args.output, 'w', encoding='utf-8') as f:
            f.write(page)
    else:
        sys.stdout.write(page)
    return OK


if __name__ == '__main__':
    sys.exit(main())
