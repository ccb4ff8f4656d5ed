# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import sys
import tempfile
import unittest

from demo import comparison


class ComparisonTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.realpath(folder.name)

    def test_written_by_a_child_to_a_file_without_a_name(self):
        script = (f'import os, sys; f = open(f"{self.dir}/part", "wb"); '
                  'os.unlink(f.name); f.write(bytes(1 << 20)); f.flush(); '
                  'print(flush=True); sys.stdin.read()')
        with subprocess.Popen([sys.executable, '-c', script],
                              stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            self.assertEqual(1 << 20, comparison.written(os.getpid(),
                                                         self.dir))
            self.assertEqual(0, comparison.written(os.getpid(),
                                                   '/nonexistent'))
            child.stdin.close()
