# SPDX-License-Identifier: Apache-2.0

from nova.cmd.image_download import printable
from nova import test


class PrintableTestCase(test.NoDBTestCase):

    def test_plain_text_stays(self):
        for text in ('', 'a b', 'Größe 东'):
            self.assertEqual(text, printable.printable(text))

    def test_what_a_terminal_obeys(self):
        for text, safe in (('a\x1b[2Jb', r'a\x1b[2Jb'), ('\r\n', r'\r\n'),
                           ('\x9b2J', r'\x9b2J'),
                           ('\u202e', r'\u202e'), ('\udc80', r'\udc80')):
            self.assertEqual(safe, printable.printable(text))
