# SPDX-License-Identifier: Apache-2.0

"""How long the RBD driver waits for a cluster."""

import ddt

from nova.conf import libvirt
from nova.storage import rbd_connection
from nova.storage import rbd_utils
from nova.tests.unit.storage import fake_bindings


@ddt.ddt
class TimeLimitsTestCase(fake_bindings.BindingsTestCase):

    def test_connection_that_reads(self):
        self.assertEqual(
            {'client_mount_timeout': 5, 'rados_mon_op_timeout': 5,
             'rados_osd_op_timeout': 60},
            rbd_connection.time_limits(5, read_only=True))

    def test_connection_that_writes(self):
        # No limit for OSDs: a write may happen after it was given up.
        self.assertEqual(
            {'client_mount_timeout': 5, 'rados_mon_op_timeout': 60},
            rbd_connection.time_limits(5))

    @ddt.data(0, -1)
    def test_no_limits(self, timeout):
        self.assertEqual(
            {}, rbd_connection.time_limits(timeout, read_only=True))
        self.assertEqual({}, rbd_connection.time_limits(timeout))
        driver = rbd_utils.RBDDriver(connect_timeout=timeout)
        with rbd_utils.RADOSClient(driver):
            self.assertNotIn('client_mount_timeout',
                             self.fake.conf_at_connect)

    def test_set_before_connect(self):
        self.driver._connect_to_rados()
        self.assertEqual('5', self.fake.conf_at_connect[
            'client_mount_timeout'])
        self.assertEqual('60', self.fake.conf_at_connect[
            'rados_mon_op_timeout'])
        self.assertEqual('0', self.fake.conf_at_connect[
            'rados_osd_op_timeout'])

    def test_given_timeout_wins(self):
        rbd_utils.RBDDriver(connect_timeout=2)._connect_to_rados()
        self.assertEqual('2', self.fake.conf_at_connect[
            'client_mount_timeout'])

    def test_image_to_read(self):
        self.driver.size('disk')
        self.assertEqual('60', self.fake.conf_at_connect[
            'rados_osd_op_timeout'])
        self.fake.rbd_module.Image.assert_called_once_with(
            self.fake.ioctx, 'disk', snapshot=None, read_only=True)

    def test_image_to_write(self):
        self.driver.flatten('disk')
        self.assertEqual('0', self.fake.conf_at_connect[
            'rados_osd_op_timeout'])

    def test_ceph_conf_has_limits(self):
        self.fake.conf.update(client_mount_timeout='300',
                              rados_mon_op_timeout='7',
                              rados_osd_op_timeout='8.5')
        self.driver.size('disk')
        self.assertEqual(
            {'client_mount_timeout': '5', 'rados_mon_op_timeout': '7',
             'rados_osd_op_timeout': '8.5'}, self.fake.conf_at_connect)

    @ddt.data((None, 5, None), (None, 6, '6'), (None, 0, None),
              (5, 5, '5'), (3, 6, '3'))
    @ddt.unpack
    def test_default_of_the_option_is_the_usual_time(self, given, configured,
                                                     limit):
        # As without this project, where librados ignores the number.
        self.flags(group='libvirt', rbd_connect_timeout=configured)
        driver = rbd_utils.RBDDriver(connect_timeout=given)
        driver._connect_to_rados(read_only=True)
        self.assertEqual(limit, self.fake.conf_at_connect.get(
            'client_mount_timeout'))
        self.assertEqual(limit is None, self.fake.conf_at_connect[
            'rados_osd_op_timeout'] == '0')

    def test_which_default(self):
        # That of Nova's own option.
        self.assertEqual(
            rbd_connection.DEFAULT_CONNECT_TIMEOUT,
            next(option.default for option in libvirt.libvirt_volume_net_opts
                 if option.name == 'rbd_connect_timeout'))
