#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Make the guide's table of configurations from what the tests recorded.

The functional tests append a row for each to the file that the environment
variable NOVA_CONFIG_VARIANTS names, after they have checked all that it says::

  NOVA_CONFIG_VARIANTS=$PWD/build/variants.jsonl tools/run_tests.py functional
  tools/config_variants.py build/variants.jsonl \\
      -o doc/source/admin/config-variants.rst

Of several rows for the same configuration the last one counts.

exit codes: 0 done, 2 wrong usage or no rows
"""

import argparse
import json
import re
import sys
import textwrap
import typing as ty

OK, USAGE = 0, 2

FIELDS = ('what', 'code', 'exit', 'message', 'remedy', 'check', 'problems',
          'after')

PAGE = '''\
======================
Configurations of Ceph
======================

..
   Made by tools/config_variants.py. Do not edit.

What a download, ``nova-image-download check`` and the next boot make of
{count} ways to configure a node for Ceph. Each was tried with a real cluster.
Names of files stand for those that were used: ``/etc/ceph/ceph.conf`` for
:oslo.config:option:`glance.rbd_ceph_conf`, ``/etc/ceph/keyring`` for what it
names.

Works
=====

A boot reads the image from RBD, and ``check`` ends with status 0.

{works}
Does not work
=============

The engine ends with the exit status and code of the second column. Nova's one
line in the log has the message, and the remedy after "To fix this"; the image
comes over HTTP. ``check`` ends with status 1 and shows the problems of the
fourth column. Once it was fixed, the next boot read from RBD, without a
restart of anything; only a cluster that did not answer is left alone for a
while.

.. list-table::
   :header-rows: 1
   :widths: 18 14 34 34

   * - Configuration
     - Status, code
     - Message and remedy
     - Problems that check shows
{rows}'''


class RowsError(Exception):
    """The rows cannot be used."""


def read(lines: ty.Iterable[str]) -> ty.List[ty.Dict[str, ty.Any]]:
    """Return the last row of each configuration, in the order of the first.

    :param lines: JSON objects
    :raises RowsError: if a line is not a row, or there is none
    """
    rows: ty.Dict[str, ty.Dict[str, ty.Any]] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            rows[row['what']] = {field: row[field] for field in FIELDS}
        except (ValueError, TypeError, KeyError) as exc:
            raise RowsError('line %d is not a row of the table: %r'
                            % (number, exc)) from None
    if not rows:
        raise RowsError('there are no rows: run the functional tests with '
                        'NOVA_CONFIG_VARIANTS set to the file')
    return list(rows.values())


def escape(text: str) -> str:
    """Return text without what reStructuredText would take for markup."""
    return re.sub(r'([\\*`|_])', r'\\\1', text)


def cell(text: str, first: bool = False) -> str:
    return textwrap.fill(
        text, 79, initial_indent='   * - ' if first else '     - ',
        subsequent_indent=' ' * 7, break_long_words=False,
        break_on_hyphens=False) + '\n'


def render(rows: ty.List[ty.Dict[str, ty.Any]]) -> str:
    """Return the page."""
    works, fails = [], []
    for row in rows:
        if not row['code']:
            works.append(textwrap.fill(
                '* ' + escape(row['what']), 79, subsequent_indent='  ') + '\n')
            continue
        problems = '; '.join('%s: %s' % (topic, found)
                             for topic, found in row['problems'])
        fails += [
            cell(escape(row['what']), True),
            cell('%d, ``%s``' % (row['exit'], row['code'])),
            cell(escape('%s. To fix this, %s.'
                        % (row['message'], row['remedy']))),
            cell(escape(problems))]
    return PAGE.format(count=len(rows), works=''.join(works),
                       rows=''.join(fails))


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run; see the module's text for what is returned."""
    parser = argparse.ArgumentParser(
        prog='config_variants.py', description=__doc__,
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
        page = render(read(lines))
    except (OSError, RowsError) as exc:
        print('config_variants.py: %s' % exc, file=sys.stderr)
        return USAGE
    if args.output:
        with open(args.output, 'w', encoding='utf-8') as f:
            f.write(page)
    else:
        sys.stdout.write(page)
    return OK


if __name__ == '__main__':
    sys.exit(main())
