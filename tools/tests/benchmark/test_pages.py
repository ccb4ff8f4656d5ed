# SPDX-License-Identifier: Apache-2.0


import os
import tempfile
import unittest

from benchmark import pages
from benchmark import plots
from tools.tests.benchmark_samples import MIB
from tools.tests.benchmark_samples import result
from tools.tests.benchmark_samples import sample
from tools.tests.benchmark_samples import workload


class PagesTestCase(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.join(folder.name, 'new')

    def write(self, *results):
        names = pages.write(results, self.dir)
        self.assertEqual(sorted(names), sorted(os.listdir(self.dir)))
        return names

    def text(self, name):
        with open(os.path.join(self.dir, name)) as f:
            return f.read()

    def test_workloads(self):
        names = self.write(
            result(workloads={'dense': workload({
                'engine': [sample(9.0)], 'reads': [sample(1.0)]})}),
            result(workloads={'dense': workload({
                'engine': [sample(2.0, read=MIB)],
                'reads': [sample(1.0, read=MIB, allocated=0)]}),
                'tiny': workload({'http': [sample(3.0)],
                                  'nova': [sample(1.0)]})}),
            result(workloads={'dense': workload({'engine': [sample(8.0)]})}))
        self.assertIn('targets.inc', names)
        for other in ('9.00', '8.00'):
            self.assertNotIn(other, self.text('engine.inc'))
        self.assertIn('2.00', self.text('engine.inc'))
        self.assertNotIn('tiny', self.text('engine.inc'))
        self.assertIn('tiny', self.text('nova.inc'))
        self.assertIn('dense: an image', self.text('engine-wall.svg'))
        # Limits have no file.
        self.assertNotIn('limit', self.text('engine-allocated.svg'))
        self.assertIn('limit', self.text('engine-read.svg'))

    def test_commands_and_machine(self):
        self.write(result(), result(command='tools/benchmark --y'))
        self.assertEqual(
            '.. code-block:: console\n\n   # tools/benchmark --x\n'
            '   # tools/benchmark --y\n', self.text('commands.inc'))
        self.assertEqual('2 cores of a CPU, 8 GiB of memory, Linux 6.1, '
                         'ceph 16; 2026-01-02.\n', self.text('machine.inc'))

    def test_scaling(self):
        points = [{'x': x, 'samples': {'engine': [sample(float(x))],
                                       'rbd-export': [sample(3.0)]}}
                  for x in (1, 2)]
        names = self.write(result(scaling={'count': points}))
        self.assertIn('scaling-count-wall.svg', names)
        self.assertIn('against downloads at once',
                      self.text('scaling-count-rss.svg'))
        self.assertEqual(5, self.text('scaling.inc').count('* -'))

    def test_kindness(self):
        self.write(result(
            rates=[{'rate': 10 * MIB, 'taken': [9 * MIB, 11 * MIB]}],
            ticker=[{'mode': 'eventlet', 'method': 'nova',
                     'gaps': [0.02, 0.05, 0.03]}]))
        for word in ('- 10\n', '- 10.00\n', '- 9.00\u201111.00\n'):
            self.assertIn(word, self.text('rates.inc'))
        for word in ('eventlet', '- 30\n', '- 50\n'):
            self.assertIn(word, self.text('ticker.inc'))

    def test_nodes(self):
        told = {'model': 'disks', 'nodes': 10, 'digest': True,
                'order': 'in order', 'seconds': 3.0, 'median': 2.0,
                'queue': 5, 'busy': 1.5, 'bound': 1.0}
        self.write(result(nodes=[told, dict(told, digest=False)]))
        plot = self.text('nodes-disks.svg')
        self.assertIn('10 nodes, verified', plot)
        # The engine goes in order for the sake of the digest alone.
        self.assertEqual((1, 1), (plot.count(plots.OURS),
                                  plot.count(plots.THEIRS)))
        self.assertIn('- 1.5\n', self.text('nodes.inc'))
