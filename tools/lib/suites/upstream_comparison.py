# SPDX-License-Identifier: Apache-2.0

"""What upstream's tests say of our wheel, compared with upstream's."""

import json
import os
import pathlib
import sys
import typing as ty

import prettytable
import subunit

from suites import upstream_run
from suites.upstream_run import Outcomes


class Comparison:
    """What the tests of a suite say of our wheel.

    :param ours: outcomes on our wheel
    :param theirs: outcomes on upstream's, at least those of the tests that
        did not pass on ours
    :param superseded: names of listed tests
    """

    def __init__(self, ours: Outcomes, theirs: Outcomes,
                 superseded: ty.Collection[str]) -> None:
        self.tests = sorted(set(ours) | set(theirs))
        self.skipped: ty.List[str] = []
        self.passed: ty.List[str] = []
        self.both: ty.Dict[str, str] = {}
        self.superseded: ty.List[str] = []
        self.ours_only: ty.Dict[str, str] = {}
        self.theirs_only: ty.Dict[str, str] = {}
        for test in self.tests:
            here, why = ours.get(test, ('failed', 'is missing'))
            there = theirs.get(test, (here, ''))[0]
            if test in superseded:
                if (here, there) == ('failed', 'passed'):
                    self.superseded.append(test)
                else:
                    self.ours_only[test] = (
                        'is listed as superseded, but %s on ours and %s on '
                        'upstream\'s' % (here, there))
            elif here == 'failed' and there == 'failed':
                self.both[test] = why
            elif here == 'failed':
                self.ours_only[test] = why
            elif here == 'skipped' and there == 'passed':
                self.ours_only[test] = 'is skipped on ours only'
            else:
                (self.skipped if here == 'skipped' else
                 self.passed).append(test)
                if there == 'failed':
                    self.theirs_only[test] = theirs[test][1]

    def counts(self) -> ty.Dict[str, int]:
        """Numbers by the names of the report's columns."""
        return {'run': len(self.tests), 'passed': len(self.passed),
                'skipped': len(self.skipped), 'failed on both': len(self.both),
                'superseded': len(self.superseded),
                'failed on ours only': len(self.ours_only)}


def write_subunit(results: ty.List[Comparison]) -> None:
    """Tell run_tests.py: what is upstream's or meant is no failure."""
    stream = subunit.StreamResultToBytes(sys.stdout.buffer)
    stream.startTestRun()
    count = 0
    for compared in results:
        for test in compared.tests:
            if test in compared.skipped:
                # By upstream, with either wheel: nothing that we left out.
                continue
            count += 1
            why = compared.ours_only.get(test)
            status = ('fail' if why else
                      'success' if test in compared.passed else 'xfail')
            stream.status(test_id=test, test_status='inprogress')
            if why:
                stream.status(test_id=test, file_name='traceback', eof=True,
                              file_bytes=why.encode(),
                              mime_type='text/plain; charset=utf8')
            stream.status(test_id=test, test_status=status)
    stream.stopTestRun()
    sys.stdout.buffer.flush()
    if os.environ.get('NOVA_RBD_COUNT'):
        pathlib.Path(os.environ['NOVA_RBD_COUNT']).write_text(str(count))


def print_table(rows: ty.List[ty.Dict[str, ty.Any]]) -> None:
    """Print the figures of each suite and mode, and their sums."""
    columns = list(rows[0])
    total = {column: sum(row[column] for row in rows)
             if not isinstance(rows[0][column], str) else ''
             for column in columns}
    total['suite'] = 'all'
    table = prettytable.PrettyTable(columns, align='r', float_format='.1')
    table.align['suite'] = table.align['mode'] = 'l'
    table.add_rows([[row[column] for column in columns]
                    for row in rows + [total]])
    print(table)


def report(rows: ty.List[ty.Dict[str, ty.Any]],
           results: ty.List[Comparison]) -> None:
    """Print what there is to say, and write it to report.json."""
    details = []
    for row, compared in zip(rows, results):
        for kind, tests in (('failed on both', compared.both),
                            ('failed on upstream\'s only',
                             compared.theirs_only),
                            ('failed on ours only', compared.ours_only)):
            for test, why in tests.items():
                print('%s %s: %s: %s: %s' % (row['suite'], row['mode'], kind,
                                             test, why))
        details.append(dict(row, tests={
            'failed on both': compared.both,
            'failed on ours only': compared.ours_only,
            'superseded': compared.superseded}))
    print()
    print_table(rows)
    (upstream_run.BUILD / 'report.json').write_text(
        json.dumps(details, indent=1) + '\n')
