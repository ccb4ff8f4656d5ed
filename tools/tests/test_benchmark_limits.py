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


import hashlib
import random
import unittest
from unittest import mock

from benchmark_samples import MIB

from benchmark import limits


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
