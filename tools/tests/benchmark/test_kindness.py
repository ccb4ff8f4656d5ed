# SPDX-License-Identifier: Apache-2.0


import json
import unittest

from benchmark import common
from benchmark import kindness


class RateTestCase(unittest.TestCase):

    def rate(self, *events):
        return kindness.rate_of([json.dumps(
            {'seconds': seconds, 'bytes': done}) for seconds, done in events])

    def test_start_and_end_do_not_count(self):
        self.assertEqual(20.0, self.rate((0, 0), (5, 10), (6, 30), (7, 50),
                                         (7.1, 100), (9, 100)))

    def test_too_soon(self):
        self.assertRaises(common.BenchmarkError, self.rate, (0, 0), (1, 10),
                          (2, 10))
