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

"""What the benchmark computes, without a cluster."""

import hashlib
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'lib'))

import benchmark  # noqa: E402

MIB = 1 << 20


def sample(wall, cpu=1.0, read=None):
    return {'wall': wall, 'cpu': cpu, 'rss': 50 * MIB, 'allocated': MIB,
            'read': read}


class WorkloadTestCase(unittest.TestCase):

    def test_by_name_or_by_size(self):
        self.assertEqual(
            ('dense', benchmark.WORKLOADS['dense']),
            benchmark.parse_workload('dense'))
        label, workload = benchmark.parse_workload('3G:20x4')
        self.assertEqual(('3G:20x4', 3 << 30, 20, 4),
                         (label, workload.size, workload.percent,
                          workload.count))
        for text in ('', 'x', '1G', '1G:', '1:5', '1G:101', '1G:5x', 'G:5',
                     '1T:5'):
            with self.assertRaises(benchmark.BenchmarkError, msg=text):
                benchmark.parse_workload(text)

    def test_data(self):
        workload = benchmark.parse_workload('64M:25')[1]
        ranges = benchmark.data_ranges(workload, 1)
        self.assertEqual(16 * MIB, sum(length for _, length in ranges))
        self.assertEqual(sorted(ranges), ranges)
        whole = bytearray(workload.size)
        for offset, data in benchmark.data_of(workload, 1):
            whole[offset:offset + len(data)] = data
        self.assertEqual(hashlib.sha512(whole).hexdigest(),
                         benchmark.digest_of(workload, 1))
        self.assertNotEqual(benchmark.digest_of(workload, 1),
                            benchmark.digest_of(workload, 2))

    def test_file(self):
        made = benchmark._File(iter([b'abc', b'', b'de']))
        self.assertEqual([b'ab', b'c'], [made.read(2), made.read(2)])


class SummaryTestCase(unittest.TestCase):

    RESULT = {'workloads': {'dense': {'size': 4 * MIB, 'count': 2, 'samples': {
        'engine': [sample(1.0), sample(4.0), sample(2.0)],
        'rbd-export': [sample(3.0), sample(6.0), sample(3.0, read=7)]}}}}

    def setUp(self):
        self.rows = benchmark.summarise(self.RESULT)

    def test_ratio_is_taken_round_by_round(self):
        ours, theirs = self.rows
        self.assertEqual((2.0, 1.0, 4.0, 1.0),
                         (ours['wall'], ours['min'], ours['max'],
                          ours['wall_ratio']))
        self.assertEqual((3.0, 1.5, 8 * MIB),
                         (theirs['wall'], theirs['wall_ratio'],
                          theirs['size']))
        # One figure that is not known makes no median.
        self.assertIsNone(theirs['read'])

    def test_table(self):
        lines = benchmark.table(self.rows).splitlines()
        self.assertEqual(3, len(lines))
        self.assertRegex(lines[2], r'dense +rbd-export +3.00 +3.00-6.00 +3 ')

    def test_plot(self):
        plot = benchmark.plot(self.rows, 'wall', 'Wall time', 1, 's')
        self.assertEqual(2, plot.count('<rect x='))
        self.assertIn('3.00 s', plot)
        self.assertEqual(0, benchmark.plot(self.rows, 'read', 'Read', 1,
                                           'B').count('<rect x="2'))


if __name__ == '__main__':
    unittest.main()
