# SPDX-License-Identifier: Apache-2.0

"""The page of the operator's command, which is its manual page too.

Every command, option and choice of the parser is on it.
"""

import argparse
import pathlib
import re

from nova.cmd.image_download import arguments
from nova.cmd.image_download import cli
from nova import test

# This file may be reached over a link in a development tree.
CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
PAGE = CHECKOUT / 'doc' / 'source' / 'admin' / 'nova-image-download.rst'


def sections(text):
    """Return the lines of a page by the titles above them."""
    parts = re.split(r'^(.+)\n={3,}\n', text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


class CommandPageTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.page = sections(PAGE.read_text(encoding='utf-8'))
        self.parser = arguments.parser()
        (self.commands,) = [
            action.choices for action in self.parser._actions
            if isinstance(action, argparse._SubParsersAction)]

    @staticmethod
    def _options(parser):
        return {action.option_strings[-1]: action
                for action in parser._actions if action.option_strings}

    def test_common_options(self):
        documented = set(re.findall(r'^``(--[a-z-]+)', self.page['Options'],
                                    re.MULTILINE))
        self.assertEqual(set(self._options(self.parser)), documented)

    def test_commands(self):
        common = set(self._options(self.parser))
        synopsis = ' '.join(self.page['Synopsis'].split())
        for name, parser in self.commands.items():
            self.assertRegex(synopsis, r'nova-image-download (\[OPTION\]... )?'
                             + name)
            for action in parser._actions:
                if not action.option_strings and action.choices:
                    self.assertIn('%s [%s]' % (name, '|'.join(
                        action.choices)), synopsis)
            documented = set(re.findall(r'^``(--[a-z-]+)', self.page[name],
                                        re.MULTILINE))
            options = self._options(parser)
            self.assertEqual(set(options) - common, documented, name)
            for option in documented:
                if options[option].choices:
                    self.assertIn('%s %s' % (option, '|'.join(
                        options[option].choices)), synopsis)

    def test_exit_statuses(self):
        table = self.page['Exit status']
        for status in (cli.EXIT_OK, cli.EXIT_PROBLEM,
                       cli.EXIT_USAGE, cli.EXIT_UNKNOWN):
            self.assertIn('* - %d\n' % status, table)
        self.assertIn('* - %d + N\n' % cli.EXIT_SIGNAL, table)
