# SPDX-License-Identifier: Apache-2.0


import pathlib
import subprocess
import unittest

BOOT = pathlib.Path(__file__).resolve().parents[2] / 'boot'


class BootTest(unittest.TestCase):
    """Of the command line; nothing is set up for that."""

    def run_boot(self, *arguments: str) -> tuple[int, str]:
        run = subprocess.run([BOOT, *arguments], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        return run.returncode, run.stdout

    def test_help(self) -> None:
        for arguments in (['--help'], ['-h'], ['--core', '--help']):
            code, text = self.run_boot(*arguments)
            self.assertEqual(0, code, text)
            self.assertTrue(text.startswith('Boots servers'), text)
            self.assertIn('tools/boot --seconds', text)
            self.assertIn('write the table', text)
            self.assertNotIn('set -u', text)

    def test_unknown(self) -> None:
        code, text = self.run_boot('--everything')
        self.assertEqual(1, code)
        self.assertIn('tools/boot: what is --everything?', text)

    def test_option_without_its_value(self) -> None:
        for option in ('--filter', '--json', '--rst'):
            code, text = self.run_boot(option)
            self.assertEqual(1, code, text)
            self.assertIn(f'tools/boot: {option} wants', text)
