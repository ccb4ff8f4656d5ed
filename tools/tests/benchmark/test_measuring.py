# SPDX-License-Identifier: Apache-2.0


import os
import sys
import tempfile
import unittest
from unittest import mock

from benchmark import common
from benchmark import measuring
from benchmark import methods
from benchmark import workloads

SIZE = 64 << 10


def writes(size, status=0):
    """A method that writes a file of zeros."""
    def command(bench, name, workload, path):
        return [sys.executable, '-c',
                'import os, sys; data = bytearray(30 << 20); '
                f'open(sys.argv[1], "wb").write(bytes({size})); '
                f'print("because"); sys.exit({status})', path]
    return methods.Method('writes', command)


class MeasuringTestCase(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        cluster = mock.Mock()
        cluster.read_so_far.side_effect = iter(range(0, 1000, 7))
        cluster.cpu_so_far.side_effect = iter(range(0, 1000, 3))
        self.bench = methods.Bench(cluster, self.dir, [])
        self.workload = workloads.Workload(SIZE, 0, 'nothing')
        self.enterContext(mock.patch.object(measuring, 'say'))

    def use(self, **found):
        self.enterContext(mock.patch.dict(methods.METHODS, found,
                                          clear=True))

    def test_one_run(self):
        self.use(writes=writes(9000))
        sample = measuring.run_once(self.bench, 'writes', ['a', 'b'],
                                    self.workload)
        self.assertGreater(sample.wall, 0)
        self.assertGreater(sample.cpu, 0)
        self.assertGreater(sample.rss, 30 << 20)
        self.assertEqual((2 * 12288, 7, 3),
                         (sample.allocated, sample.read, sample.osd))

    def test_failure(self):
        self.use(writes=writes(0, 3))
        with self.assertRaisesRegex(common.BenchmarkError, 'failed: because'):
            measuring.run_once(self.bench, 'writes', ['a'], self.workload)

    def test_rounds(self):
        self.use(a=writes(1), b=writes(1))
        order = []
        run_once = measuring.run_once
        with mock.patch.object(
                measuring, 'run_once', side_effect=lambda bench, method, *
                args: order.append(method) or run_once(bench, method, *args)):
            taken = measuring.measure(self.bench, 'label', self.workload,
                                      ['a', 'b'], 2, False)
        self.assertEqual('ababab', ''.join(order))
        self.assertEqual({'a': 2, 'b': 2},
                         {name: len(found) for name, found in taken.items()})
        self.assertEqual(['log'], os.listdir(self.dir))
        self.bench.cluster.remove.assert_called_once()

    def test_file_is_compared(self):
        self.use(a=writes(SIZE), b=writes(SIZE - 1))
        measuring.measure(self.bench, 'label', self.workload, ['a'], 1, True)
        with self.assertRaisesRegex(common.BenchmarkError, 'not the image'):
            measuring.measure(self.bench, 'label', self.workload, ['b'], 1,
                              True)

    def test_way_of_the_bytes(self):
        self.use(http=writes(0)._replace(nova={}))
        glance = self.bench.cluster.bed.glance
        for asked, error in (([5, 6], False), ([5, 5], True)):
            glance.downloads.side_effect = asked
            self.bench.cluster.glance_ids = {'a': 'uuid'}
            with mock.patch.object(measuring, 'environment_of',
                                   return_value={}), \
                    open(os.path.join(self.dir, 'a.out.result'), 'w') as f:
                f.write('{"seconds": 1.5, "cpu_seconds": 0.5}')
                f.flush()
                try:
                    sample = measuring.run_once(self.bench, 'http', ['a'],
                                                self.workload)
                except common.BenchmarkError as exc:
                    self.assertTrue(error)
                    self.assertIn('did not get its bytes', str(exc))
                else:
                    self.assertFalse(error)
                    self.assertEqual((1.5, 0.5), (sample.wall, sample.cpu))
