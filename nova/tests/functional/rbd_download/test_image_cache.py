# SPDX-License-Identifier: Apache-2.0

"""The image cache that many fill at once, and that some die while filling."""

import contextlib
import logging
import os
import signal
import threading
import time

from nova import exception
from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import faults
from nova.tests.functional.rbd_download import worker
from nova.tests.testbed import daemon
from nova.tests.testbed import rbd_testbed
from nova.virt import images
from nova.virt.libvirt import utils as libvirt_utils

MiB = base.MiB


class ImageCacheTestCase(base.DirectDownloadTestCase):

    SIZE = 24 * MiB

    def setUp(self):
        super().setUp()
        self.image_id, self.digest = self.common_image(self.SIZE)
        self.path = self.cache_path(self.image_id)

    def assertCached(self):
        self._wanted.add(self.path)
        self.assertEqual(self.digest, base.sha512(self.path))

    def engines(self):
        """The pids of the engines that work for this test."""
        return [int(process.partition(':')[0])
                for process in self._processes() - self._before['process']
                if 'rbd_export' in process and '--pool' in process]

    def wait_for_copying(self):
        """Wait until an engine is in the middle of its copy.

        :returns: its pid
        """
        def copying():
            for pid in self.engines():
                with contextlib.suppress(OSError):
                    for fd in os.listdir('/proc/%d/fd' % pid):
                        path = '/proc/%d/fd/%s' % (pid, fd)
                        if (os.readlink(path).startswith(
                                self.nova.instances_path) and
                                0 < os.stat(path).st_blocks * 512
                                < self.SIZE):
                            found.append(pid)
                            return True
            return False

        found = []
        daemon.wait_for(copying, 'an engine that copies', 30)
        return found[0]

    def slow(self, seconds=20):
        """Let downloads take that long."""
        self.nova.set('glance', 'rbd_download_max_rate',
                      self.SIZE // seconds)


class FetchOnceTestCase(ImageCacheTestCase):
    """However many want an image at once, it is downloaded once."""

    def start_workers(self, *actions):
        """Start processes like nova-compute, as on one host each."""
        workers = []
        for number, action in enumerate(actions):
            config = self.bed.nova_config(self.nova.instances_path)
            # Of all that is on disk they share the instances only.
            directory = self.useFixture(daemon.Directory('nova-host-')).path
            config['oslo_concurrency']['lock_path'] = directory
            config['DEFAULT']['host'] = 'host-%d' % number
            path = rbd_testbed.write_config(
                os.path.join(directory, 'nova.conf'), config)
            workers.append(worker.Worker(path, self.context, action,
                                         self.image_id))
            self.addCleanup(workers[-1].kill)
        for each in workers:
            each.wait_ready()
        return workers

    def test_processes_that_spawn_and_precache(self):
        workers = self.start_workers('spawn', 'precache', 'spawn')
        for each in workers:
            each.go()
        results = [each.result() for each in workers]
        self.assertEqual([None] * 3, [r['error'] for r in results], results)
        self.assertEqual(1, sum(len(r['engine_starts']) for r in results),
                         results)
        self.assertEqual(0, self.downloads(self.image_id))
        self.assertEqual([], [m for r in results for m in r['messages']
                              if m.startswith(('WARNING', 'ERROR'))])
        self.assertCached()
        for disk in (results[0]['result'], results[2]['result']):
            self._wanted.update([disk, os.path.join(os.path.dirname(disk),
                                                    'disk.info')])
        # The next one does not download either.
        libvirt_utils.fetch_image(self.context, self.path, self.image_id)
        self.assertEqual([], self.engine_starts())

    def test_threads(self):
        waits = [self.in_thread(images.fetch_to_raw, self.context,
                                self.image_id, self.path) for _ in range(4)]
        # Told is who has fetched it.
        self.assertEqual([False, False, False, True],
                         sorted(wait() for wait in waits))
        self.assertCached()
        self.assertOverRBD(self.image_id, self.path, self.digest)

    def test_the_next_one_tries_when_the_first_fails(self):
        self.slow()
        self.nova.set('glance', 'rbd_download_fallback', False)
        first = self.in_thread(images.fetch_to_raw, self.context,
                               self.image_id, self.path)
        engine = self.wait_for_copying()
        self.nova.set('glance', 'rbd_download_max_rate', 0)
        second = self.in_thread(images.fetch_to_raw, self.context,
                                self.image_id, self.path)
        # Time for the second one to begin to wait.
        time.sleep(0.5)
        self.assertEqual([engine], self.engines())
        os.kill(engine, signal.SIGKILL)
        self.assertIsInstance(first(), exception.CouldNotFetchImage)
        self.assertIs(True, second())
        self.assertCached()
        self.assertEqual(0, self.downloads(self.image_id))
        self.assertEqual(2, len(self.engine_starts()))

    def test_kernel_in_its_own_format(self):
        # Written to the cache without a look at what it is.
        libvirt_utils.fetch_raw_image(self.context, self.path, self.image_id)
        self.assertCached()
        self.assertOverRBD(self.image_id, self.path, self.digest)


class KilledTestCase(ImageCacheTestCase):
    """Who dies in the middle of a copy leaves nothing behind."""

    def test_parent_killed(self):
        config = self.bed.nova_config(self.nova.instances_path)
        config['glance']['rbd_download_max_rate'] = self.SIZE // 20
        path = rbd_testbed.write_config(
            os.path.join(self.useFixture(daemon.Directory()).path,
                         'nova.conf'), config)
        compute = worker.Worker(path, self.context, 'precache',
                                self.image_id)
        self.addCleanup(compute.kill)
        compute.wait_ready()
        compute.go()
        self.wait_for_copying()
        self.assertNotEqual([], self._left())

        compute.kill()
        # The engine goes by itself, with all it has made.
        self.assertNothingLeft()
        self.assertEqual([], self.engines())

        # The next one has nothing to stumble over.
        self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, self.path, self.digest)

    def test_child_killed(self):
        self.slow()
        wait = self.in_thread(self.fetch, self.image_id)
        os.kill(self.wait_for_copying(), signal.SIGKILL)
        self.assertEqual(self.path, wait())
        self.assertOverHTTP(self.image_id, self.path, self.digest,
                            'the export process was ended by SIGKILL')

    def test_child_terminated(self):
        # As when a service is stopped: what it works on is not given up.
        self.slow(6)
        wait = self.in_thread(self.fetch, self.image_id)
        os.kill(self.wait_for_copying(), signal.SIGTERM)
        self.assertEqual(self.path, wait())
        self.assertEqual(self.digest, base.sha512(self.path))
        self.assertEqual(0, self.downloads(self.image_id), self.messages())
        self.assertEqual(2, len(self.engine_starts()), self.messages())
        self.assertEqual([], self.messages(logging.WARNING))


