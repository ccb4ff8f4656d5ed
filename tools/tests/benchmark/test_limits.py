# SPDX-License-Identifier: Apache-2.0


import hashlib
import random
import unittest
from unittest import mock

from benchmark import limits
from tools.tests.benchmark_samples import MIB


class Sha512TestCase(unittest.TestCase):

    def test_so_many_bytes(self):
        with mock.patch.object(hashlib, 'sha512') as made:
            limits.sha512(20 * MIB)
        self.assertEqual([16 * MIB, 4 * MIB], [
            len(call.args[0]) for call in
            made.return_value.update.call_args_list])
        block = random.Random(0).randbytes(4 * MIB)
        self.assertEqual(block,
                         made.return_value.update.call_args.args[0])
