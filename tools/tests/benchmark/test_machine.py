# SPDX-License-Identifier: Apache-2.0


import os
import unittest

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
