# SPDX-License-Identifier: Apache-2.0

"""The shell of the demonstration: "tools/demo --shell"."""

import os
import pathlib
import subprocess
import sys

from nova import test
from nova.tests.testbed import daemon

LIB = pathlib.Path(__file__).resolve().parents[4] / 'tools' / 'lib'

# What a reader may type. Each command is told by its exit status.
_COMMANDS = """
nova-image-download check demo >/dev/null; echo "in order: $?"
mistake
mistake wrong-pool; echo "mistake: $?"
nova-image-download check demo; echo "noticed: $?"
mistake wrong-keys; echo "no such mistake: $?"
mend; echo "mended: $?"
nova-image-download check demo >/dev/null; echo "in order again: $?"
nova-image-download fetch demo copy; echo "fetched: $?"
stat -c 'size: %s' copy
exit 7
"""


class PlaygroundTestCase(test.NoDBTestCase):

    # Servers of its own are started.
    TIMEOUT_SCALING_FACTOR = 3

    def test_shell(self):
        directory = self.useFixture(daemon.Directory()).path
        demo = subprocess.run(
            [sys.executable, LIB, 'demo.command', '--shell'],
            input=_COMMANDS, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, 'TMPDIR': directory,
                 'NOVA_TESTBED_DIR': directory})
        # The exit status is that of the shell.
        self.assertEqual(7, demo.returncode, demo.stdout)
        for line in ('in order: 0', 'mistake: 0', 'noticed: 1',
                     'no such mistake: 2', 'mended: 0', 'in order again: 0',
                     'fetched: 0', 'size: %d' % (512 << 20)):
            self.assertIn(line, demo.stdout.splitlines(), demo.stdout)
        self.assertIn('There is no mistake', demo.stdout)
        self.assertEqual([], os.listdir(directory))
