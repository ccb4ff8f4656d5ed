# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import subprocess
import sys

from patchset import patch_queue
from tools.tests.tool_case import TOOL
from tools.tests.tool_case import ToolTestCase


class ExportTest(ToolTestCase):

    def commit(self, mail, *options):
        """Have git am take the mail on the small tree."""
        git = shutil.which('git') or self.skipTest('needs git')
        for args in (['init', '-q'], ['add', '-A'],
                     ['commit', '-q', '-m', 'release'],
                     ['am', '-q', *options]):
            subprocess.run([git, '-c', 'user.name=A', '-c', 'user.email=a@b.c']
                           + args, cwd=self.tree, check=True, input=mail,
                           stdout=subprocess.DEVNULL)

    def test_files_without_a_last_newline(self):
        (self.checkout / 'nova/new/deep/z.py').write_bytes(b'a\rb\r\nno end')
        (self.tree / 'nova/y.py').write_bytes(b'their y\nno end')
        ini = self.checkout / 'patches/upstream.ini'
        ini.write_text(ini.read_text().replace(
            patch_queue.digest(b'their y\n'),
            patch_queue.digest(b'their y\nno end')))
        self.commit(self.run_tool('export', self.tree).stdout, '--keep-cr')
        self.modules['nova/new/deep/z.py'] = b'a\rb\r\nno end'
        self.assert_applied()
        self.assertTrue(os.access(self.tree / 'nova/new/deep/z.py', os.X_OK))

    def test_author(self):
        self.commit(self.run_tool('export', '--author',
                                  'Zoë Ops <zoe@example.org>',
                                  self.tree).stdout)
        author = subprocess.run(
            ['git', 'log', '-1', '--format=%an <%ae>'], cwd=self.tree,
            stdout=subprocess.PIPE, check=True).stdout.decode()
        self.assertEqual('Zoë Ops <zoe@example.org>\n', author)

    def test_reader_went_away(self):
        # As with "| head": no traceback.
        run = subprocess.run(
            '%s %s --checkout %s export %s | true' % (
                sys.executable, TOOL, self.checkout, self.tree), shell=True,
            stderr=subprocess.PIPE)
        self.assertEqual(b'', run.stderr)
