# SPDX-License-Identifier: Apache-2.0

import contextlib
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest
from unittest import mock

from patchset import CHECKOUT
from suites import boot
from suites import run_tests

ROW = {'topic': 'Boot', 'what': 'A server', 'evidence': ['it is there'],
       'mode': 'threading', 'seconds': 1}


class CommandTest(unittest.TestCase):
    """Of the command line; nothing is set up for that."""

    def run_boot(self, *arguments: str) -> tuple[int, str]:
        run = subprocess.run([CHECKOUT / 'tools' / 'boot', *arguments],
                             stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        return run.returncode, run.stdout

    def test_help(self) -> None:
        for arguments in (['--help'], ['-h'], ['--core', '--help']):
            code, text = self.run_boot(*arguments)
            self.assertEqual(0, code, text)
            self.assertEqual(1, text.count('usage: tools/boot'), text)
            self.assertIn('tools/boot --seconds', text)
            self.assertNotIn('.venv', text)

    def test_unknown(self) -> None:
        code, text = self.run_boot('--everything')
        self.assertEqual(2, code)
        self.assertIn('tools/boot: error: unrecognized arguments: '
                      '--everything', text)

    def test_option_without_its_value(self) -> None:
        for option in ('--filter', '--json', '--rst'):
            code, text = self.run_boot(option)
            self.assertEqual(2, code, text)
            self.assertIn(f'{option}: expected one argument', text)


class MainTest(unittest.TestCase):

    def main(self, *arguments, rows=(), status=0):
        def run(argv):
            self.argv = argv
            path = pathlib.Path(os.environ['NOVA_BOOT_MATRIX'])
            path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
            return status

        self.out = io.StringIO()
        with mock.patch.object(run_tests, 'main', run), \
                mock.patch.dict(os.environ), \
                contextlib.redirect_stderr(io.StringIO()), \
                contextlib.redirect_stdout(self.out):
            return boot.main(list(arguments))

    def test_suites(self):
        self.assertEqual(0, self.main())
        self.assertEqual(['--fail-skipped', 'boot'], self.argv)
        self.main('--core', '--filter', 'x')
        self.assertEqual(['--fail-skipped', '--filter', 'x', 'boot-core'],
                         self.argv)

    def test_table_also_of_what_failed(self):
        self.assertEqual(1, self.main(rows=[ROW], status=1))
        self.assertIn('* A server', self.out.getvalue())

    def test_pages(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(0, self.main('--json', f'{folder}/x',
                                          rows=[ROW]))
            self.assertTrue(os.path.getsize(f'{folder}/x'))
            # Not seen in both modes.
            self.assertEqual(1, self.main('--rst', f'{folder}/y',
                                          rows=[ROW]))
            self.assertEqual(['x'], os.listdir(folder))
