# SPDX-License-Identifier: Apache-2.0

"""The RBD driver and the images of a cluster in order."""

import contextlib
import os
import threading
import time

import rados
import rbd

from nova import exception
from nova.storage import rbd_utils
from nova.tests.functional.rbd_download import rbd_utils_base
from nova.tests.testbed import daemon

MiB = rbd_utils_base.MiB


class LocationTestCase(rbd_utils_base.ClusterTestCase):

    RAW = {'disk_format': 'raw'}

    def test_get_fsid(self):
        self.assertEqual(self.cluster.fsid, self.driver.get_fsid())

    def test_is_cloneable(self):
        self.cluster.create_image(self.name, self.data)

        def cloneable(url, meta=self.RAW):
            return self.driver.is_cloneable({'url': url}, meta)

        self.assertIs(True, cloneable(self.url(self.name)))
        self.assertIs(False, cloneable(self.url(self.name),
                                       {'disk_format': 'qcow2'}))
        for url in (self.url('other'), self.url(self.name, pool='no pool'),
                    self.url(self.name, pool='vms'),
                    self.url(self.name, snapshot='other'),
                    self.url(self.name, fsid=self.cluster.fsid[::-1]),
                    self.url(self.name + '\0'), self.url(self.name + '@snap'),
                    self.url('../' + self.name), self.url('x' * 5000),
                    'file:///etc/passwd', 'rbd://' + '%' * 99, ''):
            self.assertIs(False, cloneable(url), url)

    def test_is_cloneable_without_permission(self):
        self.cluster.create_image(self.name, self.data)
        self.cluster.create_user('stranger', osd='profile rbd pool=vms')
        driver = rbd_utils.RBDDriver(
            user='stranger', ceph_conf=self.cluster.users['stranger'].conf)
        self.assertFalse(driver.is_cloneable({'url': self.url(self.name)},
                                             self.RAW))

    def test_clone_flatten_resize(self):
        name = self.name + ' 100% \xe9'
        self.cluster.create_image(name, self.data)
        location = {'url': self.url(name)}
        self.assertTrue(self.driver.is_cloneable(location, self.RAW))

        self.driver.clone(location, self.name)

        self.assertEqual(('images', name, 'snap'),
                         tuple(self.driver.parent_info(self.name)))
        self.assertTrue(self.driver.exists(self.name))
        self.assertEqual(len(self.data), self.driver.size(self.name))
        self.assertEqual(self.data, self.read(self.name))
        with self.cluster.image(self.name, 'vms', read_only=True) as image:
            # rbd_default_features, as Ceph has it, not the parent's.
            self.assertTrue(image.features() & rbd.RBD_FEATURE_FAST_DIFF)

        self.driver.resize(self.name, 8 * MiB)
        self.assertEqual(8 * MiB, self.driver.size(self.name))
        self.driver.flatten(self.name, pool='vms')
        self.assertRaises(exception.ImageUnacceptable,
                          self.driver.parent_info, self.name, pool='vms')
        self.assertEqual(self.data.ljust(8 * MiB, b'\0'),
                         self.read(self.name))
        self.driver.destroy_volume(self.name)
        self.assertFalse(self.driver.exists(self.name))

    def test_clone_forbidden(self):
        self.cluster.create_image(self.name, self.data)
        self.assertRaises(exception.Forbidden, self.driver.clone,
                          {'url': self.url(self.name)}, self.name + '-copy',
                          dest_pool='images')
        self.assertNotIn(self.name + '-copy', self.images('images'))

    def images(self, pool):
        with self.cluster.ioctx(pool) as ioctx:
            return rbd.RBD().list(ioctx)

    def test_parent_info_no_image(self):
        self.assertRaises(exception.ImageUnacceptable,
                          self.driver.parent_info, 'nothing')

    def test_exists(self):
        self.cluster.create_image(self.name, self.data)
        self.assertTrue(self.driver.exists(self.name, pool='images'))
        self.assertTrue(self.driver.exists(self.name, pool='images',
                                           snapshot='snap'))
        self.assertFalse(self.driver.exists(self.name, pool='images',
                                            snapshot='other'))
        self.assertFalse(self.driver.exists(self.name))
        self.assertRaises(rados.ObjectNotFound, self.driver.exists, self.name,
                          pool='no-pool')

    def test_read_only_leaves_no_watch(self):
        self.make_disk()
        with rbd_utils.RBDVolumeProxy(self.driver, self.name,
                                      read_only=True):
            self.assertEqual([], self.watchers(self.name))
        with rbd_utils.RBDVolumeProxy(self.driver, self.name):
            self.assertEqual(1, len(self.watchers(self.name)))
        self.assertEqual([], self.watchers(self.name))


