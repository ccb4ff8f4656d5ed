# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys
import sysconfig
from unittest import mock

import fixtures

from nova.cmd.image_download import arguments
from nova.cmd.image_download import completion
from nova import test

# Does what bash does when the tabulator key is pressed.
PRESS = """
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
_shtab_nova_image_download
printf '%s\\n' "${COMPREPLY[@]}"
"""


class CompletionTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.script = completion.generate('bash')

    def _complete(self, *words):
        done = subprocess.run(
            ['bash', '-c', self.script + PRESS, 'bash',
             'nova-image-download', *words],
            capture_output=True, text=True)
        self.assertEqual('', done.stderr)
        return set(done.stdout.split())

    def test_commands(self):
        found = self._complete('')
        self.assertEqual({'check', 'fetch', 'precache', 'bench',
                          'complete'}, found)
        self.assertLessEqual({'--config-file', '--help'},
                             self._complete('--'))
        self.assertEqual({'check'}, self._complete('ch'))

    def test_options_of_a_command(self):
        self.assertEqual({'--runs'}, self._complete('bench', '--r'))
        self.assertNotIn('--runs', self._complete('check', '--'))
        self.assertIn('--debug', self._complete('fetch', 'x', '--'))

    def test_options_without_a_value(self):
        self.assertEqual({'--method'}, self._complete('fetch', '--debug',
                                                      '--m'))

    def test_values(self):
        self.assertEqual({'auto', 'rbd', 'http'},
                         self._complete('fetch', '--method', ''))
        self.assertEqual({'json'}, self._complete(
            '--config-file', '/etc/hostname', 'bench', '--format', 'j'))

    def test_files(self):
        self.assertEqual({'/etc/passwd'}, self._complete(
            '--config-file', '/etc/passw') - {'/etc/passwd-'})

    def test_images_are_not_known(self):
        self.assertEqual(set(), self._complete('check', ''))

    def test_file_names_only_where_a_file_is_wanted(self):
        self.assertEqual({'/etc/passwd'}, self._complete(
            'fetch', 'image', '/etc/passw') - {'/etc/passwd-'})
        self.assertEqual(set(), self._complete('bench', '/etc/passw'))

    def test_registration(self):
        self.assertRegex(self.script, '\ncomplete .* nova-image-download\n$')

    def test_other_shells(self):
        self.assertIn('#compdef nova-image-download',
                      completion.generate('zsh'))
        self.assertIn('complete nova-image-download',
                      completion.generate('tcsh'))


class FilesTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.useFixture(fixtures.MockPatchObject(
            sysconfig, 'get_path', return_value=self.directory))

    def test_each_shell_has_a_file(self):
        self.assertEqual(set(arguments.SHELLS), set(completion.FILES))

    def test_installed_file_is_used(self):
        completion.write(self.directory)
        path = os.path.join(self.directory, completion.FILES['zsh'])
        with open(path, 'a') as f:
            f.write('# installed')
        self.assertIn('# installed', completion.script('zsh'))

    def test_new_one_without_a_file(self):
        self.assertIn('compdef', completion.script('zsh'))

    def test_neither(self):
        with mock.patch.dict(sys.modules, {'shtab': None}):
            self.assertIsNone(completion.script('zsh'))

    def test_needs_nothing_of_nova(self):
        # As the build does, which has no more than shtab.
        import shtab
        package = pathlib.Path(completion.__file__).absolute().parents[3]
        subprocess.run(
            [sys.executable, '-I', '-S', '-c', 'import sys; sys.path[:0] = '
             'sys.argv[2:]; from nova.cmd.image_download import completion; '
             'completion.write(sys.argv[1]); assert "oslo_config" not in '
             'sys.modules', self.directory, str(package),
             str(pathlib.Path(shtab.__file__).parents[1])], check=True)
        for name in completion.FILES.values():
            self.assertTrue(os.path.exists(
                os.path.join(self.directory, name)))
