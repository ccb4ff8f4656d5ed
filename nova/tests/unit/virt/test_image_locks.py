# SPDX-License-Identifier: Apache-2.0

"""Tests of the locks of the image cache, with other processes."""

import os
import signal
import threading
import time

from nova.tests.unit.virt import image_cache_case
from nova.virt import image_fetch

NAME = image_cache_case.NAME


class OtherProcessTest(image_cache_case.CacheTestCase):

    def test_race(self):
        processes = [self._other_process() for _ in range(3)]
        for process in processes:
            self._go(process)
        self._fetch()('context', 'image', self.path)
        for process in processes:
            self.assertIn(b'done', process.stdout.read())
            self.assertEqual(0, process.wait())
        fetched = len(self.fetches)
        if os.path.exists(self.trace):
            fetched += len(self._read(self.trace).splitlines())
        self.assertEqual(1, fetched)
        self.assertIn(self._read(self.path), ('whole', 'half and half'))
        self.assertEqual([NAME], os.listdir(self.base))

    def test_second_waits_and_finds_the_file(self):
        process = self._other_process(waits=True)
        self._go(process)
        self.assertEqual(b'fetching\n', process.stdout.readline())
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(None)
                if len(ticks) == 20:
                    self._go(process)
                time.sleep(0.01)

        ticker = threading.Thread(target=tick)
        ticker.start()
        self._fetch()('context', 'image', self.path)
        stop.set()
        ticker.join()
        self.assertEqual([], self.fetches)
        self.assertEqual('half and half', self._read(self.path))
        # Others were not held up meanwhile: one let it end.
        self.assertGreaterEqual(len(ticks), 20)

    def test_holder_is_killed(self):
        process = self._other_process(seconds=60)
        self._go(process)
        self.assertEqual(b'fetching\n', process.stdout.readline())
        self.assertEqual([NAME + '.part'], os.listdir(self.base))
        killer = threading.Timer(0.2, os.kill, (process.pid, signal.SIGKILL))
        killer.start()
        self._fetch()('context', 'image', self.path)
        killer.join()
        self.assertEqual(1, len(self.fetches))
        self.assertEqual('whole', self._read(self.path))
        self.assertEqual([NAME], os.listdir(self.base))

    def test_lock_file_is_removed_while_waiting(self):
        lock = os.path.join(self.locks, 'nova-fetch-' + NAME)
        holder = self._hold('nova-fetch-' + NAME)
        seen = []

        @image_fetch.fetch_once()
        def fetch(context, image_href, path):
            # A lock on the file that was removed would keep nobody out.
            seen.append(self._is_held('nova-fetch-' + NAME))
            self._write(path)

        def remove():
            time.sleep(0.3)
            os.unlink(lock)
            holder.stdin.close()

        self.assertEqual([None, None], self._in_threads(
            lambda: fetch('context', 'image', self.path), remove))
        self.assertEqual([True], seen)
