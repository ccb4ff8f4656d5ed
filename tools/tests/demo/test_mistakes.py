# SPDX-License-Identifier: Apache-2.0

import unittest

from demo import mistakes


class MistakesTest(unittest.TestCase):

    def test_find(self):
        self.assertEqual('wrong-pool', mistakes.find('3').name)
        self.assertEqual('wrong-pool', mistakes.find('wrong-pool').name)
        self.assertIsNone(mistakes.find('11'))
        self.assertIn('\n 3  wrong-pool ', mistakes.overview())
