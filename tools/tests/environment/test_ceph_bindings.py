# SPDX-License-Identifier: Apache-2.0

import importlib.machinery
import os
import pathlib
import subprocess
import sys
import venv

import fixtures
import testtools

from environment import ceph_bindings
from patchset import CHECKOUT

TOOL = [str(CHECKOUT / 'tools' / 'lib'), 'environment.ceph_bindings']
SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]


class LinkTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        # Made of this environment's interpreter, which may be one itself.
        venv.create(top / 'venv', symlinks=True)
        self.python = top / 'venv' / 'bin' / 'python'
        self.site = next((top / 'venv' / 'lib').glob('*/site-packages'))
        self.place = top / 'place'
        self.place.mkdir()

    def tool(self, *args):
        run = subprocess.run([str(self.python), *TOOL, *args],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        self.assertEqual(1, len(run.stdout.splitlines()), run.stdout)
        return run.returncode, run.stdout

    def refuse(self, *said):
        code, text = self.tool('--from', str(self.place))
        self.assertEqual(1, code, text)
        for part in said:
            self.assertIn(part, text)
        self.assertEqual([], [name for name in os.listdir(self.site)
                              if name.startswith(('rados', 'rbd'))])

    def test_links(self):
        try:
            for name in ceph_bindings.MODULES:
                ceph_bindings.find(name, ceph_bindings.usual_places())
        except LookupError as exc:
            self.skipTest(str(exc))
        code, text = self.tool()
        self.assertEqual(0, code, text)
        self.assertIn(str(self.site), text)
        subprocess.run([str(self.python), '-c', 'import rados, rbd'],
                       check=True)
        code, text = self.tool()
        self.assertEqual(0, code, text)
        self.assertIn('already', text)

    def test_none(self):
        self.refuse(str(self.place), 'install python3-rados')

    def test_one_is_missing(self):
        (self.place / ('rados' + SUFFIX)).write_bytes(b'')
        self.refuse('rbd', 'install python3-rbd')

    def test_for_another_python(self):
        (self.place / 'rados.cpython-27.so').write_bytes(b'')
        self.refuse('rados.cpython-27.so', 'another Python')

    def test_does_not_load(self):
        for name in ceph_bindings.MODULES:
            (self.place / (name + SUFFIX)).write_bytes(b'no library')
        self.refuse('rados' + SUFFIX, 'ImportError')

    def test_dangling_link_of_an_earlier_run(self):
        (self.site / ('rados' + SUFFIX)).symlink_to('/no/such/file')
        code, text = self.tool('--from', str(self.place))
        self.assertEqual(1, code, text)

    def test_no_virtual_environment(self):
        base = pathlib.Path(sys.base_prefix, 'bin', 'python3')
        run = subprocess.run(
            [str(base), '-I', '-S', *TOOL], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        # A distribution's own Python may have them without our doing.
        self.assertIn('no virtual environment' if run.returncode
                      else 'already', run.stdout)
