# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import zipfile

import fixtures
import testtools

from environment import wheel_environment
from tools.tests import small_checkout


class WheelEnvironmentTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.folder = self.root / 'environment'

    def wheel(self, text):
        """A wheel whose nova has nothing but ``text``."""
        path = self.root / 'nova-1-py3-none-any.whl'
        info = 'nova-1.dist-info/'
        files = {'nova/__init__.py': text,
                 info + 'METADATA':
                     'Metadata-Version: 2.1\nName: nova\nVersion: 1\n',
                 info + 'WHEEL': 'Wheel-Version: 1.0\nGenerator: test\n'
                                 'Root-Is-Purelib: true\nTag: py3-none-any\n'}
        files[info + 'RECORD'] = ''.join(
            '%s,,\n' % name for name in [*files, info + 'RECORD'])
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in files.items():
                # No time of change: the same text is the same wheel.
                archive.writestr(zipfile.ZipInfo(name), content)
        return path

    def make(self, text, **kwargs):
        return wheel_environment.WheelEnvironment(
            self.folder, self.wheel(text), **kwargs)

    @staticmethod
    def ask(made, code):
        return subprocess.run(
            [made.python, '-c', code], cwd='/', env=made.environ(),
            check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def test_its_nova_and_the_rest_of_ours(self):
        # The environment that runs this has a nova of its own.
        self.useFixture(fixtures.EnvironmentVariable(
            'PYTHONPATH', str(small_checkout.CHECKOUT / 'build' / 'tree')))
        made = self.make('WHO = "wheel"')
        self.assertEqual('wheel 1 %s' % testtools.__file__, self.ask(
            made, 'import nova, testtools, importlib.metadata as m; '
            'print(nova.WHO, m.version("nova"), testtools.__file__)'))

    def test_made_anew_when_it_has_to_be(self):
        made = self.make('WHO = 1')
        mark = made.folder / 'mark'
        mark.touch()
        self.make('WHO = 1')
        self.assertTrue(mark.exists())
        made = self.make('WHO = 2')
        self.assertFalse(mark.exists())
        self.assertEqual('2', self.ask(made, 'import nova; print(nova.WHO)'))

    def test_interrupted(self):
        made = self.make('WHO = 1')
        (made.folder / '.stamp').unlink()
        (made.site / 'nova' / '__init__.py').unlink()
        self.assertEqual('1', self.ask(self.make('WHO = 1'),
                                       'import nova; print(nova.WHO)'))

    def test_requirements(self):
        # What is there already satisfies; nothing is fetched for that.
        self.useFixture(fixtures.EnvironmentVariable('PIP_NO_INDEX', '1'))
        self.make('', requirements=['testtools'])
        exc = self.assertRaises(
            wheel_environment.EnvironmentFailed, self.make, '#',
            requirements=['testtools<1'])
        self.assertIn('testtools', str(exc))
        self.assertFalse((self.folder / '.stamp').exists())

    def test_link(self):
        made = self.make('')
        target = self.root / 'doc'
        target.mkdir()
        for _ in range(2):
            made.link('doc', target)
        self.assertEqual(os.path.realpath(target),
                         os.path.realpath(made.site / 'doc'))

    def test_not_a_wheel(self):
        path = self.root / 'nova-1-py3-none-any.whl'
        path.write_bytes(b'')
        exc = self.assertRaises(
            wheel_environment.EnvironmentFailed,
            wheel_environment.WheelEnvironment, self.folder, path)
        self.assertIn('pip', str(exc))


class BuildTest(testtools.TestCase):

    def test_what_pip_says_is_told(self):
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (root / 'dist').mkdir()
        (root / 'dist' / 'nova-0.whl').touch()
        exc = self.assertRaises(
            wheel_environment.EnvironmentFailed,
            wheel_environment.build_wheel, root / 'none', root / 'dist')
        self.assertIn('pip wheel', str(exc))
        self.assertEqual([], list((root / 'dist').glob('*.whl')))
