# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys

from nova.cmd.image_download import arguments
from nova import test


class ParserTestCase(test.NoDBTestCase):

    def test_options_before_and_after_the_command(self):
        parser = arguments.parser()
        for words in (['--config-file', 'a', 'check'],
                      ['check', '--config-file', 'a']):
            args = parser.parse_args(words)
            self.assertEqual((['a'], 'check'),
                             (args.config_file, args.command))

    def test_needs_the_standard_library_only(self):
        # As the build does, which has no Nova.
        subprocess.run([sys.executable, '-I', '-S', arguments.__file__],
                       check=True, cwd='/')
