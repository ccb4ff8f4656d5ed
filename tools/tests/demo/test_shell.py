# SPDX-License-Identifier: Apache-2.0

import unittest
from unittest import mock

from demo import mistakes
from demo import playground
from demo import shell


class ShellTest(unittest.TestCase):

    def test_requests_of_the_shell(self):
        place = playground.Playground()
        with mock.patch.object(place, 'restore') as restore, \
                mock.patch.object(mistakes, 'MISTAKES', [
                    mistakes.Mistake('slip', 'A slip', 'Oh.', str, 'x'),
                    mistakes.Mistake('fall', 'A fall', 'Ah.', int, 'x')]):
            status, text = shell.answer(place, 'mistake')
            self.assertEqual(0, status)
            self.assertIn('slip', text)
            self.assertEqual((0, 'Oh.'),
                             shell.answer(place, 'mistake', 'slip'))
            self.assertEqual(2, shell.answer(place, 'mistake', 'x')[0])
            # Mended first, so that there is one at a time.
            restore.assert_called_once_with()
            status, text = shell.answer(place, 'mistake', 'fall')
            self.assertEqual(1, status)
            self.assertIn('It did not work', text)
            self.assertEqual(0, shell.answer(place, 'mend')[0])