class SnapshotTestCase(rbd_utils_base.ClusterTestCase):

    def test_rollback(self):
        self.make_disk()
        self.driver.create_snap(self.name, 'nova-resize')
        with self.cluster.image(self.name, 'vms') as image:
            image.write(b'x' * 4096, 0)
            image.resize(16 * MiB)
        self.assertNotEqual(self.data, self.read(self.name))

        self.assertRaises(exception.SnapshotNotFound,
                          self.driver.rollback_to_snap, self.name, 'other')
        self.driver.rollback_to_snap(self.name, 'nova-resize')
        self.assertEqual(self.data, self.read(self.name))
        self.driver.remove_snap(self.name, 'nova-resize')
        self.assertEqual([], self.snapshots(self.name))

    def test_protected(self):
        self.make_disk()
        self.driver.create_snap(self.name, 'snap', protect=True)
        with self.cluster.image(self.name, 'vms', read_only=True) as image:
            self.assertTrue(image.is_protected_snap('snap'))

        self.driver.remove_snap(self.name, 'snap')
        self.assertIn('is protected', self.log.output)
        self.assertEqual(['snap'], self.snapshots(self.name))
        self.assertRaises(rbd.ImageBusy, self.driver.remove_snap, self.name,
                          'snap', ignore_errors=True)
        self.assertEqual(['snap'], self.snapshots(self.name))

        with self.cluster.image(self.name, 'vms') as image:
            image.write(b'x' * 4096, 0)
        self.driver.rollback_to_snap(self.name, 'snap')
        self.assertEqual(self.data, self.read(self.name))

        self.driver.remove_snap(self.name, 'snap', force=True)
        self.assertEqual([], self.snapshots(self.name))

    def test_other_pool(self):
        self.cluster.create_user(
            'writer', osd='profile rbd pool=vms, profile rbd pool=images')
        driver = rbd_utils.RBDDriver(
            user='writer', ceph_conf=self.cluster.users['writer'].conf)
        self.cluster.create_image(self.name, self.data, snapshot=None)
        driver.create_snap(self.name, 'snap', pool='images', protect=True)
        self.assertEqual(['snap'], self.snapshots(self.name, 'images'))
        driver.remove_snap(self.name, 'snap', pool='images', force=True)
        driver.create_snap(self.name, 'nova-resize', pool='images')
        driver.destroy_volume(self.name, pool='images')
        self.assertFalse(driver.exists(self.name, pool='images'))


