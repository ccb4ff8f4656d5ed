# SPDX-License-Identifier: Apache-2.0

"""The RBD driver on a real cluster, and on one that does not answer."""

import contextlib
import functools
import os
import socket
import subprocess
import threading
import time
from urllib import parse

import fixtures
import rados
import rbd

from nova import exception
from nova.storage import rbd_utils
from nova import test
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import daemon

MiB = 1 << 20


@functools.cache
def shared_cluster():
    """Return the cluster of this process, which ends with it."""
    cluster = ceph_cluster.CephCluster(['images', 'vms'], manager=True)
    cluster.setUp()
    # What a compute node gets whose disks are in Ceph.
    cluster.create_user('compute', osd='profile rbd pool=vms, '
                        'profile rbd-read-only pool=images')
    return cluster


class Ticker:
    """Counts how often other work gets its turn while a block runs.

    The thread is a greenthread in eventlet mode: it stands still while the
    hub is blocked, as everything else would.

    :ivar count: turns taken, one each 10 ms at best
    :ivar longest: the longest time between two turns, in seconds
    """

    def __enter__(self):
        self.count = 0
        self.longest = 0.0
        self._end = False
        self._thread = threading.Thread(target=self._tick)
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._end = True
        self._thread.join()

    def _tick(self):
        last = time.monotonic()
        while not self._end:
            time.sleep(0.01)
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            self.count += 1
            last = now


class RbdUtilsTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.log = self.stdlog.logger

    @contextlib.contextmanager
    def takes(self, least, most):
        """Check how long a block takes, and that it lets others work.

        :param least: seconds
        :param most: seconds, generous: the machine may be busy
        """
        start = time.monotonic()
        with Ticker() as ticker:
            yield
        seconds = time.monotonic() - start
        self.assertGreater(seconds, least)
        self.assertLess(seconds, most)
        # A blocked hub would give one turn or two, far apart.
        self.assertGreater(ticker.count, seconds * 30)
        self.assertLess(ticker.longest, 0.5)


