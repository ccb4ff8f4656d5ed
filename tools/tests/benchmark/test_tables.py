# SPDX-License-Identifier: Apache-2.0


import unittest

from benchmark import summary
from benchmark import tables
from tools.tests.benchmark_samples import result
from tools.tests.benchmark_samples import sample
from tools.tests.benchmark_samples import workload


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
