# SPDX-License-Identifier: Apache-2.0

"""What the RBD driver asks of the tools of Ceph."""

import os

import fixtures
from oslo_concurrency import processutils
from oslo_serialization import jsonutils

from nova import exception
from nova.storage import rbd_utils
from nova.tests.unit.storage import fake_bindings


class ToolsTestCase(fake_bindings.BindingsTestCase):

    def setUp(self):
        super().setUp()
        self.execute = self.useFixture(fixtures.MockPatch(
            'oslo_concurrency.processutils.execute')).mock
        self.stub_out('os.environ', {'PATH': '/bin'})

    def answer(self, answer, first=''):
        self.execute.return_value = (first + jsonutils.dumps(answer), '')

    def test_mon_addrs(self):
        self.answer({'mons': [
            {'name': 'a', 'addr': '[fd00::1]:6789/0'},
            {'name': 'b', 'addr': '192.0.2.1:3300/0'},
            {'name': 'c', 'addr': 'mon.example.org:6789'}]})
        self.assertEqual(
            (['fd00::1', '192.0.2.1', 'mon.example.org'],
             ['6789', '3300', '6789']), self.driver.get_mon_addrs())
        self.assertEqual('[fd00::1]', self.driver.get_mon_addrs(
            strip_brackets=False)[0][0])

    def test_mon_addrs_after_text(self):
        self.answer({'mons': [{'addr': '192.0.2.1:6789/0'}]},
                    first='dumped monmap epoch 1\n')
        self.assertEqual((['192.0.2.1'], ['6789']),
                         self.driver.get_mon_addrs())

    def test_mon_addrs_unusable(self):
        self.answer({'mons': [{'name': 'b', 'addr': '-'}]})
        exc = self.assertRaises(exception.StorageError,
                                self.driver.get_mon_addrs)
        self.assertIn('monitor b', str(exc))

    def test_command_has_a_time_limit(self):
        self.answer({'mons': []})
        self.driver.get_mon_addrs()
        self.execute.assert_called_once_with(
            'timeout', '--kill-after=5', '70', 'ceph', 'mon', 'dump',
            '--format=json', '--id', 'nova', '--conf', '/etc/ceph/a.conf',
            env_variables={
                'PATH': '/bin', 'CEPH_ARGS': '--client_mount_timeout=5 '
                '--rados_mon_op_timeout=60'})

    def test_command_without_time_limit(self):
        os.environ['CEPH_ARGS'] = '--client_mount_timeout=9'
        self.answer({'mons': []})
        rbd_utils.RBDDriver(connect_timeout=-1).get_mon_addrs()
        self.execute.assert_called_once_with(
            'ceph', 'mon', 'dump', '--format=json', '--id', 'nova', '--conf',
            '/etc/ceph/a.conf', env_variables={
                'PATH': '/bin', 'CEPH_ARGS': '--client_mount_timeout=9'})

    def test_pool_info(self):
        self.answer({'stats': {'total_bytes': 9}, 'pools': [
            {'name': 'images', 'stats': {'max_avail': 1, 'bytes_used': 2}},
            {'name': 'vms', 'stats': {'max_avail': 3, 'bytes_used': 4}}]})
        self.assertEqual({'total': 9, 'free': 3, 'used': 4},
                         self.driver.get_pool_info())

    def test_command_that_fails(self):
        self.execute.side_effect = processutils.ProcessExecutionError(
            exit_code=124, cmd='ceph df --id nova')
        for function, *args in ((self.driver.get_pool_info,),
                                (self.driver.get_mon_addrs,),
                                (self.driver.import_image, '/base', 'disk')):
            exc = self.assertRaises(exception.StorageError, function, *args)
            # Only the log has it.
            self.assertNotIn('ceph df', str(exc))
            self.assertIn('ceph df --id nova', self.stdlog.logger.output)

    def test_pool_info_no_such_pool(self):
        self.answer({'stats': {'total_bytes': 9}, 'pools': []})
        exc = self.assertRaises(exception.NotFound,
                                self.driver.get_pool_info)
        self.assertIn('vms', str(exc))

    def test_import_image(self):
        os.environ['CEPH_ARGS'] = '--debug_rbd=1'
        self.driver.import_image('/var/base', 'disk')
        # Only the connection has a limit: the copy takes as long as it takes.
        self.execute.assert_called_once_with(
            'rbd', 'import', '--pool', 'vms', '/var/base', 'disk',
            '--image-format=2', '--id', 'nova', '--conf', '/etc/ceph/a.conf',
            env_variables={
                'PATH': '/bin', 'CEPH_ARGS': '--client_mount_timeout=5 '
                '--rados_mon_op_timeout=60 --debug_rbd=1'})

    def test_command_with_the_default_timeout(self):
        self.answer({'mons': []})
        rbd_utils.RBDDriver().get_mon_addrs()
        # It ends, but not before those of plain Nova would.
        self.assertEqual(
            ('timeout', '--kill-after=5', '605', 'ceph'),
            self.execute.call_args.args[:4])
        self.assertEqual(
            {'PATH': '/bin', 'CEPH_ARGS': ''},
            self.execute.call_args.kwargs['env_variables'])
