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


import os
import unittest

import benchmark_samples  # noqa: F401

from benchmark import machine


class MachineTestCase(unittest.TestCase):

    def test_machine(self):
        found = machine.machine()
        self.assertEqual(os.cpu_count(), found['cores'])
        self.assertGreater(found['memory'], 1 << 20)
        self.assertTrue(os.uname().release.startswith(found['kernel']))
        # What else is in it is the name of whoever built it.
        self.assertRegex(found['kernel'], r'^[0-9.]+$')
        self.assertRegex(found['date'], r'^20\d\d-\d\d-\d\dT.*Z$')
