# SPDX-License-Identifier: Apache-2.0


import os
import resource
import unittest
from unittest import mock

from benchmark import clusters
from benchmark.common import GIB


class FileTestCase(unittest.TestCase):

    def test_read(self):
        made = clusters._File(iter([b'abc', b'', b'de']))
        self.assertEqual([b'ab', b'c'], [made.read(2), made.read(2)])


class MemoryTestCase(unittest.TestCase):

    def directory(self, free: int, available: int) -> str | None:
        with mock.patch('shutil.disk_usage',
                        return_value=mock.Mock(free=free)), \
                mock.patch('psutil.virtual_memory',
                           return_value=mock.Mock(available=available)):
            return clusters.memory_directory(GIB)

    def test_room(self):
        self.assertEqual('/dev/shm', self.directory(4 * GIB, 4 * GIB))
        self.assertIsNone(self.directory(4 * GIB - 1, 8 * GIB))
        self.assertIsNone(self.directory(8 * GIB, 4 * GIB - 1))

    def test_no_such_file_system(self):
        with mock.patch('shutil.disk_usage', side_effect=OSError):
            self.assertIsNone(clusters.memory_directory(0))


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
