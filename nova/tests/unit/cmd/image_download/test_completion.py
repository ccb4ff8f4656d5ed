# SPDX-License-Identifier: Apache-2.0

import subprocess

from nova.cmd.image_download import arguments
from nova.cmd.image_download import completion
from nova import test

# Does what bash does when the tabulator key is pressed.
PRESS = """
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
_nova_image_download
printf '%s\\n' "${COMPREPLY[@]}"
"""


class CompletionTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.script = completion.script(
            arguments.parser())

    def _complete(self, *words):
        done = subprocess.run(
            ['bash', '-euc', self.script.replace('\ncomplete ', '\n: ')
             + PRESS, 'bash', 'nova-image-download', *words],
            capture_output=True, text=True)
        self.assertEqual('', done.stderr)
        return set(done.stdout.split())

    def test_commands(self):
        found = self._complete('')
        self.assertLessEqual({'check', 'fetch', 'precache', 'bench',
                              '--config-file', '--help'}, found)
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
        # What bash falls back to if there is no word to offer.
        self.script = 'compopt() { echo "$@"; }\n' + self.script
        for command in ('check', 'precache', 'bench'):
            self.assertEqual({'+o', 'default'}, self._complete(command, ''))
        self.assertEqual(set(), self._complete('fetch', 'image', ''))

    def test_registration(self):
        self.assertIn('complete -o default -F _nova_image_download '
                      'nova-image-download\n', self.script)
