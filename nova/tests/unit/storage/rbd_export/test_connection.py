# SPDX-License-Identifier: Apache-2.0

"""The connection to the cluster."""

import errno
import socket
import sys
from unittest import mock

import fixtures

from nova.storage.rbd_export import ceph_conf
from nova.storage.rbd_export import connection
from nova.storage.rbd_export import errors
from nova.storage.rbd_export import keyring
from nova.tests.unit.storage.rbd_export import fake_ceph


class ConnectionTestCase(fake_ceph.CephTestCase):
    """What errors of the bindings become, and which options are set."""

    def setUp(self):
        super().setUp()
        self.conf = {'keyring': '/no/keyring', 'mon_host': '192.0.2.1'}
        self.client.conf_get.side_effect = lambda name: self.conf.get(
            name, '')
        self.read = self.useFixture(fixtures.MockPatchObject(
            ceph_conf, 'read', return_value=('/conf', '[global]\n'))).mock
        self.phases = []

    def enter(self, phase, waits_for):
        self.phases.append(waits_for)

    def test_settings(self):
        self.connect(keyring='/k', read_from_replica='localize')
        arguments = self.rados.Rados.call_args[1]
        self.assertEqual(('nova', '/conf'), (arguments['rados_id'],
                                             arguments['conffile']))
        expected = {
            'client_mount_timeout': '4', 'rados_mon_op_timeout': '4',
            'rados_osd_op_timeout': '7', 'rbd_cache': 'false',
            'rbd_atime_update_interval': '0', 'log_file': '',
            'admin_socket': '',
            'keyring': '/k', 'rbd_read_from_replica_policy': 'localize'}
        # Before ceph.conf is read and after it.
        for name in ('conf_defaults', 'conf'):
            self.assertLessEqual(expected.items(), arguments[name].items())
        self.client.connect.assert_called_once_with()

    def test_defaults(self):
        self.connect(user=None, conf=None)
        arguments = self.rados.Rados.call_args[1]
        self.assertEqual((None, ''), (arguments['rados_id'],
                                      arguments['conffile']))
        self.assertNotIn('keyring', arguments['conf'])
        self.assertNotIn('rbd_read_from_replica_policy', arguments['conf'])

    def test_phases(self):
        self.connect(enter=self.enter)
        self.assertEqual(['disk', 'monitors'], self.phases)
        self.conf['mon_host'] = 'mon.example'
        self.phases.clear()
        with mock.patch.object(socket, 'getaddrinfo', return_value=[
                (socket.AF_INET, 1, 6, '', ('192.0.2.7', 0))]):
            self.connect(enter=self.enter)
        self.assertEqual(['disk', 'names', 'monitors'], self.phases)
        self.assertEqual('192.0.2.7', self.settings['mon_host'])
        # Then librados asks the name server.
        self.conf['mon_host'] = ''
        self.phases.clear()
        self.connect(enter=self.enter)
        self.assertEqual(['disk', 'names'], self.phases)

    def test_queueing_is_no_timeout_later(self):
        connection.allow_queueing(self.client, 5)
        self.assertEqual('20', self.settings['rados_osd_op_timeout'])
        self.client.conf_set.side_effect = self.error(1, 'rados')
        connection.allow_queueing(self.client, 5)

    def test_connect_errors(self):
        for number, code in ((errno.ETIMEDOUT, 'connect'),
                             (errno.ECONNREFUSED, 'connect'),
                             (errno.ESHUTDOWN, 'blocklisted'),
                             (errno.EACCES, 'no_key'),
                             (errno.EPERM, 'no_key'),
                             (errno.ENOENT, 'no_key'),
                             (errno.EOPNOTSUPP, 'no_key'),
                             (errno.EIO, 'no_key'),
                             (errno.EMFILE, 'limits'),
                             (errno.EISDIR, 'no_key')):
            self.client.connect.side_effect = self.error(number, 'rados')
            exc = self.assert_code(code, self.connect)
            self.assertIn(errno.errorcode[number], str(exc))

    def test_key_that_is_well(self):
        rejected = errors.ExportError('key_rejected', 'x')
        for number, code in ((errno.EACCES, 'key_rejected'),
                             (errno.EOPNOTSUPP, 'bad_conf'),
                             (errno.ENOENT, 'bad_conf'),
                             (errno.EIO, 'unexpected')):
            self.client.connect.side_effect = self.error(number, 'rados')
            with mock.patch.object(keyring, 'explain', return_value=rejected):
                self.assert_code(code, self.connect)

    def test_without_cephx(self):
        self.conf['auth_client_required'] = 'none'
        for number, code in ((errno.EACCES, 'bad_conf'),
                             (errno.ETIMEDOUT, 'connect'),
                             (errno.EINVAL, 'bad_conf'),
                             (errno.ERANGE, 'unexpected')):
            self.client.connect.side_effect = self.error(number, 'rados')
            self.assert_code(code, self.connect)

    def test_no_monitors(self):
        self.conf['mon_host'] = ''
        self.client.connect.side_effect = self.error(errno.ENOENT, 'rados')
        self.assert_code('no_monitors', self.connect)
        self.read.return_value = '/conf', '[mon.a]\nmon addr = 192.0.2.1\n'
        self.assert_code('no_key', self.connect)

    def test_configuration_errors(self):
        for number, code in ((errno.ENOENT, 'no_conf'),
                             (errno.EINVAL, 'bad_conf'),
                             (errno.EDOM, 'bad_conf'), (None, 'bad_conf')):
            self.rados.Rados.side_effect = self.error(number, 'rados')
            self.assertIn('/conf', str(self.assert_code(code, self.connect)))

    def test_missing_bindings(self):
        for module, load in (('rados', connection.load_rados),
                             ('rbd', lambda: connection.load_rbd()())):
            with mock.patch.dict(sys.modules, {module: None}):
                exc = self.assert_code('bindings', load)
            self.assertIn('python3-rbd', exc.remedy)
            self.assertNotIn('python3-rbd', str(exc))

    def test_bindings_are_there_afterwards(self):
        del connection.rados
        connection.load_rados()
        connection.load_rbd()()
        self.assertIs(self.rados, connection.rados)
