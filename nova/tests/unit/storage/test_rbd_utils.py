# SPDX-License-Identifier: Apache-2.0

"""What upstream's own test_rbd does not check of our RBD driver."""

import threading
from unittest import mock

import ddt
import fixtures

from nova import exception
from nova import release_compat
from nova.storage import rbd_transfer
from nova.storage import rbd_utils
from nova import test
from nova.tests.unit.storage import fake_bindings

URL = 'rbd://fsid/images/disk/snap'


class MissingBindingsTestCase(test.NoDBTestCase):

    def test_driver_tells(self):
        for name in ('rados', 'rbd'):
            with mock.patch.object(rbd_utils, 'rados', mock.Mock()), \
                    mock.patch.object(rbd_utils, 'rbd', mock.Mock()), \
                    mock.patch.object(rbd_utils, name, None), \
                    mock.patch('importlib.import_module',
                               side_effect=ImportError('no such')):
                exc = self.assertRaises(RuntimeError, rbd_utils.RBDDriver)
            self.assertIn('rbd python libraries not found', str(exc))
            self.assertIn('Install python3-rados', self.stdlog.logger.output)
            self.assertIn('Install python3-rbd', self.stdlog.logger.output)


@ddt.ddt
class ConnectionTestCase(fake_bindings.BindingsTestCase):

    def test_client_open_and_close(self):
        with rbd_utils.RADOSClient(self.driver, 'images') as client:
            self.assertIs(self.fake.client, client.cluster)
            self.assertIs(self.fake.ioctx, client.ioctx)
        self.fake.rados_module.Rados.assert_called_once_with(
            rados_id='nova', conffile='/etc/ceph/a.conf')
        self.fake.client.open_ioctx.assert_called_once_with('images')
        self.assertEqual(['Rados', 'connect', 'open_ioctx', 'ioctx.close',
                          'shutdown'], self.fake.calls)

    @ddt.data(('connect', ['Rados', 'connect', 'shutdown']),
              ('open_ioctx', ['Rados', 'connect', 'open_ioctx', 'shutdown']))
    @ddt.unpack
    def test_client_cannot_open(self, call, calls):
        error = self.break_call(call, 'rados', 'TimedOut')
        self.assertRaises(error, rbd_utils.RADOSClient, self.driver)
        self.assertEqual(calls, self.fake.calls)

    def test_client_option_refused(self):
        self.fake.client.conf_set.side_effect = (
            self.fake.rados_module.ObjectNotFound)
        self.assertRaises(self.fake.rados_module.ObjectNotFound,
                          rbd_utils.RADOSClient, self.driver)
        self.assertEqual(['Rados', 'shutdown'], self.fake.calls)

    def test_client_close_fails(self):
        error = self.break_call('ioctx.close', 'rados', 'TimedOut')
        client = rbd_utils.RADOSClient(self.driver)
        self.assertRaises(error, client.__exit__, None, None, None)
        self.assertEqual(['ioctx.close', 'shutdown'], self.fake.calls[-2:])

    def test_image_open_and_close(self):
        with rbd_utils.RBDVolumeProxy(self.driver, 'disk', pool='images',
                                      snapshot='snap') as image:
            self.assertEqual(42, image.size())
            self.assertIs(self.fake.client, image.client)
            self.assertIs(self.fake.ioctx, image.ioctx)
        self.fake.rbd_module.Image.assert_called_once_with(
            self.fake.ioctx, 'disk', snapshot='snap', read_only=False)
        self.assertEqual(
            ['Rados', 'connect', 'open_ioctx', 'Image', 'size',
             'image.close', 'ioctx.close', 'shutdown'], self.fake.calls)

    @ddt.data(('rbd', 'ImageNotFound'), ('rbd', 'PermissionError'),
              ('rados', 'TimedOut'))
    @ddt.unpack
    def test_image_cannot_open(self, module, name):
        error = self.break_call('Image', module, name)
        self.assertRaises(error, rbd_utils.RBDVolumeProxy, self.driver, 'x')
        self.assertEqual(['Image', 'ioctx.close', 'shutdown'],
                         self.fake.calls[-3:])

    def test_image_refused_is_one_useful_line(self):
        self.break_call('Image', 'rbd', 'PermissionError')
        self.assertRaises(Exception, rbd_utils.RBDVolumeProxy,  # noqa: H202
                          self.driver, 'disk', pool='images')
        lines = [line for line in self.log.output.splitlines()
                 if 'ERROR' in line]
        self.assertEqual(1, len(lines), lines)
        self.assertIn('images/disk', lines[0])
        self.assertIn('as Ceph user nova', lines[0])

    def test_image_close_fails(self):
        error = self.break_call('image.close', 'rbd', 'Timeout')
        image = rbd_utils.RBDVolumeProxy(self.driver, 'disk')
        self.assertRaises(error, image.__exit__, None, None, None)
        self.assertEqual(['image.close', 'ioctx.close', 'shutdown'],
                         self.fake.calls[-3:])

    def test_image_close_fails_after_another_failure(self):
        self.break_call('image.close', 'rbd', 'Timeout')

        def use():
            with rbd_utils.RBDVolumeProxy(self.driver, 'disk'):
                raise test.TestingException()

        self.assertRaises(test.TestingException, use)
        self.assertEqual(['image.close', 'ioctx.close', 'shutdown'],
                         self.fake.calls[-3:])

    def test_image_never_opened_has_no_attributes(self):
        image = rbd_utils.RBDVolumeProxy.__new__(rbd_utils.RBDVolumeProxy)
        self.assertRaises(AttributeError, getattr, image, 'size')

    def test_which_thread(self):
        """What waits for the cluster does not do so on the hub's thread."""
        self.driver.size('disk')
        self.driver.get_fsid()
        self.driver.remove_image('disk')
        self.assertEqual(
            {'Rados', 'connect', 'open_ioctx', 'Image', 'size', 'remove',
             'image.close', 'ioctx.close', 'shutdown', 'get_fsid'},
            set(self.fake.threads))
        here = threading.get_native_id()
        for call, thread in self.fake.threads.items():
            if release_compat.threading_mode():
                self.assertEqual(here, thread, call)
            else:
                self.assertNotEqual(here, thread, call)

    def test_features(self):
        client = rbd_utils.RADOSClient(self.driver)
        for configured, expected in ((None, 1), ('0', 1), ('61', 61)):
            self.fake.conf['rbd_default_features'] = configured
            self.assertEqual(expected, client.features)


