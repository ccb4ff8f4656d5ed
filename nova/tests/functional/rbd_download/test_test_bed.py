# SPDX-License-Identifier: Apache-2.0

"""The test bed itself: that it is what the other tests take it for."""

import os
import subprocess
import sys
import threading
import time

import rados
import rbd

from nova import test
from nova.tests.testbed import daemon
from nova.tests.testbed import glance_server
from nova.tests.testbed import janitor
from nova.tests.testbed import rbd_testbed

MiB = 1 << 20

# A process that uses the test bed as the demonstration does.
_OWNER = """
import sys
from nova.tests.testbed import janitor, rbd_testbed
bed = rbd_testbed.RbdTestBed()
bed.setUp()
print(janitor.of_this_process().pid, bed.cluster.dir, bed.keystone.dir,
      bed.glance.dir, *(d.pid for d in (
          bed.cluster.mon, bed.cluster.osd, bed.keystone.server.daemon,
          bed.glance.server.daemon)), flush=True)
sys.stdin.read()
"""


class TestBedTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.bed = self.useFixture(rbd_testbed.SharedRbdTestBed()).bed
        self.cluster = self.bed.cluster

    def rbd_image(self, name, data, **kwargs):
        self.cluster.create_image(name, data, **kwargs)
        self.addCleanup(self.cluster.remove_image, name)

    def read(self, name, offset, length, user='nova', snapshot='snap'):
        with self.cluster.image(name, snapshot=snapshot, read_only=True,
                                user=user) as image:
            return image.read(offset, length)


class CephClusterTestCase(TestBedTestCase):

    def test_addresses(self):
        with self.cluster.connect() as client:
            self.assertEqual(self.cluster.fsid, client.get_fsid())
        for port in self.cluster._ports:
            self.assertLess(port, 32768)
        with open(self.cluster.nova.conf) as f:
            conf = f.read()
        self.assertIn(f'v1:{self.cluster.mon_addr}', conf)
        self.assertIn(f'keyring = {self.cluster.nova.keyring}', conf)
        self.assertNotIn('admin', conf)
        self.assertEqual(0o600, os.stat(self.cluster.nova.keyring).st_mode &
                         0o777)

    def test_nova_only_reads(self):
        self.rbd_image('only-reads', b'x')
        self.assertEqual(b'x', self.read('only-reads', 0, 1))
        with self.cluster.ioctx(user='nova') as ioctx:
            self.assertRaises(rados.Error, ioctx.write_full, 'o', b'x')
            self.assertRaises(rbd.Error, rbd.RBD().create, ioctx, 'new', 1)
        self.cluster.create_pool('vms')
        with self.cluster.ioctx('vms', user='nova') as ioctx:
            self.assertRaises(rbd.Error, rbd.RBD().list, ioctx)

    def test_glance_writes(self):
        with self.cluster.ioctx(user='glance') as ioctx:
            rbd.RBD().create(ioctx, 'by-glance', MiB)
            self.addCleanup(self.cluster.remove_image, 'by-glance')

    def test_user_without_permission(self):
        self.rbd_image('secret', b'x')
        self.cluster.create_user('nobody', osd='')
        self.assertRaises(rbd.PermissionError, self.read, 'secret', 0, 1,
                          'nobody')
        self.cluster.create_user('nobody', osd='profile rbd-read-only')
        self.assertEqual(b'x', self.read('secret', 0, 1, 'nobody'))

    def test_forms_of_images(self):
        data = os.urandom(3 * MiB + 1)
        self.cluster.create_pool('data')
        self.rbd_image('striped', data, order=20, stripe_unit=65536,
                       stripe_count=4,
                       features=rbd.RBD_FEATURE_LAYERING |
                       rbd.RBD_FEATURE_STRIPINGV2)
        self.rbd_image('elsewhere', data, data_pool='data',
                       features=rbd.RBD_FEATURE_LAYERING |
                       rbd.RBD_FEATURE_DATA_POOL)
        self.rbd_image('large', data, size=64 << 30)
        for name in ('striped', 'elsewhere', 'large'):
            self.assertEqual(data, self.read(name, 0, len(data),
                                             user='admin'), name)

    def test_clone(self):
        self.rbd_image('parent', b'a' * 2 * MiB)
        self.cluster.clone_image('parent', 'child', data=b'b', offset=MiB)
        self.addCleanup(self.cluster.remove_image, 'child')
        self.assertEqual(b'aba', self.read('child', MiB - 1, 3))
        self.assertEqual(b'aaa', self.read('parent', MiB - 1, 3))

    def test_corrupt_image(self):
        self.rbd_image('corrupt', b'a' * MiB)
        self.cluster.corrupt_image('corrupt', 4711)
        self.assertEqual(b'a\x9ea', self.read('corrupt', 4710, 3))

    def test_paused_osd(self):
        self.rbd_image('paused', b'x')
        self.cluster.osd.pause()
        with self.cluster.ioctx(timeout=1) as ioctx:
            self.assertRaises(rados.Error, ioctx.stat, 'rbd_id.paused')
        self.cluster.osd.resume()
        self.assertEqual(b'x', self.read('paused', 0, 1))

    def test_killed_osd_and_monitor(self):
        self.rbd_image('killed', b'x')
        self.cluster.osd.kill()
        self.cluster.mon.kill()
        self.bed.restore()
        self.assertTrue(self.cluster.osd.running)
        self.assertTrue(self.cluster.mon.running)
        self.assertEqual(b'x', self.read('killed', 0, 1))

    def test_slow_down(self):
        self.rbd_image('slow', b'x')
        self.cluster.slow_down(0.05)
        start = time.monotonic()
        self.assertEqual(b'x', self.read('slow', 0, 1))
        self.assertGreater(time.monotonic() - start, 0.5)
        self.cluster.slow_down(0, 0)


