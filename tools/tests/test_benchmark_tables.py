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


import unittest

from benchmark_samples import result
from benchmark_samples import sample
from benchmark_samples import workload

from benchmark import summary
from benchmark import tables


class TablesTestCase(unittest.TestCase):

    def setUp(self):
        self.cells = tables.cells(summary.summarise(result(workloads={
            'dense': workload({'engine': [sample(2.0)],
                               'rbd-export': [sample(3.0), sample(1.0)]})})))

    def test_text(self):
        lines = tables.text(tables.HEAD, self.cells).splitlines()
        self.assertEqual(3, len(lines))
        self.assertRegex(lines[2], r'dense +rbd-export +2.00 +1.00-3.00 +2 ')
        self.assertEqual(1, len({line.index('-') for line in lines[1:2]}))

    def test_page(self):
        text = tables.page(['a', 'b'], [['x-y', ''], ['2', '1-3']])
        self.assertEqual(
            '.. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n'
            '   * - x-y\n     -\n   * - 2\n     - 1\u20113\n', text)
