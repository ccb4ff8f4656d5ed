# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys

import fixtures

from nova import test


class MainTestCase(test.NoDBTestCase):

    def test_configuration_that_cannot_be_used(self):
        # Nova reads it while it is imported, before any of our code.
        directory = self.useFixture(fixtures.TempDir()).path
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-m', 'nova.cmd.image_download',
             '--config-file', directory + '/none', 'check'],
            capture_output=True, text=True)
        self.assertEqual((2, ''), (done.returncode, done.stdout))
        self.assertIn(directory + '/none. To fix this', done.stderr)
        self.assertNotIn('Traceback', done.stderr)