class UnreachableMonitorTestCase(RbdUtilsTestCase):
    """A monitor's address at which somebody listens and never answers."""

    def setUp(self):
        super().setUp()
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(('127.0.0.1', 0))
        listener.listen(64)
        self.conf = os.path.join(
            self.useFixture(daemon.Directory()).path, 'ceph.conf')
        with open(self.conf, 'w') as conf:
            conf.write('[global]\n'
                       'mon_host = 127.0.0.1:%d\n'
                       'auth_client_required = none\n'
                       % listener.getsockname()[1])
        self.driver = rbd_utils.RBDDriver(
            pool='vms', user='nova', ceph_conf=self.conf, connect_timeout=2)

    def test_connect(self):
        with self.takes(1.9, 4):
            self.assertRaises(rados.TimedOut, self.driver._connect_to_rados)
        self.assertIn('Cannot open Ceph pool vms as user nova with %s'
                      % self.conf, self.log.output)

    def test_connect_to_read(self):
        with self.takes(1.9, 4):
            self.assertRaises(rados.TimedOut, self.driver.exists, 'disk')

    def test_ceph_tool(self):
        with self.takes(1.9, 7):
            self.assertRaises(exception.StorageError,
                              self.driver.get_pool_info)
        with self.takes(1.9, 7):
            self.assertRaises(exception.StorageError,
                              self.driver.get_mon_addrs)

    def test_ceph_tool_hangs(self):
        # As "ceph df" does without a manager, no matter what is configured.
        tool = os.path.join(os.path.dirname(self.conf), 'ceph')
        with open(tool, 'w') as script:
            script.write('#!/bin/sh\necho $$ > %s.pid\nexec sleep 600\n'
                         % tool)
        os.chmod(tool, 0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', os.path.dirname(tool) + ':' + os.environ['PATH']))
        self.stub_out('nova.storage.rbd_utils.REQUEST_PATIENCE', 1)
        self.stub_out('nova.storage.rbd_utils.COMMAND_GRACE', 1)
        driver = rbd_utils.RBDDriver(connect_timeout=1)
        with self.takes(2.5, 10):
            exc = self.assertRaises(exception.StorageError,
                                    driver.get_mon_addrs)
        self.assertEqual(124, exc.__cause__.exit_code)
        with open(tool + '.pid') as pid:
            self.assertFalse(os.path.exists('/proc/' + pid.read().strip()))

    def test_rbd_tool(self):
        with self.takes(1.9, 7):
            self.assertRaises(exception.StorageError,
                              self.driver.import_image, self.conf, 'disk')

    def test_conf_missing(self):
        driver = rbd_utils.RBDDriver(pool='vms', ceph_conf='/no/such.conf')
        self.assertRaises(rados.Error, driver.get_fsid)
        self.assertIn('with /no/such.conf', self.log.output)


class ClusterTestCase(RbdUtilsTestCase):

    def setUp(self):
        super().setUp()
        self.cluster = shared_cluster()
        self.user = self.cluster.users['compute']
        self.flags(group='libvirt', images_rbd_pool='vms',
                   rbd_user='compute', rbd_connect_timeout=5,
                   images_rbd_ceph_conf=self.user.conf,
                   rbd_destroy_volume_retries=2,
                   rbd_destroy_volume_retry_interval=1)
        self.addCleanup(self.recover)
        self.driver = rbd_utils.RBDDriver()
        # Whatever a test makes has a name of its own.
        self.name = self.id().rpartition('.')[2]
        self.data = os.urandom(MiB) + bytes(MiB) + os.urandom(4097)

    def recover(self):
        for part in (self.cluster.mon, self.cluster.osd):
            part.resume()
        self.cluster.wait_ready()

    def url(self, image, pool='images', snapshot='snap', fsid=None):
        return 'rbd://' + '/'.join(
            parse.quote(part, safe='') for part in
            (fsid or self.cluster.fsid, pool, image, snapshot))

    def make_disk(self, data=None, **kwargs):
        self.cluster.create_image(self.name, data or self.data, pool='vms',
                                  snapshot=None, **kwargs)

    def read(self, name, pool='vms'):
        with self.cluster.image(name, pool, read_only=True) as image:
            return image.read(0, image.size())

    def watchers(self, name, pool='vms'):
        with self.cluster.image(name, pool, read_only=True) as image:
            return list(image.watchers_list())

    def snapshots(self, name, pool='vms'):
        with self.cluster.image(name, pool, read_only=True) as image:
            return [snap['name'] for snap in image.list_snaps()]


class LocationTestCase(ClusterTestCase):

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


class SnapshotTestCase(ClusterTestCase):

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


class RemovalTestCase(ClusterTestCase):

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
        opened = threading.Event()

        def use():
            with self.cluster.image(self.name, 'vms'):
                opened.set()
                time.sleep(1)

        user = threading.Thread(target=use)
        user.start()
        opened.wait()
        with Ticker() as ticker:
            self.driver.destroy_volume(self.name)
        user.join()
        self.assertFalse(self.driver.exists(self.name))
        self.assertLess(ticker.longest, 0.5)

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


class ToolsTestCase(ClusterTestCase):

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


class FaultTestCase(ClusterTestCase):

    def setUp(self):
        super().setUp()
        # Enough to tell it from the timeout of the connection.
        self.stub_out('nova.storage.rbd_utils.REQUEST_PATIENCE', 4)

    def driver_with(self, conf, name='bad.conf', **kwargs):
        """Return a driver with a ceph.conf of its own."""
        path = os.path.join(self.useFixture(daemon.Directory()).path, name)
        with open(path, 'w') as f:
            f.write(conf)
        return rbd_utils.RBDDriver(ceph_conf=path, **kwargs)

    def wrong_key(self):
        with open(self.cluster.nova.keyring) as f:
            entry = f.read().replace('client.nova', 'client.compute')
        keyring = os.path.join(self.useFixture(daemon.Directory()).path, 'k')
        with open(keyring, 'w') as f:
            f.write(entry)
        return self.driver_with('[global]\nmon_host = %s\nkeyring = %s\n'
                                % (self.cluster.mon_host, keyring))

    def test_wrong_key(self):
        self.assertRaises(rados.Error, self.wrong_key().get_fsid)
        self.assertIn('as user compute', self.log.output)

    def test_monitor_frozen(self):
        driver = rbd_utils.RBDDriver(connect_timeout=2)
        self.cluster.mon.pause()
        with self.takes(1.9, 4):
            self.assertRaises(rados.TimedOut, driver.exists, self.name)
        self.cluster.mon.resume()
        self.assertFalse(driver.exists(self.name))

    def test_osd_frozen_reads_end(self):
        self.make_disk()
        driver = rbd_utils.RBDDriver(connect_timeout=1)
        self.cluster.osd.pause()
        with self.takes(3.9, 8):
            self.assertRaises(rbd.Timeout, driver.size, self.name)
        self.cluster.osd.resume()
        self.assertEqual(len(self.data), driver.size(self.name))

    def test_osd_frozen_writes_wait(self):
        self.make_disk()
        driver = rbd_utils.RBDDriver(connect_timeout=1)
        self.cluster.osd.pause()
        # Not by a thread: it could wait for a blocked hub, for ever.
        thaw = subprocess.Popen(['sh', '-c', 'sleep 6; kill -CONT -%d'
                                 % self.cluster.osd.pid])
        self.addCleanup(thaw.wait)
        with self.takes(5.5, 20):
            driver.resize(self.name, 8 * MiB)
        self.assertEqual(8 * MiB, driver.size(self.name))

    def test_osd_frozen_limit_in_ceph_conf(self):
        self.make_disk()
        with open(self.user.conf) as f:
            conf = f.read()
        driver = self.driver_with(
            conf + '\n[client]\nrados_osd_op_timeout = 2\n')
        self.cluster.osd.pause()
        with self.takes(1.9, 5):
            self.assertRaises(rbd.Timeout, driver.size, self.name)
        with self.takes(1.9, 10):
            self.assertRaises(rbd.Timeout, driver.resize, self.name, MiB)

    def test_nothing_leaks(self):
        self.make_disk()
        self.cluster.create_image(self.name, self.data)
        unreachable = self.driver_with(
            '[global]\nmon_host = 127.0.0.1:1\nauth_client_required = none\n',
            connect_timeout=1)
        no_conf = rbd_utils.RBDDriver(ceph_conf='/no/such.conf')
        wrong_key = self.wrong_key()

        def failures(count):
            for _i in range(count):
                self.assertRaises(rados.Error, wrong_key.get_fsid)
                self.assertRaises(rados.Error, no_conf.get_fsid)
                self.assertRaises(rados.Error, self.driver.exists, 'x',
                                  pool='no-pool')
                self.assertRaises(rbd.PermissionError, self.driver.flatten,
                                  self.name, pool='images')
                self.assertFalse(self.driver.exists('x'))
            self.assertRaises(rados.Error, unreachable.get_fsid)

        def successes(count):
            for _i in range(count):
                self.driver.get_fsid()
                self.driver.resize(self.name, 8 * MiB)
                self.driver.size(self.name)

        def held():
            return {kind: len(os.listdir('/proc/self/' + kind))
                    for kind in ('fd', 'task')}

        # librados and eventlet keep some things from their first use.
        failures(1)
        successes(1)
        before = held()
        failures(10)
        successes(20)
        after = held()
        self.assertEqual(before, after)
        self.assertEqual([], self.watchers(self.name))
