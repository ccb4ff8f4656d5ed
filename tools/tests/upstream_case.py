# SPDX-License-Identifier: Apache-2.0

"""Two directories in place of the environments of two wheels."""

import os
import pathlib
import sys
import types

import fixtures
import testtools

from suites import upstream_modules
from suites import upstream_run

TOP = '''import os, time, unittest
class Test(unittest.TestCase):
'''
PASS = '    def test_pass(self): pass\n'
SKIP = '    def test_skip(self): self.skipTest("not here")\n'
FAIL = '    def test_fail(self): raise ValueError("broken")\n'
DIE = '    def test_die(self): os._exit(3)\n'
HANG = '    def test_hang(self): time.sleep(60)\n'
SKIPPED = '    @classmethod\n' + (
    '    def setUpClass(cls): raise unittest.SkipTest("whole")\n')
NAME = 'nova.tests.unit.test_a.Test.test_'


def mended(text):
    return text.replace('raise ValueError("broken")', 'pass')


class RunCase(testtools.TestCase):
    """Two directories in place of the environments of two wheels."""

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.patch(upstream_run, 'BUILD', self.root / 'build')
        self.patch(upstream_modules, 'SUITES', {'a': ['unit.test_a']})
        self.patch(upstream_modules, 'SUPERSEDED', self.root / 'superseded')
        (self.root / 'superseded').write_text('')

    def environment(self, name, text):
        folder = self.root / name / 'nova' / 'tests' / 'unit'
        folder.mkdir(parents=True)
        for path in (folder, *list(folder.parents)[:2]):
            (path / '__init__.py').touch()
        (folder / 'test_a.py').write_text(text)
        return types.SimpleNamespace(
            python=sys.executable, sha256=name, environ=lambda: dict(
                os.environ, PYTHONPATH=str(self.root / name)))

    def run_on(self, *methods, **kwargs):
        self.made = self.environment('one', TOP + ''.join(methods))
        return upstream_run.Run(
            self.made, 'threading', ['nova.tests.unit.test_a'],
            **kwargs).run()