class ExportImageTestCase(fake_bindings.BindingsTestCase):

    def setUp(self):
        super().setUp()
        self.export = self.useFixture(fixtures.MockPatchObject(
            rbd_transfer, 'export')).mock

    def test_export(self):
        self.driver.export_image('/var/base', 'disk', 'snap', 'images')
        self.export.assert_called_once_with(
            rbd_transfer.Source('images', 'disk', 'snap'), '/var/base',
            cluster=rbd_transfer.Cluster('nova', '/etc/ceph/a.conf', 5))

    def test_export_from_own_pool(self):
        driver = rbd_utils.RBDDriver(connect_timeout=7)
        driver.rbd_user = driver.ceph_conf = None
        driver.export_image('/var/base', 'disk', 'snap')
        self.export.assert_called_once_with(
            rbd_transfer.Source('vms', 'disk', 'snap'), '/var/base',
            cluster=rbd_transfer.Cluster('', '', 7))

    def test_export_fails(self):
        self.export.side_effect = rbd_transfer.TransferError(
            'connect', 'no answer from 192.0.2.1')
        exc = self.assertRaises(
            exception.StorageError, self.driver.export_image, '/var/base',
            'disk', 'snap')
        self.assertIn('RBD export failed: connect', str(exc))
        self.assertNotIn('192.0.2.1', str(exc))
        self.assertIn('no answer from 192.0.2.1', self.log.output)


