# SPDX-License-Identifier: Apache-2.0

"""What the caller is given to read."""

import io
import sys
from unittest import mock

from oslo_serialization import jsonutils

from nova.storage.rbd_export import errors
from nova.storage.rbd_export import report
from nova import test

MiB = 1 << 20


class ReportTestCase(test.NoDBTestCase):

    RESULT = {
        'bytes': 3 * MiB, 'data_bytes': MiB, 'seconds': 2.0,
        'digest': 'md5:0', 'pool': 'p', 'image': 'i', 'snap': 's',
        'fsid': 'f', 'verified': ['size']}

    def setUp(self):
        super().setUp()
        self.out = io.StringIO()
        self.err = io.StringIO()
        for name, stream in (('stdout', self.out), ('stderr', self.err)):
            patcher = mock.patch.object(sys, name, stream)
            patcher.start()
            self.addCleanup(patcher.stop)

    def test_json(self):
        told = report.JsonReport()
        told.phase('copying')
        told.connected('f')
        told.progress(1, 2, .12345, 'copying')
        told.result(self.RESULT)
        told.error(errors.ExportError('no_space', 'a\nb', needed_bytes=7))
        self.assertEqual(
            [{'event': 'phase', 'phase': 'copying'},
             {'event': 'connected', 'fsid': 'f'},
             {'event': 'progress', 'bytes': 1, 'total': 2, 'seconds': .123,
              'phase': 'copying'},
             dict(self.RESULT, event='result'),
             {'event': 'error', 'code': 'no_space', 'exit': 9,
              'message': 'a\nb', 'needed_bytes': 7,
              'remedy': errors.CAUSES['no_space'].remedy}],
            [jsonutils.loads(line)
             for line in self.out.getvalue().splitlines()])

    def test_lines(self):
        told = report.HumanReport()
        told.phase('copying')
        told.connected('f')
        told.progress(MiB, 4 * MiB, 2)
        told.result(self.RESULT)
        told.error(errors.ExportError('read', 'broken', 'mind it'))
        told.error(errors.ExportError('parent_died', 'alone'))
        self.assertEqual('25%  1.0 MiB of 4.0 MiB  512.0 KiB/s\n'
                         'rbd_export: broken\nTo fix this, mind it.\n'
                         'rbd_export: alone\n', self.err.getvalue())
        self.assertEqual('3.0 MiB of p/i@s in 2.00 s (1.5 MiB/s), 1.0 MiB of '
                         'it data, md5:0, verified: size\n',
                         self.out.getvalue())

    def test_nothing_to_show_before_the_image_is_open(self):
        for terminal in (False, True):
            self.err.isatty = lambda: terminal
            report.HumanReport().progress(0, 0, 2)
        self.assertEqual('', self.err.getvalue())

    def test_bar(self):
        self.err.isatty = lambda: True
        told = report.HumanReport()
        told.progress(MiB, 4 * MiB, 2)
        self.assertIn('[#######   ', self.err.getvalue())
        self.assertIn('0:06 left', self.err.getvalue())
        told.result(self.RESULT)
        self.assertTrue(self.err.getvalue().endswith('\r\x1b[K'))

    def test_probe(self):
        report.HumanReport().result({'fsid': 'f', 'seconds': 1})
        self.assertEqual('f\n', self.out.getvalue())

    def test_nobody_reads(self):
        self.out.write = mock.Mock(side_effect=BrokenPipeError)
        self.err.write = mock.Mock(side_effect=BrokenPipeError)
        for told in (report.JsonReport(), report.HumanReport()):
            told.phase('copying')
            told.connected('f')
            self.assertRaises(report.Broken, told.progress, 1, 2, 1)
            self.assertRaises(report.Broken, told.result, self.RESULT)

    def test_human_sizes(self):
        for count, text in ((0, '0 B'), (1023, '1023 B'), (1024, '1.0 KiB'),
                            (5 << 40, '5.0 TiB'), (2 << 60, '2048.0 PiB')):
            self.assertEqual(text, report.human(count))
