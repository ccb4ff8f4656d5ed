# SPDX-License-Identifier: Apache-2.0


import unittest

from benchmark import targets
from tools.tests.benchmark_samples import MIB
from tools.tests.benchmark_samples import result
from tools.tests.benchmark_samples import sample
from tools.tests.benchmark_samples import workload


class TargetsTestCase(unittest.TestCase):

    def outcome(self, target, **samples):
        return targets.outcome(target, [result(workloads={
            'dense': workload(samples)})])

    def test_at_least(self):
        target = targets.Target('dense', ('b',), ('a',), least=1.5)
        for theirs, met in ((2.9, False), (3.1, True)):
            found = self.outcome(target, a=[sample(2.0)], b=[sample(theirs)])
            self.assertEqual((theirs / 2, met), (found.value, found.met))

    def test_slower_limit(self):
        target = targets.Target('dense', ('v',), ('a', 'b'), most=1.1)
        found = self.outcome(target, a=[sample(3.0)], b=[sample(2.0)],
                             v=[sample(3.3)])
        self.assertAlmostEqual(1.1, found.value)
        self.assertTrue(found.met)

    def test_figure_itself(self):
        target = targets.Target('dense', ('a',), (), most=100, figure='rss')
        self.assertFalse(self.outcome(target, a=[sample(1, rss=101)]).met)
        target = target._replace(figure='allocated', most=1.01)
        found = self.outcome(target, a=[sample(1, allocated=3 * MIB)])
        self.assertEqual((3.0, False), (found.value, found.met))

    def test_not_measured(self):
        target = targets.Target('dense', ('b',), ('a',), least=1.5)
        self.assertIsNone(self.outcome(target, b=[sample(1)]))
        self.assertIsNone(self.outcome(target._replace(workload='tiny')))

    def test_later_result_counts(self):
        target = targets.Target('dense', ('a',), (), most=100)
        results = [result(workloads={'dense': workload({'a': [sample(n)]})})
                   for n in (1, 2)] + [result(workloads={})]
        self.assertEqual(2, targets.outcome(target, results).value)

    def test_cells(self):
        rows = targets.cells([result(workloads={'tiny': workload({
            'engine': [sample(2.0, rss=60 * MIB)],
            'rbd-export': [sample(1.0, rss=100 * MIB)]})})])
        self.assertEqual([
            ['Wall time, tiny: rbd-export by engine', 'at least 1', '0.50',
             '**no**'],
            ['CPU, tiny: engine by rbd-export', 'at most 0.7', '1.00',
             '**no**'],
            ['Resident memory, tiny: engine by rbd-export', 'at most 0.25',
             '0.60', '**no**'],
            ['Resident memory, tiny: engine', 'at most 100 MiB', '60 MiB',
             'yes']], rows)