@ddt.ddt
class LocationTestCase(fake_bindings.BindingsTestCase):

    RAW = {'disk_format': 'raw'}

    @ddt.data('', 'rbd:', 'rbd://', 'rbd:///', 'RBD://f/p/i/s',
              'http://f/p/i/s', 'rbd://disk', 'rbd://f/p/i',
              'rbd://f/p/i/s/', 'rbd://f/p/i/s/t', 'rbd://f//i/s',
              'rbd://f/p/i%00j/s', 'rbd://f/p/i\0j/s', 'rbd://f/p/i%0aj/s',
              'rbd://f/p/i\x7fj/s', 'rbd://f/p/%FF/s',
              'rbd://f/p/\ud800/s', 'rbd://f/p/%ED%A0%80/s', None, 7,
              b'rbd://f/p/i/s', ['rbd://f/p/i/s'])
    def test_bad_url(self, url):
        self.assertRaises(exception.ImageUnacceptable,
                          self.driver.parse_url, url)
        self.assertFalse(self.driver.is_cloneable({'url': url}, self.RAW))
        self.assertEqual([], self.fake.calls)

    def test_location_without_url(self):
        self.assertFalse(self.driver.is_cloneable({}, self.RAW))

    def test_cloneable(self):
        self.assertTrue(self.driver.is_cloneable({'url': URL}, self.RAW))
        self.fake.rbd_module.Image.assert_called_once_with(
            self.fake.ioctx, 'disk', snapshot='snap', read_only=True)
        self.fake.client.open_ioctx.assert_called_with('images')

    def test_not_cloneable_other_cluster(self):
        self.assertFalse(self.driver.is_cloneable(
            {'url': URL.replace('fsid', 'FSID')}, self.RAW))
        self.fake.rbd_module.Image.assert_not_called()

    @ddt.data({}, {'disk_format': 'qcow2'})
    def test_not_cloneable_not_raw(self, meta):
        self.assertFalse(self.driver.is_cloneable({'url': URL}, meta))
        self.fake.rbd_module.Image.assert_not_called()

    @ddt.data('ImageNotFound', 'PermissionError', 'Timeout')
    def test_not_cloneable_image(self, name):
        self.break_call('Image', 'rbd', name)
        self.assertFalse(self.driver.is_cloneable({'url': URL}, self.RAW))

    def test_not_cloneable_no_such_pool(self):
        missing = self.fake.rados_module.ObjectNotFound
        self.fake.client.open_ioctx.side_effect = (
            lambda pool: self.fake.ioctx if pool == 'vms'
            else (_ for _ in ()).throw(missing('no pool')))
        self.assertFalse(self.driver.is_cloneable({'url': URL}, self.RAW))

    def test_cluster_away_is_no_answer(self):
        error = self.break_call('connect', 'rados', 'TimedOut')
        self.assertRaises(error, self.driver.is_cloneable, {'url': URL},
                          self.RAW)

    def test_fsid_as_bytes(self):
        self.fake.client.get_fsid.return_value = b'abc'
        self.fake.client.get_fsid.side_effect = None
        self.assertEqual('abc', self.driver.get_fsid())

    def test_clone(self):
        self.fake.conf['rbd_default_features'] = '3'
        self.driver.clone({'url': URL}, 'copy', dest_pool='other')
        self.assertEqual(
            [mock.call('images'), mock.call('other')],
            self.fake.client.open_ioctx.mock_calls)
        self.fake.rbd.clone.assert_called_once_with(
            self.fake.ioctx, 'disk', 'snap', self.fake.ioctx, 'copy',
            features=3)
        self.assertEqual(2, self.fake.calls.count('shutdown'))

    def test_clone_forbidden(self):
        self.break_call('clone', 'rbd', 'PermissionError')
        exc = self.assertRaises(exception.Forbidden, self.driver.clone,
                                {'url': URL}, 'copy')
        self.assertIn('storage pool vms', str(exc))
        self.assertEqual(2, self.fake.calls.count('shutdown'))

    def test_clone_second_connection_fails(self):
        missing = self.fake.rados_module.ObjectNotFound
        self.fake.client.open_ioctx.side_effect = [self.fake.ioctx, missing]
        self.assertRaises(missing, self.driver.clone, {'url': URL}, 'copy')
        self.assertEqual(2, self.fake.calls.count('connect'))
        self.assertEqual(2, self.fake.calls.count('shutdown'))
        self.assertEqual(1, self.fake.calls.count('ioctx.close'))


class ImageTestCase(fake_bindings.BindingsTestCase):

    def test_exists(self):
        self.assertTrue(self.driver.exists('disk'))
        self.break_call('Image', 'rbd', 'ImageNotFound')
        self.assertFalse(self.driver.exists('disk'))

    def test_resize(self):
        self.driver.resize('disk', 1 << 30)
        self.fake.image.resize.assert_called_once_with(1 << 30)

    def test_parent_info(self):
        self.fake.image.parent_info.return_value = ('p', 'i', 's')
        self.assertEqual(('p', 'i', 's'),
                         self.driver.parent_info('disk', pool='images'))

    def test_parent_info_none(self):
        self.fake.image.parent_info.side_effect = (
            self.fake.rbd_module.ImageNotFound)
        self.assertRaises(exception.ImageUnacceptable,
                          self.driver.parent_info, 'disk')
