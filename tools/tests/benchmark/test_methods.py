# SPDX-License-Identifier: Apache-2.0


import contextlib
import json
import os
import tempfile
import unittest
from unittest import mock

from benchmark import methods
from benchmark import workloads


class MethodsTestCase(unittest.TestCase):

    def setUp(self):
        cluster = mock.Mock(conf='/c', user='u', pool='p', admin='a',
                            admin_conf='/a', glance_ids={'image': 'uuid'})
        self.bench = methods.Bench(cluster, '/out', ['--inflight=3'])
        self.bench.digests['image'] = 'abc'
        self.workload = workloads.WORKLOADS['tiny']

    def command(self, method):
        return methods.METHODS[method].command(self.bench, 'image',
                                               self.workload, '/out/file')

    def test_engine(self):
        plain, verified = self.command('engine'), self.command('verified')
        self.assertIn('--inflight=3', plain)
        self.assertEqual(['--digest=sha512:abc'],
                         [word for word in verified if word not in plain])

    def test_ceph(self):
        for method, word in (('rbd-export', 'p/image@snap'),
                             ('rbd-export-20',
                              '--rbd-concurrent-management-ops=20'),
                             ('rbd-export-sync', 'export'),
                             ('qemu-img', 'rbd:p/image@snap:id=a:conf=/a')):
            self.assertIn(word, self.command(method))
            self.assertIn('/out/file', self.command(method))

    def test_limits(self):
        self.assertEqual(['reads', '/c', 'u', 'p', 'image'],
                         self.command('reads')[2:])
        self.assertEqual(['sha512', str(16 << 20)],
                         self.command('sha512')[2:])
        self.assertFalse(methods.METHODS['reads'].file)

    def test_upstream_has_its_own_python(self):
        upstream, ours = self.command('upstream'), self.command('nova')
        self.assertEqual(upstream[1:], ours[1:])
        self.assertIn('/.venv-upstream/', upstream[0])
        self.assertNotIn('/.venv-upstream/', ours[0])
        self.assertEqual(
            ['http', 'upstream', 'nova', 'nova-verified'],
            [name for name in methods.METHODS if methods.is_nova(name)])


class EnvironmentTestCase(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'file')
        cluster = mock.Mock()
        cluster.bed.nova_config.return_value = {'DEFAULT': {}, 'glance': {
            'rbd_user': 'nova', 'enable_rbd_download': True}}
        cluster.bed.context.return_value.to_dict.return_value = {'a': 1}
        cluster.warm_up.return_value = 'small'
        self.bench = methods.Bench(cluster, folder.name, [])

    def test_without_nova(self):
        self.assertEqual(dict(os.environ), methods.environment_of(
            self.bench, methods.METHODS['engine'], self.path))
        self.assertFalse(os.path.exists(self.path + '.conf'))

    def test_nova(self):
        found = methods.environment_of(self.bench, methods.METHODS['http'],
                                       self.path)
        self.assertEqual('true', found['OS_NOVA_DISABLE_EVENTLET_PATCHING'])
        self.assertEqual('small', found['DOWNLOAD_WARM_UP'])
        self.assertEqual({'a': 1}, json.loads(found['DOWNLOAD_CONTEXT']))
        with contextlib.closing(open(self.path + '.conf')) as f:
            text = f.read()
        self.assertIn('enable_rbd_download = False', text)
        self.assertIn('rbd_user = nova', text)
