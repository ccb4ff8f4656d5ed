# SPDX-License-Identifier: Apache-2.0

import io
import os
from unittest import mock

from oslo_serialization import jsonutils

from nova.cmd.image_download import check_item
from nova.cmd.image_download import output
from nova import test
from nova.tests.unit.cmd.image_download import test_bench

GOOD = check_item.Item('switch', 'ok', 'it is on')
BAD = check_item.Item('disk', 'problem', 'it is full', 'free some')


class CheckTestCase(test.NoDBTestCase):

    def _table(self, terminal):
        stream = io.StringIO()
        stream.isatty = lambda: terminal
        with mock.patch('sys.stdout', stream), mock.patch(
                'shutil.get_terminal_size',
                return_value=os.terminal_size((80, 24))):
            return output.check_table([GOOD, BAD])

    def test_lines_for_programs(self):
        self.assertEqual([
            'switch          ok              it is on',
            'disk            problem         it is full. To fix this, free '
            'some'], self._table(terminal=False).splitlines())

    def test_table_for_people(self):
        table = self._table(terminal=True)
        self.assertIn('| switch | ok      |', table)
        self.assertLessEqual(max(map(len, table.splitlines())), 80)

    def test_json_has_the_old_key_too(self):
        self.assertEqual(
            {'over_rbd': False, 'checks': [{
                'topic': 'disk', 'state': 'problem', 'found': 'it is full',
                'remedy': 'free some', 'cure': 'free some'}]},
            jsonutils.loads(output.check_json([BAD], False)))

    def test_verdict(self):
        self.assertEqual('A boot on this node reads images from RBD.',
                         output.verdict([GOOD], None))
        self.assertEqual(
            'It could not be found out whether a boot on this node reads '
            'images from RBD, see: key.', output.verdict(
                [GOOD, check_item.Item('key', 'unknown', '')], None))
        self.assertEqual('A boot on this node does not read this image from '
                         'RBD, see: disk.', output.verdict([BAD, BAD], 'x'))


class DownloadTestCase(test.NoDBTestCase):

    def test_summary(self):
        self.assertEqual(
            '4.0 MiB of which 1.0 MiB are data over RBD in 2.00 s (2.0 '
            'MiB/s), 4.0 KiB on disk, verified by sha512',
            output.summary(test_bench.outcome(
                'rbd', 2.0, size=4 << 20, data_bytes=1 << 20)))
        self.assertEqual(
            '4.0 MiB over HTTP in 2.00 s (2.0 MiB/s), 4.0 KiB on disk, '
            'unverified', output.summary(test_bench.outcome(
                'http', 2.0, size=4 << 20, verified='unverified')))

    def test_bench_table(self):
        text = output.bench_table(test_bench.SummaryTestCase.RUNS)
        self.assertRegex(text, r'RBD \| +1.50 \|')
        self.assertIn('RBD is 4.0 times as fast', text)
