# SPDX-License-Identifier: Apache-2.0

"""The program, run as one."""

import os
import subprocess
import sys

from oslo_serialization import jsonutils

from nova.storage.rbd_export import arguments
from nova.storage.rbd_export import cli
from nova import test


class ProgramTestCase(test.NoDBTestCase):

    def run_engine(self, *words):
        path = os.path.dirname(cli.__file__)
        return subprocess.run([sys.executable, '-I', path, *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_program(self):
        done = self.run_engine('--help')
        self.assertEqual((0, b''), (done.returncode, done.stderr))
        self.assertEqual(arguments.HELP, done.stdout.decode())
        done = self.run_engine('--nothing')
        self.assertEqual((2, b''), (done.returncode, done.stdout))
        self.assertIn(b'--nothing', done.stderr)
        done = self.run_engine('--json', '--nothing')
        self.assertEqual((2, b''), (done.returncode, done.stderr))
        event = jsonutils.loads(done.stdout)
        self.assertEqual(('error', 'bad_arguments', 2),
                         (event['event'], event['code'], event['exit']))
        # This is the name of a file.
        done = self.run_engine('a', '--', '--json')
        self.assertEqual((2, b''), (done.returncode, done.stdout))