class LeftoverTestCase(ImageCacheTestCase):
    """What older versions left behind is in nobody's way."""

    def leave(self, path, text=b'left'):
        with open(path, 'wb') as f:
            f.write(text)

    def manage_cache(self):
        """Have the image cache looked after, on a host without servers."""
        faults.look_after_cache(self.context)

    def test_part_is_replaced(self):
        # It sent upstream's direct download to HTTP for good.
        self.leave(self.path + '.part', b'stale' * 100000)
        self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, self.path, self.digest)

    def test_download_replaces_a_file(self):
        path = os.path.join(self.nova.instances_path, 'download')
        self.leave(path, bytes(self.SIZE + 1))
        self.download(self.image_id)
        self.assertOverRBD(self.image_id, path, self.digest)

    def test_cache_manager_removes_them(self):
        orphans = [self.path + '.part', self.path + '.converted']
        for path in orphans:
            self.leave(path)
        self.manage_cache()
        for path in orphans:
            self.assertFalse(os.path.exists(path), path)
        self.assertEqual(2, len([m for m in self.messages()
                                 if 'left by an interrupted' in m]))

    def test_cache_manager_keeps_what_is_being_written(self):
        # By HTTP, which writes to a file with a name.
        self.nova.set('glance', 'enable_rbd_download', False)
        part = self.path + '.part'
        go_on = threading.Event()
        inspect = images.do_image_deep_inspection

        def slow_inspect(*args):
            go_on.wait(30)
            return inspect(*args)

        self.stub_out('nova.virt.images.do_image_deep_inspection',
                      slow_inspect)
        wait = self.in_thread(self.fetch, self.image_id)
        daemon.wait_for(lambda: os.path.exists(part) and
                        os.stat(part).st_size == self.SIZE, part, 30)
        self.manage_cache()
        self.assertTrue(os.path.exists(part))
        go_on.set()
        self.assertEqual(self.path, wait())
        self.assertCached()

    def test_link_is_not_followed(self):
        other = os.path.join(self.nova.instances_path, 'other')
        self.leave(other)
        os.symlink(other, self.path + '.part')
        self.assertEqual(self.path, self.fetch(self.image_id))
        self.assertCached()
        self.assertFalse(os.path.islink(self.path))
        self.assertEqual(0, self.downloads(self.image_id))
        with open(other, 'rb') as f:
            self.assertEqual(b'left', f.read())
        self._wanted.add(other)
