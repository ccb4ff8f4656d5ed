# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from demo import command as demo
from patchset import CHECKOUT


class DemoTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.realpath(folder.name)
        self.out = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.out))

    def test_make_image(self):
        path = f'{self.dir}/image'
        demo.make_image(path, (64 << 20) + 5, 6 << 20)
        self.assertEqual((64 << 20) + 5, os.path.getsize(path))
        self.assertLess(abs(demo.allocated(path) - (6 << 20)), 1 << 20)
        with open(path, 'rb') as f:
            self.assertTrue(any(f.read(4096)))
            f.seek(-4096, os.SEEK_END)
            self.assertTrue(any(f.read()))

    def test_parse_size(self):
        self.assertEqual(600 << 20, demo.parse_size('600M'))
        self.assertEqual(4 << 30, demo.parse_size('4g'))
        self.assertEqual(512, demo.parse_size('512'))
        for text in ('', 'M', '-1M', '0', '1.5G', '4T'):
            self.assertRaises(argparse.ArgumentTypeError, demo.parse_size,
                              text)

    def test_more_data_than_size(self):
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            self.assertRaises(SystemExit, demo.parse,
                              ['--size', '1M', '--data', '2M'])
        self.assertIn('--data is more than --size', errors.getvalue())

    def test_bar_without_terminal(self):
        bar = demo.Bar('Copy', 100)
        for done in (1, 10, 30, 31, 60, 100):
            bar.show(done)
        bar.close()
        self.assertEqual(
            ['Copy: 30%', 'Copy: 60%', 'Copy: 100%'],
            [line.split(',')[0] for line in self.out.getvalue().splitlines()])

    def test_bar_on_terminal(self):
        with mock.patch.object(self.out, 'isatty', return_value=True):
            demo.Bar('Copy', 0).close()
        last = self.out.getvalue().split('\r')[-1]
        self.assertIn(f'[{"#" * 30}] 100%', last)
        self.assertTrue(last.endswith('\n'))

    def test_written_by_a_child_to_a_file_without_a_name(self):
        script = (f'import os, sys; f = open(f"{self.dir}/part", "wb"); '
                  'os.unlink(f.name); f.write(bytes(1 << 20)); f.flush(); '
                  'print(flush=True); sys.stdin.read()')
        with subprocess.Popen([sys.executable, '-c', script],
                              stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            self.assertEqual(1 << 20, demo.written(os.getpid(), self.dir))
            self.assertEqual(0, demo.written(os.getpid(), '/nonexistent'))
            child.stdin.close()

    def test_no_room(self):
        demo.check_room(self.dir, 0)
        with self.assertRaisesRegex(demo.DemoError, 'MiB free, but .* TMPDIR'):
            demo.check_room(self.dir, 1 << 60)

    def test_image_is_not_there(self):
        with contextlib.redirect_stderr(io.StringIO()) as errors, \
                mock.patch.object(demo, 'LOGS', f'{self.dir}/logs'), \
                mock.patch.dict(os.environ, NOVA_TESTBED_DIR=self.dir):
            self.assertEqual(1, demo.main(['--image', '/nonexistent']))
        self.assertIn('No such file or directory: \'/nonexistent\'',
                      errors.getvalue())
        self.assertEqual(['logs'], os.listdir(self.dir))

    def test_testbed_needs_no_nova(self):
        run = subprocess.run(
            [sys.executable, '-I', '-c', 'import sys; '
             f'sys.path.insert(0, {str(CHECKOUT)!r}); '
             'from nova.tests.testbed import rbd_testbed; '
             'print([m for m in sys.modules if m.startswith("nova") and m '
             'not in ("nova", "nova.tests") and '
             'not m.startswith("nova.tests.testbed")])'],
            capture_output=True, text=True)
        self.assertEqual('[]\n', run.stdout, run.stderr)
