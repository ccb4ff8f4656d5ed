# SPDX-License-Identifier: Apache-2.0

"""What upstream's own test_rbd does not tell about our RBD driver."""

import os
import threading
import types
from unittest import mock

import ddt
import fixtures
from oslo_concurrency import processutils
from oslo_serialization import jsonutils

from nova import exception
from nova import release_compat
from nova.storage import rbd_transfer
from nova.storage import rbd_utils
from nova import test

URL = 'rbd://fsid/images/disk/snap'


def exceptions(module, *names):
    """Return classes of exceptions by name, derived as in the bindings."""
    base = type('Error', (Exception,), {'__module__': module})
    return dict({name: type(name, (base,), {'__module__': module})
                 for name in names}, Error=base)


class Bindings:
    """Stand-ins for the two modules, which record what is done.

    :ivar calls: names of calls that open or close something, in order
    :ivar threads: the native threads they were made on, by name
    :ivar failures: exceptions to raise, by name of the call
    :ivar conf: the options of the client
    """

    def __init__(self):
        self.calls = []
        self.threads = {}
        self.failures = {}
        self.conf = {'rados_osd_op_timeout': '0',
                     'rados_mon_op_timeout': '0.000000'}
        self.conf_at_connect = None
        self.ioctx = self.stub('ioctx', close='ioctx.close')
        self.client = self.stub(
            'client', connect='connect', open_ioctx='open_ioctx',
            shutdown='shutdown', get_fsid='get_fsid')
        self.client.connect.side_effect = self.connect
        self.client.open_ioctx.return_value = self.ioctx
        self.client.get_fsid.return_value = 'fsid'
        self.client.conf_get.side_effect = self.conf.get
        self.client.conf_set.side_effect = self.conf.__setitem__
        self.image = self.stub('image', close='image.close', size='size')
        self.image.size.return_value = 42
        self.image.list_snaps.return_value = []
        self.rbd = self.stub('rbd', remove='remove', clone='clone')

        self.rados_module = types.SimpleNamespace(
            Rados=mock.Mock(side_effect=self.record('Rados', self.client)),
            **exceptions('rados', 'ObjectNotFound', 'TimedOut'))
        self.rbd_module = types.SimpleNamespace(
            RBD=mock.Mock(return_value=self.rbd),
            Image=mock.Mock(side_effect=self.record('Image', self.image)),
            RBD_FEATURE_LAYERING=1,
            **exceptions('rbd', 'ImageNotFound', 'ImageBusy',
                         'ImageHasSnapshots', 'PermissionError', 'Timeout'))

    def record(self, name, result=mock.DEFAULT):
        def call(*args, **kwargs):
            self.calls.append(name)
            self.threads[name] = threading.get_native_id()
            if name in self.failures:
                raise self.failures[name]
            return result
        return call

    def stub(self, name, **methods):
        stub = mock.Mock(name=name)
        for method, call in methods.items():
            getattr(stub, method).side_effect = self.record(call)
        return stub

    def connect(self, timeout):
        self.conf_at_connect = dict(self.conf)
        return self.record('connect')()


class BindingsTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.flags(group='libvirt', images_rbd_pool='vms', rbd_user='nova',
                   images_rbd_ceph_conf='/etc/ceph/a.conf',
                   rbd_connect_timeout=5)
        self.fake = Bindings()
        self.stub_out('nova.storage.rbd_utils.rados', self.fake.rados_module)
        self.stub_out('nova.storage.rbd_utils.rbd', self.fake.rbd_module)
        self.log = self.stdlog.logger
        self.driver = rbd_utils.RBDDriver()

    def break_call(self, call, module, name):
        """Let a call fail, and return the class of the exception."""
        cls = getattr(getattr(self.fake, module + '_module'), name)
        self.fake.failures[call] = cls('it %s' % call)
        return cls


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
class TimeLimitsTestCase(BindingsTestCase):

    def test_connection_that_reads(self):
        self.assertEqual(
            {'client_mount_timeout': 5, 'rados_mon_op_timeout': 5,
             'rados_osd_op_timeout': 60},
            rbd_utils.time_limits(5, read_only=True))

    def test_connection_that_writes(self):
        # No limit for OSDs: a write may happen after it was given up.
        self.assertEqual(
            {'client_mount_timeout': 5, 'rados_mon_op_timeout': 60},
            rbd_utils.time_limits(5))

    @ddt.data(0, -1)
    def test_no_limits(self, timeout):
        self.assertEqual({}, rbd_utils.time_limits(timeout, read_only=True))
        self.assertEqual({}, rbd_utils.time_limits(timeout))
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


@ddt.ddt
class ConnectionTestCase(BindingsTestCase):

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


class ToolsTestCase(BindingsTestCase):

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


