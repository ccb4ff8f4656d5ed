# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import io
import os
import tempfile
import unittest
from unittest import mock

from demo import command


class DemoTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.realpath(folder.name)
        self.out = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.out))

    def test_parse_size(self):
        self.assertEqual(600 << 20, command.parse_size('600M'))
        self.assertEqual(4 << 30, command.parse_size('4g'))
        self.assertEqual(512, command.parse_size('512'))
        for text in ('', 'M', '-1M', '0', '1.5G', '4T'):
            self.assertRaises(argparse.ArgumentTypeError, command.parse_size,
                              text)

    def test_more_data_than_size(self):
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            self.assertRaises(SystemExit, command.parse,
                              ['--size', '1M', '--data', '2M'])
        self.assertIn('--data is more than --size', errors.getvalue())

    def test_image_is_not_there(self):
        with contextlib.redirect_stderr(io.StringIO()) as errors, \
                mock.patch.object(command, 'LOGS', f'{self.dir}/logs'), \
                mock.patch.dict(os.environ, NOVA_TESTBED_DIR=self.dir):
            self.assertEqual(1, command.main(['--image', '/nonexistent']))
        self.assertIn('No such file or directory: \'/nonexistent\'',
                      errors.getvalue())
        self.assertEqual(['logs'], os.listdir(self.dir))
