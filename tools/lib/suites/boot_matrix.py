#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Show what the boot tests recorded, as a table, JSON or a page of the guide.

The tests append a row for each thing that was done with a server to the file
that the environment variable NOVA_BOOT_MATRIX names, after they have checked
all that it says. tools/boot runs them and this program.

  tools/boot_matrix.py build/boot.jsonl
  tools/boot_matrix.py --rst doc/source/contributor/boot-matrix.rst \\
      build/boot.jsonl

Of several rows for the same thing in the same mode the last one counts.

exit codes: 0 done, 1 a thing was not seen in both modes, or differently, and
a page was asked for, 2 wrong usage or no rows
"""

import argparse
import json
import sys
import textwrap
import typing as ty

OK, BAD, USAGE = range(3)

MODES = ('threading', 'eventlet')
# In this order; others come after them.
TOPICS = ('Boot from the image cache', 'The image cache',
          'What is done with a server', 'Without RBD', 'Hostile images',
          'Disks in Ceph (images_type = rbd)')

PAGE = '''\
===========
Boot matrix
===========

..
   Made by tools/boot_matrix.py. Do not edit.

What was done with real servers on one machine: Ceph, Keystone, Glance,
Placement, RabbitMQ, MariaDB, libvirt, QEMU, and the services of Nova with the
change of this project. The tests asked for each of it through the APIs and
looked from outside at what came of it; the evidence is what they checked.
:doc:`testing` says how to do it again. The seconds are those of the whole
test, with native threads and with eventlet in nova-compute, nova-conductor and
nova-scheduler, on a machine with two processors that ran all of it at the same
time; they say that it was done and not how fast it can be. The API server of
Nova has native threads in both.
'''


class RowsError(Exception):
    """The rows cannot be used."""


class Cell(ty.NamedTuple):
    """What was seen in one mode, and how long the test took."""

    evidence: ty.List[str]
    seconds: float


class Row:
    """Something that is done with a server.

    :ivar cells: what came of it, by mode
    """

    def __init__(self, topic: str, what: str) -> None:
        self.topic = topic
        self.what = what
        self.cells: ty.Dict[str, Cell] = {}

    @property
    def evidence(self) -> ty.List[str]:
        """What was seen in the first mode there is."""
        return next(self.cells[mode].evidence for mode in MODES
                    if mode in self.cells)

    def seconds(self, mode: str) -> str:
        """How long it took, as it is printed."""
        return ('%.0f s' % self.cells[mode].seconds if mode in self.cells
                else 'not run')


def read(lines: ty.Iterable[str]) -> ty.List[Row]:
    """Bring together what was seen in each mode.

    :param lines: JSON objects
    :returns: the rows in the order of the table
    :raises RowsError: if a line is no row, or there is none
    """
    rows: ty.Dict[ty.Tuple[str, str], Row] = {}
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            key = (str(found['topic']), str(found['what']))
            cell = Cell([str(text) for text in found['evidence']],
                        float(found['seconds']))
            mode = MODES[MODES.index(found['mode'])]
        except (ValueError, TypeError, KeyError) as e:
            raise RowsError('line %d is no row of the boot matrix: %r'
                            % (number, e)) from None
        rows.setdefault(key, Row(*key)).cells[mode] = cell
    if not rows:
        raise RowsError('there are no rows: run tools/boot')

    def topic(row: Row) -> int:
        return (TOPICS.index(row.topic) if row.topic in TOPICS
                else len(TOPICS))

    return sorted(rows.values(), key=topic)


def complaints(rows: ty.Iterable[Row]) -> ty.List[str]:
    """Say what is not good enough for the guide."""
    found = []
    for row in rows:
        for mode in MODES:
            if mode not in row.cells:
                found.append('%s: not seen in the mode %s' % (row.what, mode))
            elif row.cells[mode].evidence != row.evidence:
                found.append('%s: not the same in both modes' % row.what)
    return found


def wrap(text: str, first: str, rest: str) -> str:
    """Text in lines of at most 79 characters, each with its indentation."""
    return textwrap.fill(text, 79, initial_indent=first,
                         subsequent_indent=rest, break_long_words=False,
                         break_on_hyphens=False) + '\n'


def render_table(rows: ty.List[Row]) -> str:
    """The rows for a terminal."""
    parts = []
    topic = None
    for row in rows:
        if row.topic != topic:
            topic = row.topic
            parts.append('\n%s\n%s\n' % (topic, '-' * len(topic)))
        times = ', '.join('%s %s' % (mode, row.seconds(mode))
                          for mode in MODES)
        parts.append(wrap('%s  (%s)' % (row.what, times), '* ', '  '))
        for text in row.evidence:
            parts.append(wrap(text, '    ', '      '))
    return ''.join(parts)


def render_page(rows: ty.List[Row]) -> str:
    """The rows as a page of the guide."""
    parts = [PAGE]
    topic = None
    for row in rows:
        if row.topic != topic:
            topic = row.topic
            parts.append('\n%s\n%s\n\n%s' % (topic, '=' * len(topic), '''\
.. list-table::
   :header-rows: 1
   :widths: 28 52 10 10

   * - What was done
     - Evidence
     - Threads
     - Eventlet
'''))
        parts.append(wrap(row.what, '   * - ', ' ' * 7))
        for number, text in enumerate(row.evidence):
            # Evidence may be a message with anything in it.
            quoted = text.replace('\\', '\\\\').replace('*', '\\*').replace(
                '`', '\\`').replace('|', '\\|').replace('_ ', '\\_ ')
            parts.append(wrap(quoted, ' ' * 7 + '* ' if number else
                              '     - * ', ' ' * 9))
        for mode in MODES:
            parts.append('     - %s\n' % row.seconds(mode))
    return ''.join(parts)


def render_json(rows: ty.List[Row]) -> str:
    """The rows as a JSON list."""
    return json.dumps([{
        'topic': row.topic, 'what': row.what,
        'modes': {mode: cell._asdict() for mode, cell in row.cells.items()}}
        for row in rows], indent=1) + '\n'


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run; see the module's text for what is returned."""
    parser = argparse.ArgumentParser(
        prog='boot_matrix.py', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='+', metavar='FILE',
                        help='what the tests recorded')
    parser.add_argument('--json', metavar='FILE', help='write it as JSON')
    parser.add_argument('--rst', metavar='FILE',
                        help='write it as a page of the guide')
    args = parser.parse_args(argv)
    lines: ty.List[str] = []
    try:
        for path in args.rows:
            with open(path, encoding='utf-8') as f:
                lines += f
        rows = read(lines)
    except (OSError, RowsError) as e:
        print('boot_matrix.py: %s' % e, file=sys.stderr)
        return USAGE
    sys.stdout.write(render_table(rows))
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as f:
            f.write(render_json(rows))
    if args.rst:
        bad = complaints(rows)
        if bad:
            print('boot_matrix.py: no page is made of this:', *bad,
                  sep='\n  ', file=sys.stderr)
            return BAD
        with open(args.rst, 'w', encoding='utf-8') as f:
            f.write(render_page(rows))
    return OK


if __name__ == '__main__':
    sys.exit(main())
