# SPDX-License-Identifier: Apache-2.0

"""What is wrong with one pool or one image is held against no other one."""

import logging
import os
import signal
import subprocess
import time

from nova import exception
from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import fault_matrix
from nova.tests.functional.rbd_download import faults

MiB = base.MiB


class PoolFaultTestCase(faults.FaultTestCase):

    POOL = 'other-pool'

    def setUp(self):
        super().setUp()
        cluster = self.bed.cluster
        # Not by create_pool: it need not serve at the end of the test.
        cluster.command('osd pool create', pool=self.POOL, pg_num=1,
                        pgp_num=1)
        self.addCleanup(self.delete_pool)
        cluster.command('osd pool application enable', pool=self.POOL,
                        app='rbd')
        user = cluster.create_user(
            'both', osd='profile rbd-read-only pool=images, '
                        'profile rbd-read-only pool=%s' % self.POOL)
        self.nova.set('glance', 'rbd_user', user.name)
        self.nova.set('glance', 'rbd_ceph_conf', user.conf)
        self.nova.set('glance', 'rbd_pool', 'images,' + self.POOL)

    def delete_pool(self):
        self.bed.cluster.command(
            'osd pool delete', pool=self.POOL, pool2=self.POOL,
            yes_i_really_really_mean_it=True)

    def upload_to(self, *pools):
        """Upload an image to files, and put copies into pools."""
        image_id = self.bed.glance.upload(self.data, store='fast')
        for pool in pools:
            self.bed.cluster.create_image(image_id, self.data, pool=pool)
        self.set_locations(image_id, [None] + [
            self.rbd_url(image_id, pool) for pool in pools])
        return image_id

    def check_next_is_read(self):
        """See that other images come over RBD as before."""
        self.begin_anew_but_breakers()
        path = self.fetch(self.healthy)
        self.assertOverRBD(self.healthy, path, self.digest)

    def begin_anew_but_breakers(self):
        self.assertNothingLeft()
        self._log.records.clear()
        self._first_start = len(base._started)

    def test_inactive(self):
        self.healthy = self.upload_to('images')
        alone, first = self.upload_to(self.POOL), self.upload_to(
            self.POOL, 'images')
        for option in ('size', 'min_size'):
            self.bed.cluster.command('osd pool set', pool=self.POOL,
                                     var=option, val='2')
        produced = 'min_size of the pool is 2, with one OSD'
        watch = faults.Stopwatch()
        path = self.in_thread(self.fetch, alone)()
        seconds = watch.seconds
        self.assertOverHTTP(alone, path, self.digest, '')
        self.assertWithin(4 * self.STALL, seconds)
        self.check_next_is_read()
        self.record('The placement groups of one pool are inactive', produced,
                    faults.HTTP + '; images of another pool came over RBD',
                    seconds)
        self.begin_anew_but_breakers()
        watch = faults.Stopwatch()
        path = self.in_thread(self.fetch, first)()
        self.assertEqual(self.digest, base.sha512(path))
        self.assertEqual(0, self.downloads(first), self.messages())
        self.record('The same, the image has another location', produced,
                    'read the next location', watch.seconds)

    def test_data_pool(self):
        cluster = self.bed.cluster
        self.healthy = self.upload_to('images')
        image_id = self.bed.glance.upload(self.data, store='fast')
        cluster.create_image(image_id, self.data, data_pool=self.POOL)
        self.set_locations(image_id, [None, self.rbd_url(image_id)])
        both = self.bed.cluster.users['both']
        self.nova.set('glance', 'rbd_user', cluster.nova.name)
        self.nova.set('glance', 'rbd_ceph_conf', cluster.nova.conf)
        watch = faults.Stopwatch()
        path = self.fetch(image_id)
        self.assertOverHTTP(image_id, path, self.digest,
                            '(EPERM|may not read)')
        self.record('The data of the image is in another pool (data pool)',
                    'a key for the first pool only', faults.HTTP,
                    watch.seconds)
        self.check_next_is_read()
        self.begin_anew_but_breakers()
        self.nova.set('glance', 'rbd_user', both.name)
        self.nova.set('glance', 'rbd_ceph_conf', both.conf)
        os.unlink(path)
        self._served[image_id] = self.bed.glance.downloads(image_id)
        watch = faults.Stopwatch()
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.record('The same, with a key for both pools',
                    'a key for both pools', 'came over RBD', watch.seconds)
        cluster.remove_image(image_id)

    def test_renamed(self):
        image_id = self.upload_to(self.POOL)
        self.healthy = self.upload_to('images')
        self.slow(20)
        wait = self.in_thread(self.fetch, image_id)
        self.wait_for_copying()
        self.bed.cluster.command('osd pool rename', srcpool=self.POOL,
                                 destpool='renamed')
        watch = faults.Stopwatch()
        path = wait()
        seconds = watch.seconds
        self.bed.cluster.command('osd pool rename', srcpool='renamed',
                                 destpool=self.POOL)
        self.full_speed()
        self.assertOverHTTP(image_id, path, self.digest,
                            '(EPERM|may not read)')
        self.check_next_is_read()
        self.record('The pool is renamed during the copy',
                    'ceph osd pool rename, a key that names the pool',
                    faults.HTTP, seconds)


