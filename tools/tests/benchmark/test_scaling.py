# SPDX-License-Identifier: Apache-2.0


import unittest
from unittest import mock

from benchmark import scaling

MIB, GIB = 1 << 20, 1 << 30


class ScalingTestCase(unittest.TestCase):

    def test_size_alone_grows(self):
        sizes = scaling.SERIES['size'].workloads
        self.assertEqual([n * GIB for n in sizes],
                         [workload.size for workload in sizes.values()])
        self.assertEqual({512 * MIB},
                         {workload.data for workload in sizes.values()})

    def test_data_alone_grows(self):
        workloads = scaling.SERIES['data'].workloads
        self.assertEqual({GIB}, {w.size for w in workloads.values()})
        self.assertEqual([GIB * percent // 100 for percent in workloads],
                         [w.data for w in workloads.values()])

    def test_points(self):
        with mock.patch.object(scaling, 'measure', return_value={}) as taken:
            found = scaling.measure_all('bench', ['count'], ['engine'], 2)
        self.assertEqual([1, 2, 4, 8], [p['x'] for p in found['count']])
        self.assertEqual([1, 2, 4, 8],
                         [c.args[2].count for c in taken.call_args_list])
