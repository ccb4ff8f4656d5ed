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


import os
import resource
import unittest
from unittest import mock

import benchmark_samples  # noqa: F401

from benchmark import clusters


class FileTestCase(unittest.TestCase):

    def test_read(self):
        made = clusters._File(iter([b'abc', b'', b'de']))
        self.assertEqual([b'ab', b'c'], [made.read(2), made.read(2)])
        self.assertGreater(clusters.available_memory(), 0)


class ClusterTestCase(unittest.TestCase):

    def test_cpu(self):
        cluster = clusters.Cluster('/c', 'u', 'p')
        self.assertIsNone(cluster.cpu_so_far())
        cluster.fixture = mock.Mock()
        cluster.fixture.osd.pid = os.getpid()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.assertAlmostEqual(usage.ru_utime + usage.ru_stime,
                               cluster.cpu_so_far(), delta=0.1)

    def test_warm_up_is_uploaded_once(self):
        cluster = clusters.Cluster('/c', 'u', 'p')
        cluster.bed = mock.Mock()
        cluster.bed.glance.upload.return_value = 'uuid'
        self.assertEqual(['uuid', 'uuid'],
                         [cluster.warm_up(), cluster.warm_up()])
        cluster.bed.glance.upload.assert_called_once()
