# SPDX-License-Identifier: Apache-2.0

"""Whoever is killed and whenever, the cache holds whole images only."""

import collections
import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import fixtures
from testtools import content

from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import compute_host
from nova.tests.functional.rbd_download import fault_matrix
from nova.tests.functional.rbd_download import faults
from nova.tests.testbed import daemon
from nova.tests.testbed import janitor
from nova.virt.libvirt import imagecache

MiB = base.MiB

#: Gives the seed of a run that is to be repeated.
SEED = 'NOVA_CRASH_SEED'

MOMENTS = 50
# So many images at a time, each with its own victims.
LANES = 4


class CrashTestCase(base.DirectDownloadTestCase):
    """Processes are killed at random moments of a download."""

    SIZE = 4 * MiB
    # Half a second for the copy itself.
    RATE = 2 * SIZE

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.Timeout(900, gentle=True))
        seed = int(os.environ.get(SEED) or
                   random.SystemRandom().randrange(1 << 32))
        self.random = random.Random(seed)
        self.addDetail('seed', content.text_content(
            'to repeat it: %s=%d' % (SEED, seed)))
        self.stub_out('nova.objects.BlockDeviceMappingList.'
                      'bdms_by_instance_uuid', lambda *args: {})
        # As if the cache were looked after some minutes later.
        self.stub_out('nova.virt.image_leftovers._least_age', lambda: -1)
        config = self.bed.nova_config(self.nova.instances_path)
        # Whatever succeeds came over RBD then.
        config['glance']['rbd_download_fallback'] = False
        self.host = self.useFixture(
            compute_host.ComputeHost(config, self.context))
        self.host.wait_ready()
        self.images = [self.make_image(n) for n in range(LANES)]
        self._before = self._traces()

    def make_image(self, number):
        """Upload an image, the first one in a format that is converted.

        :returns: its id, and the digest of what the cache is to hold
        """
        data = base.noise(self.SIZE, number)
        digest = base.sha512(data)
        if number:
            return self.bed.glance.upload(data), digest
        raw = os.path.join(self.useFixture(daemon.Directory()).path, 'raw')
        with open(raw, 'wb') as f:
            f.write(data)
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2',
                        raw, raw + '.qcow2'], check=True)
        with open(raw + '.qcow2', 'rb') as f:
            return self.bed.glance.upload(
                f.read(), disk_format='qcow2'), digest

    def measure(self):
        """Return the seconds that downloads take when nobody is killed."""
        watch = faults.Stopwatch()
        forks = [self.host.fork(image_id, rbd_download_max_rate=self.RATE)
                 for image_id, _digest in self.images]
        for fork in forks:
            result = fork.result()
            self.assertIsNone(result['error'], result)
        for image_id, digest in self.images:
            self.assertTrue(self.check_cache(image_id, digest))
            os.unlink(self.cache_path(image_id))
        return watch.seconds

    def engine_of(self, image_id):
        """Return the pid of the engine that copies an image, or None."""
        for name in os.listdir('/proc'):
            with contextlib.suppress(OSError):
                with open('/proc/%s/cmdline' % name, 'rb') as f:
                    command = os.fsdecode(f.read())
                if '\0--image=%s\0' % image_id in command:
                    return int(name)
        return None

    def kill_engine(self, image_id, moment, forks):
        """Kill the engine so many seconds after it began, if it lasts."""
        while any(fork.running for fork in forks):
            engine = self.engine_of(image_id)
            if engine is not None:
                time.sleep(moment)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(engine, signal.SIGKILL)
                return
            time.sleep(0.01)

    def check_cache(self, image_id, digest):
        """See that the cache holds the whole image, or nothing of it.

        :returns: whether it does hold it
        """
        path = self.cache_path(image_id)
        try:
            self.assertEqual(digest, base.sha512(path))
            return True
        except FileNotFoundError:
            return False

    def crash(self, rng, image_id, digest, moment, others):
        """Kill who downloads an image, or its engine.

        :param moment: when, from 0 for the beginning to 1 for about the end
        """
        forks = [self.host.fork(image_id, rbd_download_max_rate=self.RATE)
                 for _ in range(1 + others)]
        # A part of the whole time, or of the time of the copy.
        victim = rng.choice(('parent', 'engine'))
        if victim == 'parent':
            wait = moment * self.seconds
            time.sleep(wait)
            if not forks[0].running:
                # It was slower when it was measured, on a busy machine.
                self.seconds = min(self.seconds, wait)
            forks[0].kill()
        else:
            self.kill_engine(image_id, moment * 2 * self.SIZE / self.RATE,
                             forks)
        results = [fork.result() for fork in forks]
        there = self.check_cache(image_id, digest)
        failed = [r for r in results if r is None or r['error']]
        self.assertLessEqual(len(failed), 1, results)
        self.hits[victim if failed else 'nobody'] += 1
        if len(failed) < len(results):
            self.assertTrue(there, results)
        if not others and rng.random() < .5:
            imagecache.ImageCacheManager().update(self.context, [])
            self.assertEqual([os.path.basename(self.cache_path(image_id))]
                             if there else [], self.files_of(image_id))
        if not there:
            result = self.host.fork(image_id).result()
            self.assertIsNone(result['error'], result)
            self.assertTrue(self.check_cache(image_id, digest))
        os.unlink(self.cache_path(image_id))

    def files_of(self, image_id):
        path = self.cache_path(image_id)
        return [name for name in os.listdir(os.path.dirname(path))
                if os.path.basename(path) in name]

    def check_crashes(self, cause, others):
        self.seconds = self.measure()
        errors = []

        def lane(rng, image_id, digest, moments):
            try:
                for moment in moments:
                    self.crash(rng, image_id, digest, moment, others)
            except Exception as exc:
                errors.append(exc)

        self.hits = collections.Counter()
        moments = [self.random.random() for _ in range(MOMENTS)]
        watch = faults.Stopwatch()
        threads = [
            threading.Thread(target=lane, args=(
                random.Random(self.random.random()), *image,
                moments[number::LANES]))
            for number, image in enumerate(self.images)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        # Not all of them were too early or too late.
        self.assertEqual(MOMENTS, sum(self.hits.values()))
        for victim in ('engine', 'parent'):
            self.assertGreater(self.hits[victim], MOMENTS // 10, self.hits)
        # Nothing is left, or it goes when the cache is looked after.
        imagecache.ImageCacheManager().update(self.context, [])
        self.assertNothingLeft()
        for image_id, _digest in self.images:
            self.assertEqual(0, self.downloads(image_id))
        fault_matrix.record(
            fault_matrix.CRASHES, cause,
            'SIGKILL to nova-compute or to the engine at %d random moments'
            % MOMENTS, 'a later download came over RBD, nothing was left',
            watch.seconds, 'right bytes')

    def test_alone(self):
        self.check_crashes('Parent or engine killed at any moment', 0)

    def test_with_others(self):
        self.check_crashes('The same, while another one wants the image', 1)


class ParentKilledTestCase(faults.FaultTestCase):

    TOPIC = fault_matrix.PROCESSES

    def test_during_the_copy(self):
        config = self.bed.nova_config(self.nova.instances_path)
        host = self.useFixture(compute_host.ComputeHost(config, self.context))
        host.wait_ready()
        self._before = self._traces()
        image_id = self.bed.glance.upload(self.data)
        fork = host.fork(image_id, rbd_download_max_rate=self.SIZE // 20)
        engine = self.wait_for_copying()
        fork.kill()
        watch = faults.Stopwatch()
        # In a container nobody may take note of its end.
        daemon.wait_for(lambda: not janitor.start_time(engine),
                        'the engine to end', self.margin)
        self.assertNothingLeft()
        self.record('nova-compute dies', 'SIGKILL to the parent',
                    'the engine ended, nothing was left', watch.seconds,
                    'nothing')
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)


class OrphanTestCase(faults.FaultTestCase):
    """What others left in the cache is in nobody's way."""

    TOPIC = fault_matrix.CRASHES

    def test_conversion_that_goes_on(self):
        # qemu-img outlives the nova-compute that started it, and has its file
        # locked.
        directory = self.useFixture(daemon.Directory()).path
        raw, qcow2 = (os.path.join(directory, name)
                      for name in ('raw', 'qcow2'))
        with open(raw, 'wb') as f:
            f.write(self.data)
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2',
                        raw, qcow2], check=True)
        with open(qcow2, 'rb') as f:
            image_id = self.bed.glance.upload(f.read(), disk_format='qcow2')
        converted = self.cache_path(image_id) + '.converted'
        orphan = subprocess.Popen(['qemu-img', 'convert', '-r', '65536', '-f',
                                   'raw', '-O', 'raw', raw, converted])
        self.addCleanup(orphan.wait)
        self.addCleanup(orphan.kill)
        daemon.wait_for(lambda: os.path.exists(converted), converted, 30)
        self._before = self._traces()
        watch = faults.Stopwatch()
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertIsNone(orphan.poll())
        self.record('A conversion goes on after nova-compute died',
                    'qemu-img convert to the same file', 'came over RBD',
                    watch.seconds)

    def test_orphans_of_earlier_versions(self):
        image_id = self.bed.glance.upload(self.data)
        path = self.cache_path(image_id)
        now = time.time()
        orphans = []
        for age, ending in enumerate(('.part', '.converted') * 2):
            name = (path if age < 2 else self.cache_path('another')) + ending
            with open(name, 'wb') as f:
                f.write(self.data)
            # From this second and from years ago.
            os.utime(name, (now - age * 10 ** 8, now - age * 10 ** 8))
            orphans.append(name)
        watch = faults.Stopwatch()
        faults.look_after_cache(self.context)
        self.assertEqual([], [name for name in orphans
                              if os.path.exists(name)])
        self.record('Whole .part and .converted files of earlier versions, '
                    'of any age', 'such files, then the periodic task',
                    'reclaimed', watch.seconds, 'nothing')
