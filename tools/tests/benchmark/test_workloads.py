# SPDX-License-Identifier: Apache-2.0


import hashlib
import unittest

from benchmark import common
from benchmark import workloads
from tools.tests.benchmark_samples import MIB


class WorkloadTestCase(unittest.TestCase):

    def test_by_name_or_by_size(self):
        self.assertEqual(
            ('dense', workloads.WORKLOADS['dense']),
            workloads.parse_workload('dense'))
        label, workload = workloads.parse_workload('3G:20x4')
        self.assertEqual(('3G:20x4', 3 << 30, 20, 4),
                         (label, workload.size, workload.percent,
                          workload.count))
        for text in ('', 'x', '1G', '1G:', '1:5', '1G:101', '1G:5x', 'G:5',
                     '1T:5'):
            with self.assertRaises(common.BenchmarkError, msg=text):
                workloads.parse_workload(text)

    def test_data(self):
        workload = workloads.parse_workload('64M:25')[1]
        ranges = workloads.data_ranges(workload, 1)
        self.assertEqual(16 * MIB, sum(length for _, length in ranges))
        self.assertEqual(sorted(ranges), ranges)
        whole = bytearray(workload.size)
        for offset, data in workloads.data_of(workload, 1):
            whole[offset:offset + len(data)] = data
        self.assertEqual(hashlib.sha512(whole).hexdigest(),
                         workloads.digest_of(workload, 1))
        self.assertNotEqual(workloads.digest_of(workload, 1),
                            workloads.digest_of(workload, 2))

    def test_no_data(self):
        self.assertEqual([], workloads.data_ranges(
            workloads.parse_workload('1G:0')[1], 1))

    def test_a_little_data(self):
        workload = workloads.Workload(64 << 30, 0.78125, '')
        self.assertEqual(512 * MIB, workload.data)

    def test_what_is_stored(self):
        workload = workloads.parse_workload('64M:25x2')[1]
        self.assertEqual((32 * MIB, 32 * MIB),
                         (workload.data, workload.stored))
        workload = workload._replace(zeros=True)
        self.assertEqual((32 * MIB, 128 * MIB),
                         (workload.data, workload.stored))
