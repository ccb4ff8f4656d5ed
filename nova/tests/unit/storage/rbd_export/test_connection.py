# SPDX-License-Identifier: Apache-2.0

"""The connection to the cluster."""

import errno
import sys
from unittest import mock

from nova.storage.rbd_export import connection
from nova.tests.unit.storage.rbd_export import fake_ceph


class ConnectionTestCase(fake_ceph.CephTestCase):
    """What errors of the bindings become, and which options are set."""

    def test_settings(self):
        self.client.connect.side_effect = lambda: self.settings.setdefault(
            'connected')
        self.connect(keyring='/k', read_from_replica='localize')
        self.rados.Rados.assert_called_once_with(rados_id='nova',
                                                 conffile='/conf')
        expected = {
            'client_mount_timeout': '4', 'rados_mon_op_timeout': '4',
            'rados_osd_op_timeout': '7', 'rbd_cache': 'false',
            'rbd_atime_update_interval': '0',
            'keyring': '/k', 'rbd_read_from_replica_policy': 'localize'}
        self.assertLessEqual(expected.items(), self.settings.items())
        # All of them before the connection is made.
        self.assertEqual('connected', list(self.settings)[-1])

    def test_defaults(self):
        self.connect(user=None, conf=None)
        self.rados.Rados.assert_called_once_with(rados_id=None, conffile='')
        self.assertNotIn('keyring', self.settings)
        self.assertNotIn('rbd_read_from_replica_policy', self.settings)

    def test_queueing_is_no_timeout_later(self):
        connection.allow_queueing(self.client, 5)
        self.assertEqual('20', self.settings['rados_osd_op_timeout'])
        self.client.conf_set.side_effect = self.error(1, 'rados')
        connection.allow_queueing(self.client, 5)

    def test_connect_errors(self):
        for number, code in ((errno.ETIMEDOUT, 'connect'),
                             (errno.EACCES, 'permission'),
                             (errno.EPERM, 'permission'),
                             (errno.ENOENT, 'permission'),
                             (errno.EINVAL, 'connect'), (None, 'connect')):
            self.client.connect.side_effect = self.error(number, 'rados')
            self.assert_code(code, self.connect)

    def test_configuration_errors(self):
        for number in (errno.ENOENT, errno.EINVAL, errno.EACCES, None):
            self.rados.Rados.side_effect = self.error(number, 'rados')
            self.assertIn('/conf', str(self.assert_code('connect',
                                                        self.connect)))

    def test_missing_bindings(self):
        for module, load in (('rados', connection.load_rados),
                             ('rbd', lambda: connection.load_rbd()())):
            with mock.patch.dict(sys.modules, {module: None}):
                exc = self.assert_code('bindings', load)
            self.assertIn('python3-rbd', str(exc))

    def test_bindings_are_there_afterwards(self):
        del connection.rados
        connection.load_rados()
        connection.load_rbd()()
        self.assertIs(self.rados, connection.rados)
