# SPDX-License-Identifier: Apache-2.0

"""When the local disk is the cause, the log says so and HTTP is not tried."""

import logging
import os
import signal
import subprocess
import threading

import fixtures

from nova.storage import export_process
from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import fault_matrix
from nova.tests.functional.rbd_download import faults
from nova.tests.testbed import file_systems

MiB = base.MiB


class LocalFaultTestCase(faults.FaultTestCase):

    TOPIC = fault_matrix.DISK

    def setUp(self):
        super().setUp()
        self.image_id = self.upload_to_both(self.data)
        # Before there is something mounted.
        self.path = self.cache_path(self.image_id)

    def put_cache_on(self, file_system, *args):
        """Have the image cache on a file system of its own."""
        fixture = self.useFixture(
            file_system(os.path.dirname(self.path), *args))
        # It may have a process, or a file that takes its space.
        self._before = self._traces()
        return fixture

    def check_refused(self, cause, produced, reason, timeout=0):
        """Download, and see that it fails as a matter of this node.

        :param reason: a regular expression for what the operator reads
        :param timeout: seconds that it may take, and a little more
        """
        watch = faults.Stopwatch()
        outcome = self.in_thread(self.fetch, self.image_id)()
        seconds = watch.seconds
        self.assertFailed(
            outcome, self.image_id,
            'cannot be stored on this node: .*(%s).*to be written to '
            '%s.part and has %d bytes' % (reason, self.path, self.SIZE),
            'HTTP is not tried')
        self.assertWithin(timeout, seconds)
        self.record(cause, produced, faults.NO_HTTP, seconds, 'nothing')

    def test_full_before_the_start(self):
        self.put_cache_on(file_systems.SmallDisk, 20 * MiB, 20 * MiB)
        self.check_refused('The disk is full before the start',
                           'a tmpfs without a free byte',
                           'No space left on device')

    def test_full_during_the_copy(self):
        self.put_cache_on(file_systems.SmallDisk, self.SIZE // 2)
        self.check_refused('The disk gets full during the copy',
                           'a tmpfs of half the size of the image',
                           'No space left on device')

    def test_quota(self):
        self.put_cache_on(file_systems.Quota, self.SIZE // 2)
        self.check_refused('The quota is used up during the copy',
                           'a btrfs with a quota of half the size of the '
                           'image', 'quota')

    def test_read_only(self):
        self.put_cache_on(file_systems.ReadOnlyDisk)
        self.check_refused('The directory is read-only',
                           'a mount with the option ro',
                           'Read-only file system')

    def test_broken(self):
        self.put_cache_on(file_systems.BrokenDisk)
        # A file in one piece, see there.
        self.nova.set('glance', 'rbd_download_inflight', 1)
        self.check_refused('The disk fails to write (EIO)',
                           'a loop device cut short below an ext4',
                           'Input/output error')

    def test_broken_behind_the_page_cache(self):
        # Short runs of data go through it, and an error comes up when the
        # engine waits for some of them. It is told once.
        run = 64 << 10
        data = b''.join(self.data[n:n + run] + bytes(run)
                        for n in range(0, self.SIZE, 2 * run))
        self.image_id = self.upload_to_both(data)
        self.path = self.cache_path(self.image_id)
        self.put_cache_on(file_systems.BrokenDisk)
        self.nova.set('glance', 'rbd_download_inflight', 1)
        self.check_refused('The disk fails to write (EIO), every second 64 '
                           'KiB of the image are zeros',
                           'a loop device cut short below an ext4',
                           'Input/output error|Cannot allocate memory')

    def check_good(self, cause, produced):
        watch = faults.Stopwatch()
        path = self.in_thread(self.fetch, self.image_id)()
        self.assertEqual(self.path, path)
        self.assertOverRBD(self.image_id, path, self.digest)
        self.record(cause, produced, 'came over RBD', watch.seconds)

    def test_no_nameless_files(self):
        self.put_cache_on(file_systems.NoTmpfile)
        self.check_good('The file system has no files without a name '
                        '(O_TMPFILE)', 'an ext4 served by fuse2fs')

    def test_no_nameless_files_and_full(self):
        self.put_cache_on(file_systems.NoTmpfile, 12 * MiB)
        self.check_refused('That file system gets full during the copy',
                           'the same, too small', 'No space left on device')

    def test_hangs(self):
        server = self.put_cache_on(file_systems.NoTmpfile).server
        self.addCleanup(server.resume)

        end = export_process._end

        def resume(process, grace):
            # To clean up is more than this disk can do.
            server.resume()
            return end(process, grace)

        def hang():
            self.wait_for_copying()
            server.pause()

        # If it goes wrong, nobody else ends this.
        timer = threading.Timer(60, server.resume)
        timer.start()
        self.addCleanup(timer.cancel)

        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.export_process._end', resume))
        self.slow(20)
        self.nova.set('glance', 'rbd_download_inflight', 1)
        hung = self.in_thread(hang)
        watch = faults.Stopwatch()
        path = self.in_thread(self.fetch, self.image_id)()
        seconds = watch.seconds
        hung()
        self.assertOverHTTP(self.image_id, path, self.digest,
                            'the local disk has not answered for %d s'
                            % (4 * self.STALL))
        self.record('The disk hangs during the copy, and goes on when the '
                    'engine has given up',
                    'the process of a FUSE file system is stopped',
                    faults.HTTP, seconds)
        timer.cancel()
        timer.join()

    def test_hangs_before_the_start(self):
        server = self.put_cache_on(file_systems.NoTmpfile).server
        self.addCleanup(server.resume)
        end = export_process._end
        popen = subprocess.Popen

        def start(command, **kwargs):
            if any(word.startswith('--image=') for word in command):
                server.pause()
            return popen(command, **kwargs)

        def resume(process, grace):
            server.resume()
            return end(process, grace)

        timer = threading.Timer(90, server.resume)
        timer.start()
        self.addCleanup(timer.cancel)
        with fixtures.MonkeyPatch('nova.storage.export_process._end', resume):
            with fixtures.MonkeyPatch(
                    'nova.storage.export_process.subprocess.Popen', start):
                watch = faults.Stopwatch()
                path = self.in_thread(self.fetch, self.image_id)()
        timer.cancel()
        timer.join()
        self.assertEqual(self.path, path)
        self.assertOverHTTP(self.image_id, path, self.digest,
                            '(local disk|director|file system)')
        self.assertWithin(4 * self.STALL, watch.seconds)
        self.record('The directory hangs before the start',
                    'the process of a FUSE file system is stopped',
                    faults.HTTP + ', other images came over RBD',
                    watch.seconds)
        # The cluster has no part in it.
        self.assertNothingLeft()
        self._log.records.clear()
        self._first_start = len(base._started)
        os.unlink(path)
        self._served[self.image_id] = self.bed.glance.downloads(self.image_id)
        self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, self.digest)

    def test_killed_without_nameless_files(self):
        self.put_cache_on(file_systems.NoTmpfile)
        self.slow(20)
        wait = self.in_thread(self.fetch, self.image_id)
        engine = self.wait_for_copying()
        (name,) = [name for name in os.listdir(os.path.dirname(self.path))
                   if 'rbd-export' in name]
        os.kill(engine, signal.SIGKILL)
        self.assertEqual(self.path, wait())
        self.assertOverHTTP(self.image_id, self.path, self.digest,
                            'was ended by SIGKILL')
        # What is left of it is there until the cache is looked after.
        left = os.path.join(os.path.dirname(self.path), name)
        self.assertTrue(os.path.exists(left))
        faults.look_after_cache(self.context)
        self.assertFalse(os.path.exists(left))
        self.assertEqual(1, len([m for m in self.messages(logging.INFO)
                                 if 'left by an interrupted' in m]))
