# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys
import unittest

from patchset import CHECKOUT


class TestBedTest(unittest.TestCase):

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