class ExportImageTestCase(BindingsTestCase):

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
class LocationTestCase(BindingsTestCase):

    RAW = {'disk_format': 'raw'}

    @ddt.data(('rbd://fsid/images/disk/snap',
               ['fsid', 'images', 'disk', 'snap']),
              ('rbd://f/p%2Fq/i%20%25/s%C3%A9', ['f', 'p/q', 'i %', 's\xe9']),
              ('rbd://f/p/i/s?x#y', ['f', 'p', 'i', 's?x#y']))
    @ddt.unpack
    def test_good_url(self, url, parts):
        self.assertEqual(parts, self.driver.parse_url(url))

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


class DestroyTestCase(BindingsTestCase):

    def setUp(self):
        super().setUp()
        self.flags(group='libvirt', rbd_destroy_volume_retries=3,
                   rbd_destroy_volume_retry_interval=0)
        self.rbd = self.fake.rbd_module

    def test_at_once(self):
        self.driver.destroy_volume('disk')
        self.fake.rbd.remove.assert_called_once_with(self.fake.ioctx, 'disk')
        self.assertNotIn('rbd image', self.log.output)

    def test_busy_for_a_while(self):
        self.fake.rbd.remove.side_effect = [
            self.rbd.ImageBusy, self.rbd.ImageBusy, None]
        self.driver.destroy_volume('disk')
        self.assertEqual(3, self.fake.rbd.remove.call_count)
        self.assertNotIn('is still in use', self.log.output)

    def test_busy_for_ever(self):
        self.fake.rbd.remove.side_effect = self.rbd.ImageBusy
        self.driver.destroy_volume('disk', pool='images')
        # As many as configured, and a last one.
        self.assertEqual(4, self.fake.rbd.remove.call_count)
        self.assertIn('images/disk is still in use', self.log.output)

    def test_resize_snapshot_in_another_pool(self):
        self.fake.rbd.remove.side_effect = [self.rbd.ImageHasSnapshots, None]
        self.fake.image.list_snaps.return_value = [{'name': 'nova-resize'}]
        self.fake.image.is_protected_snap.return_value = False
        self.driver.destroy_volume('disk', pool='images')
        self.fake.image.remove_snap.assert_called_once_with('nova-resize')
        # It is looked for where the image is.
        self.assertEqual(
            [mock.call('images'), mock.call('images')],
            self.fake.client.open_ioctx.mock_calls)

    def test_resize_snapshot_is_protected(self):
        self.fake.rbd.remove.side_effect = self.rbd.ImageHasSnapshots
        self.fake.image.list_snaps.return_value = [{'name': 'nova-resize'}]
        self.fake.image.is_protected_snap.return_value = True
        self.fake.image.remove_snap.side_effect = self.rbd.ImageBusy
        self.driver.destroy_volume('disk')
        self.fake.image.unprotect_snap.assert_not_called()
        self.assertEqual(4, self.fake.rbd.remove.call_count)
        self.assertIn('vms/disk is still in use or has snapshots',
                      self.log.output)

    def test_other_failure(self):
        error = self.break_call('remove', 'rbd', 'Timeout')
        self.assertRaises(error, self.driver.destroy_volume, 'disk')
        self.assertEqual(['ioctx.close', 'shutdown'], self.fake.calls[-2:])

    def test_cleanup_volumes(self):
        self.fake.rbd.list.return_value = ['a_disk', 'b_disk', 'a_disk.swap']
        self.driver.cleanup_volumes(lambda name: name.startswith('a_'))
        self.assertEqual(
            [mock.call(self.fake.ioctx, 'a_disk'),
             mock.call(self.fake.ioctx, 'a_disk.swap')],
            self.fake.rbd.remove.mock_calls)

    def test_remove_image_held(self):
        for name, level in (('ImageNotFound', 'WARNING'),
                            ('ImageHasSnapshots', 'ERROR')):
            self.break_call('remove', 'rbd', name)
            self.driver.remove_image('disk')
            self.assertRegex(self.log.output,
                             level + '.* rbd image vms/disk ')


class ImageTestCase(BindingsTestCase):

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

    def test_create_snap(self):
        self.fake.image.is_protected_snap.return_value = True
        self.driver.create_snap('disk', 'snap', protect=True)
        self.fake.image.create_snap.assert_called_once_with('snap')
        self.fake.image.protect_snap.assert_not_called()

    def test_remove_snap_missing(self):
        self.driver.remove_snap('disk', 'snap', ignore_errors=True)
        self.assertNotIn('rbd image', self.log.output)
        self.driver.remove_snap('disk', 'snap')
        self.assertIn('no snapshot snap of rbd image disk', self.log.output)
        self.fake.image.remove_snap.assert_not_called()

    def test_rollback_to_snap_missing(self):
        self.assertRaises(exception.SnapshotNotFound,
                          self.driver.rollback_to_snap, 'disk', 'snap')
        self.fake.image.rollback_to_snap.assert_not_called()
