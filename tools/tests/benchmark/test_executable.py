# SPDX-License-Identifier: Apache-2.0

"""The command tools/benchmark, with a set-up that only tells what it is asked.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BENCHMARK = pathlib.Path(__file__).resolve().parents[2] / 'benchmark'

_SETUP = """
VENV=/nonexistent
bootstrap() { echo "packages: $*"; }
bootstrap_upstream() { echo upstream; exit; }
"""


class BenchmarkTest(unittest.TestCase):

    def asked(self, *arguments: str) -> list[str]:
        with tempfile.TemporaryDirectory() as directory:
            os.makedirs(f'{directory}/lib/environment')
            pathlib.Path(directory, 'lib/environment/bootstrap.sh'
                         ).write_text(_SETUP)
            command = shutil.copy(BENCHMARK, directory)
            return subprocess.run(
                [command, *arguments], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True).stdout.splitlines()

    def test_what_qemu_img_takes(self) -> None:
        for arguments in (['--method', 'engine,qemu-img'],
                          ['--method=qemu-img', '--runs', '1'],
                          ['--runs=1', '--method=qemu-img,engine']):
            self.assertEqual(['packages: qemu-block-extra'],
                             self.asked(*arguments), arguments)

    def test_all(self) -> None:
        self.assertEqual(['packages: qemu-block-extra', 'upstream'],
                         self.asked('--method', 'all'))

    def test_nothing_for_other_methods(self) -> None:
        self.assertEqual(['packages: '], self.asked('--method', 'engine'))
        self.assertEqual(['packages: '], self.asked())
        self.assertEqual(['packages: ', 'upstream'],
                         self.asked('--method', 'engine,upstream'))