class ImageFaultTestCase(faults.FaultTestCase):

    def test_deactivated(self):
        image_id = self.upload_to_both(self.data)
        images = self.bed.glance.client('admin').images
        images.deactivate(image_id)
        watch = faults.Stopwatch()
        self.assertRaises(exception.NovaException, self.fetch, image_id)
        self.assertEqual([], self.engine_starts())
        self.assertFalse(os.path.exists(self.cache_path(image_id)))
        self.record('The image was deactivated', 'openstack image set '
                    '--deactivate', 'failed as with HTTP, nothing was read',
                    watch.seconds, 'nothing')
        self.begin_anew()
        images.reactivate(image_id)
        # A download that was refused is in the log of the server too.
        self._served[image_id] = self.bed.glance.downloads(image_id)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)

    def test_throttled(self):
        data = self.data[:MiB // 2]
        image_id = self.upload_to_both(data)
        with self.bed.cluster.image(image_id) as image:
            image.metadata_set('conf_rbd_qos_read_bps_limit', '65536')
        healthy = self.upload_to_both(self.data)
        watch = faults.Stopwatch()
        path = self.in_thread(self.fetch, image_id)()
        seconds = watch.seconds
        self.assertEqual(base.sha512(data), base.sha512(path))
        lines = self.messages(logging.WARNING)
        for line in lines:
            self.assertRegex(line, '(?i)limit|qos|throttl')
        self.record('The image has a limit for reading (QoS)',
                    'rbd_qos_read_bps_limit of the image is 64 KiB/s',
                    faults.HTTP if lines else 'came over RBD', seconds)
        self.assertNothingLeft()
        self._log.records.clear()
        self._first_start = len(base._started)
        path = self.fetch(healthy)
        self.assertOverRBD(healthy, path, self.digest)

    def test_snapshot_removed(self):
        image_id = self.upload_to_both(self.data)
        self.slow(20)
        wait = self.in_thread(self.fetch, image_id)
        self.wait_for_copying()
        with self.bed.cluster.image(image_id) as image:
            image.unprotect_snap('snap')
            image.remove_snap('snap')
        watch = faults.Stopwatch()
        path = wait()
        # What is read then may be zeros or the bytes of the image.
        self.assertEqual(self.digest, base.sha512(path))
        lines = self.messages(logging.WARNING)
        for line in lines:
            self.assertIn('snapshot', line)
            self.assertNotRegex(line, 'damaged')
        self.record('The snapshot is removed during the copy',
                    'as by deleting the image in Glance',
                    faults.HTTP if lines else 'came over RBD', watch.seconds)

    def test_umask(self):
        image_id = self.upload_to_both(self.data)
        old = os.umask(0o077)
        self.addCleanup(os.umask, old)
        watch = faults.Stopwatch()
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertEqual(0o600, os.stat(path).st_mode & 0o777)
        self.record('nova-compute runs with the umask 077', 'umask 077',
                    'came over RBD', watch.seconds)


class ServiceStopTestCase(faults.FaultTestCase):

    TOPIC = fault_matrix.PROCESSES

    def test_group_gets_sigterm(self):
        # As of systemd, which sends it to all processes of a service. The
        # parent waits for its downloads and goes then.
        image_id = self.upload_to_both(self.data)
        self.slow(6)
        wait = self.in_thread(self.fetch, image_id)
        engine = self.wait_for_copying()
        watch = faults.Stopwatch()
        # Not by the parent of the engine, which may end it.
        subprocess.run(['kill', '-%d' % signal.SIGTERM, str(engine)],
                       check=True)
        time.sleep(0.5)
        path = wait()
        self.assertOverRBD(image_id, path, self.digest)
        self.record('The service is stopped during the copy',
                    'SIGTERM to the whole group, as of systemd',
                    faults.WAITED, watch.seconds)
