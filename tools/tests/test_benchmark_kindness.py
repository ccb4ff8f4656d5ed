# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


import json
import unittest

import benchmark_samples  # noqa: F401

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