class RemovalTestCase(rbd_utils_base.ClusterTestCase):

    def test_resize_snapshot_goes_too(self):
        self.make_disk()
        self.driver.create_snap(self.name, rbd_utils.RESIZE_SNAPSHOT_NAME)
        self.driver.destroy_volume(self.name)
        self.assertFalse(self.driver.exists(self.name))

    def test_other_snapshot_stays(self):
        self.make_disk()
        self.driver.create_snap(self.name, 'precious')
        self.driver.destroy_volume(self.name)
        self.assertEqual(['precious'], self.snapshots(self.name))
        self.assertIn('vms/%s is still in use or has snapshots' % self.name,
                      self.log.output)

    def test_protected_resize_snapshot_stays(self):
        self.make_disk()
        self.driver.create_snap(self.name, rbd_utils.RESIZE_SNAPSHOT_NAME,
                                protect=True)
        self.driver.destroy_volume(self.name)
        self.assertEqual(['nova-resize'], self.snapshots(self.name))

    def test_busy(self):
        self.make_disk()
        with self.cluster.image(self.name, 'vms'):
            self.driver.destroy_volume(self.name)
        self.assertTrue(self.driver.exists(self.name))
        self.assertIn('vms/%s yet: it is in use' % self.name, self.log.output)
        self.driver.destroy_volume(self.name)
        self.assertFalse(self.driver.exists(self.name))

    def test_busy_for_a_moment(self):
        self.make_disk()
        self.flags(group='libvirt', rbd_destroy_volume_retries=60)
        opened = threading.Event()

        def use():
            with self.cluster.image(self.name, 'vms'):
                opened.set()
                time.sleep(1)

        user = threading.Thread(target=use)
        user.start()
        opened.wait()
        with self.takes(0.9):
            self.driver.destroy_volume(self.name)
        user.join()
        self.assertFalse(self.driver.exists(self.name))

    def test_cleanup_volumes(self):
        for suffix in ('_disk', '_disk.swap', '_other'):
            self.cluster.create_image(self.name + suffix, self.data,
                                      pool='vms', snapshot=None)
        self.driver.create_snap(self.name + '_disk',
                                rbd_utils.RESIZE_SNAPSHOT_NAME)
        self.driver.cleanup_volumes(
            lambda name: name.startswith(self.name + '_disk'))
        self.assertFalse(self.driver.exists(self.name + '_disk'))
        self.assertFalse(self.driver.exists(self.name + '_disk.swap'))
        self.assertTrue(self.driver.exists(self.name + '_other'))

    def test_remove_image(self):
        self.make_disk()
        self.driver.create_snap(self.name, 'snap')
        self.driver.remove_image(self.name)
        self.assertIn('vms/%s has snapshots' % self.name, self.log.output)
        self.driver.remove_snap(self.name, 'snap')
        self.driver.remove_image(self.name)
        self.assertFalse(self.driver.exists(self.name))
        self.driver.remove_image(self.name)
        self.assertIn('vms/%s that was to be removed does not exist'
                      % self.name, self.log.output)


class ToolsTestCase(rbd_utils_base.ClusterTestCase):

    def test_get_mon_addrs(self):
        host, port = self.cluster.mon_addr.split(':')
        self.assertEqual(([host], [port]), self.driver.get_mon_addrs())

    def test_get_pool_info(self):
        info = {}

        def known():
            # Soon after its start the cluster has no statistics yet.
            with contextlib.suppress(exception.NotFound):
                info.update(self.driver.get_pool_info())
            return info.get('free')

        daemon.wait_for(known, 'statistics of the pool', 60)
        self.assertEqual({'total', 'free', 'used'}, set(info))
        self.assertGreater(info['total'], info['free'])
        self.assertGreaterEqual(info['used'], 0)
        self.assertRaises(
            exception.NotFound,
            rbd_utils.RBDDriver(pool='no-pool').get_pool_info)

    def test_import_and_export(self):
        directory = self.useFixture(daemon.Directory()).path
        path = os.path.join(directory, 'base')
        with open(path, 'wb') as base:
            base.write(self.data)
        self.driver.import_image(path, self.name)
        self.assertEqual(len(self.data), self.driver.size(self.name))
        self.assertEqual(self.data, self.read(self.name))
        self.assertRaises(exception.StorageError,
                          self.driver.import_image, path, self.name)

        self.driver.create_snap(self.name, 'snap')
        copy = os.path.join(directory, 'copy')
        self.driver.export_image(copy, self.name, 'snap')
        with open(copy, 'rb') as f:
            self.assertEqual(self.data, f.read())
        self.driver.export_image(copy, self.name, 'snap', pool='vms')

        missing = os.path.join(directory, 'missing')
        exc = self.assertRaises(
            exception.StorageError, self.driver.export_image, missing,
            self.name, 'other')
        self.assertIn('not_found', str(exc))
        self.assertEqual(['base', 'copy'], sorted(os.listdir(directory)))
