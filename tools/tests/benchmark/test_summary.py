# SPDX-License-Identifier: Apache-2.0


import unittest

from benchmark import summary
from tools.tests.benchmark_samples import MIB
from tools.tests.benchmark_samples import result
from tools.tests.benchmark_samples import sample
from tools.tests.benchmark_samples import workload


class SummaryTestCase(unittest.TestCase):

    def test_ratio_is_taken_round_by_round(self):
        ours, theirs = summary.summarise(result(workloads={
            'dense': workload({
                'engine': [sample(1.0), sample(4.0), sample(2.0)],
                'rbd-export': [sample(3.0), sample(6.0),
                               sample(3.0, read=7)]}, count=2)}))
        self.assertEqual((2.0, 1.0, 4.0, 1.0),
                         (ours['wall'], ours['min'], ours['max'],
                          ours['wall_ratio']))
        self.assertEqual((3.0, 1.5, 8 * MIB),
                         (theirs['wall'], theirs['wall_ratio'],
                          theirs['size']))
        # One figure that is not known makes no median.
        self.assertIsNone(theirs['read'])

    def test_ours_may_be_nova(self):
        rows = summary.summarise(result(workloads={
            'dense': workload({'http': [sample(6.0, cpu=2.0)],
                               'nova': [sample(2.0, cpu=0.5)]}),
            'tiny': workload({'http': [sample(6.0)]})}))
        self.assertEqual((3.0, 4.0),
                         (rows[0]['wall_ratio'], rows[0]['cpu_ratio']))
        self.assertNotIn('wall_ratio', rows[2])