class GlanceServerTestCase(TestBedTestCase):

    def setUp(self):
        super().setUp()
        self.glance = self.bed.glance

    def test_stores(self):
        for store, scheme in ((glance_server.RBD_STORE, 'rbd'),
                              (glance_server.FILE_STORE, 'file')):
            for data in (b'', b'x', os.urandom(9 * MiB)):
                image_id = self.glance.upload(data, store=store)
                self.addCleanup(self.glance.delete, image_id)
                image = self.glance.show(image_id)
                self.assertEqual(('active', len(data), store),
                                 (image['status'], image['size'],
                                  image['stores']))
                locations = self.glance.client(
                    'nova').images.get_image_locations(image_id)
                self.assertEqual([scheme], [loc['url'].split(':')[0]
                                            for loc in locations])
                self.assertEqual(0, self.glance.downloads(image_id))
                got = self.glance.client().images.data(image_id)
                self.assertEqual(data, b''.join(got))
                self.assertEqual(1, self.glance.downloads(image_id))

    def test_visibility(self):
        from glanceclient import exc
        image_id = self.glance.upload(b'x')
        self.addCleanup(self.glance.delete, image_id)
        self.assertEqual('demo', self.bed.context().user_name)
        self.assertRaises(exc.HTTPNotFound, self.glance.show, image_id,
                          'other')

    def test_locations_are_for_services(self):
        from glanceclient import exc
        image_id = self.glance.upload(b'x')
        self.addCleanup(self.glance.delete, image_id)
        self.assertNotIn('direct_url', self.glance.show(image_id))
        self.assertRaises(
            exc.HTTPForbidden,
            self.glance.client().images.get_image_locations, image_id)

    def test_many_writers(self):
        image_ids = [self.glance.upload(b'x') for _ in range(6)]
        errors = []

        def write(image_id):
            images = self.glance.client().images
            try:
                for number in range(15):
                    images.update(image_id, name=str(number))
            except Exception as exc:
                errors.append(exc)

        threads = [threading.Thread(target=write, args=(image_id,))
                   for image_id in image_ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for image_id in image_ids:
            self.glance.delete(image_id)
        self.assertEqual([], errors)

    def test_reconfigure(self):
        from glanceclient import exc
        image_id = self.glance.upload(b'x')
        self.addCleanup(self.glance.delete, image_id)
        changes = {'DEFAULT': {'show_image_direct_url': True}}
        rules = {'fetch_image_location': 'role:nobody'}
        self.assertTrue(self.glance.reconfigure(changes, rules))
        self.assertFalse(self.glance.reconfigure(changes, rules))
        self.assertIn('direct_url', self.glance.show(image_id))
        self.assertRaises(
            exc.HTTPForbidden,
            self.glance.client('nova').images.get_image_locations, image_id)
        self.assertTrue(self.glance.reconfigure())
        self.assertNotIn('direct_url', self.glance.show(image_id))


class WholeTestBedTestCase(test.NoDBTestCase):
    """One of its own, in another process that does not end well."""

    def start(self):
        owner = subprocess.Popen(
            [sys.executable, '-c', _OWNER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(owner.wait)
        self.addCleanup(owner.kill)
        self.addCleanup(owner.stdout.close)
        self.addCleanup(owner.stdin.close)
        said = owner.stdout.readline().split()
        pid, self.directories = int(said[0]), said[1:4]
        self.leaders = {int(pid): janitor.start_time(int(pid))
                        for pid in said[4:]}
        # Monitor, OSD, and a master and a worker for each service.
        self.assertEqual(6, len(janitor.in_sessions(self.leaders)))
        for path in self.directories:
            self.assertTrue(os.path.isdir(path), path)
        return owner, pid

    def assertNothingLeft(self, pid):
        daemon.wait_for(lambda: not janitor.start_time(pid),
                        'the janitor', 20)
        self.assertEqual(set(), janitor.in_sessions(self.leaders))
        for path in self.directories:
            self.assertFalse(os.path.exists(path), path)

    def test_owner_is_killed(self):
        owner, pid = self.start()
        owner.kill()
        self.assertNothingLeft(pid)

    def test_services_are_missing(self):
        with test.mock.patch.dict(os.environ,
                                  {'NOVA_SERVICES_VENV': '/nonexistent'}):
            error = self.assertRaises(Exception, rbd_testbed.RbdTestBed()
                                      .setUp)
        self.assertIn('/nonexistent/bin/keystone-manage not found',
                      str(error))
        self.assertIn('tools/test', str(error))
