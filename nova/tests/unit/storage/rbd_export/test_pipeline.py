# SPDX-License-Identifier: Apache-2.0

"""Reading, writing and hashing at the same time."""

import hashlib
import random
import threading
import time
from unittest import mock

from nova.storage.rbd_export import errors
from nova.storage.rbd_export import pipeline
from nova.storage.rbd_export import rate_limit
from nova import test

BLOCK = 4096
KiB = 1 << 10
MiB = 1 << 20


class FakeSnapshot:
    """An image in memory, whose reads take random time."""

    unit = 4 * BLOCK

    def __init__(self, data):
        self.data = data
        self.size = len(data)
        self.reads = []
        self.current = self.most = 0
        self.failures = {}
        self.lock = threading.Lock()

    def read(self, offset, length):
        with self.lock:
            self.reads.append((offset, length))
            self.current += 1
            self.most = max(self.most, self.current)
        time.sleep(random.random() / 500)
        with self.lock:
            self.current -= 1
        if offset in self.failures:
            raise self.failures[offset]
        return self.data[offset:offset + length]


class FakeWriter:
    """A file in memory."""

    def __init__(self, size):
        self.data = bytearray(size)
        self.failures = {}
        self.writes = []

    def write(self, data, runs, offset):
        if offset in self.failures:
            raise self.failures[offset]
        self.writes.append((offset, runs))
        for start, end in runs:
            self.data[offset + start:offset + end] = data[start:end]


class PipelineTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.touched = 0
        # All begin with the first byte.
        self.start = mock.patch.object(pipeline.os, 'urandom',
                                       return_value=bytes(4))
        self.start.start()
        self.addCleanup(self.start.stop)

    def touch(self):
        self.touched += 1

    def data(self, blocks):
        """Make random blocks, with some of zeros among them."""
        return b''.join(
            bytes(BLOCK) if random.random() < .3 else random.randbytes(BLOCK)
            for _ in range(blocks))

    def make(self, data, parts=None, hasher=None, inflight=3,
             read_size=2 * BLOCK, largest=0, limit=None, patience=60):
        self.snapshot = FakeSnapshot(data)
        self.writer = FakeWriter(len(data))
        if parts is None:
            parts = [(0, len(data))] if data else []
        return pipeline.Pipeline(self.snapshot, self.writer, parts, hasher,
                                 inflight, read_size, largest, limit,
                                 self.touch, patience)

    def test_copy(self):
        data = self.data(101) + b'end'
        pipe = self.make(data)
        pipe.run()
        self.assertEqual(data, bytes(self.writer.data))
        self.assertEqual(len(data), pipe.counters.read_bytes)
        self.assertEqual(len(data), pipe.counters.done_bytes)
        stored = sum(len(data[n:n + BLOCK]) for n in range(0, len(data), BLOCK)
                     if data[n:n + BLOCK].strip(b'\0'))
        self.assertEqual(stored, pipe.counters.data_bytes)
        self.assertEqual(3, self.snapshot.most)
        self.assertGreater(self.touched, 50)

    def test_digest_in_order_over_holes(self):
        data = (bytes(20 * BLOCK) + self.data(40) + bytes(3 * BLOCK + 17))
        for parts in ([(20 * BLOCK, 40 * BLOCK)],
                      [(16 * BLOCK, 47 * BLOCK + 17)], [(0, len(data))]):
            hasher = hashlib.sha256()
            pipe = self.make(data, parts, hasher)
            pipe.run()
            self.assertEqual(hashlib.sha256(data).hexdigest(),
                             hasher.hexdigest())
            self.assertEqual(data, bytes(self.writer.data))
            self.assertEqual(len(data), pipe.counters.done_bytes)
            self.assertEqual(sum(length for _, length in parts),
                             pipe.counters.read_bytes)

    def test_order(self):
        # Whoever reads the same at the same time begins somewhere else,
        # unless there is a digest.
        self.start.stop()
        begun = set()
        for _ in range(20):
            self.make(self.data(40), inflight=1).run()
            begun.add(self.snapshot.reads[0][0])
            self.assertEqual(20, len(set(self.snapshot.reads)))
        self.assertGreater(len(begun), 3)
        self.assertEqual({0}, {offset % (4 * BLOCK) for offset in begun})
        self.make(self.data(40), hasher=hashlib.sha256(), inflight=1).run()
        self.assertEqual(sorted(self.snapshot.reads), self.snapshot.reads)
        self.start.start()

    def test_nothing_to_read(self):
        hasher = hashlib.md5(usedforsecurity=False)
        pipe = self.make(bytes(9 * BLOCK), [], hasher)
        pipe.run()
        self.assertEqual([], self.snapshot.reads)
        self.assertEqual(
            hashlib.md5(bytes(9 * BLOCK), usedforsecurity=False).digest(),
            hasher.digest())
        self.make(b'', [], hashlib.sha1()).run()
        self.make(b'', []).run()

    def test_memory_is_bounded_by_a_slow_digest(self):
        data = self.data(400)
        ahead = []

        class Slow:
            done = 0

            def update(inner, block):
                ahead.append(len(self.snapshot.reads) * 2 * BLOCK -
                             inner.done)
                time.sleep(.0005)
                inner.done += len(block)

        self.make(data, hasher=Slow()).run()
        self.assertEqual(200, len(ahead))
        self.assertLessEqual(max(ahead), (3 + 2) * 2 * BLOCK)

    def test_zeros_are_not_written(self):
        self.make(bytes(50 * BLOCK)).run()
        self.assertEqual([], self.writer.writes)

    def _run_with_deadline(self, pipe):
        """Run and see that no thread hangs."""
        result = []

        def run():
            try:
                pipe.run()
            except Exception as exc:
                result.append(exc)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(20)
        self.assertFalse(thread.is_alive(), 'hangs')
        return result[0]

    def test_slow_reads_become_larger(self):
        data = self.data(200)
        for hasher in (None, hashlib.sha1()):
            with mock.patch.object(pipeline, 'SLOW_READ', 0):
                self.make(data, hasher=hasher, inflight=1, read_size=BLOCK,
                          largest=3 * BLOCK).run()
            self.assertEqual(data, bytes(self.writer.data))
            lengths = [length // BLOCK for _, length in self.snapshot.reads]
            self.assertEqual([1] * pipeline.SLOW_READS, lengths[:12])
            self.assertEqual({3}, set(lengths[12:-1]))
        self.assertEqual(hashlib.sha1(data).digest(), hasher.digest())

    def test_fast_reads_stay_as_they_are(self):
        with mock.patch.object(pipeline, 'SLOW_READ', 1000):
            self.make(self.data(200), read_size=BLOCK,
                      largest=4 * BLOCK).run()
        self.assertEqual({BLOCK}, {n for _, n in self.snapshot.reads})

    def test_larger_reads_must_not_look_like_a_stall(self):
        data = self.data(200)
        for size, largest in ((BLOCK, 1), (4 * BLOCK, 4)):
            with mock.patch.object(pipeline, 'SLOW_READ', 0):
                self.make(data, inflight=1, read_size=BLOCK,
                          largest=4 * BLOCK, patience=0).run()
            self.assertEqual({BLOCK}, {n for _, n in self.snapshot.reads})

    def test_larger_reads_that_take_too_long(self):
        with mock.patch.object(pipeline, 'READ_SIZE', BLOCK):
            self.make(self.data(20), inflight=1, read_size=4 * BLOCK,
                      largest=4 * BLOCK, patience=0).run()
        self.assertEqual([4] + 16 * [1],
                         [n // BLOCK for _, n in self.snapshot.reads])

    def test_larger_reads_are_fewer(self):
        pipe = self.make(bytes(128 << 20), read_size=8 << 20, inflight=6)
        pipe.run()
        self.assertEqual(3, self.snapshot.most)

    def test_what_is_not_written_is_in_memory(self):
        # Hashing is done with a piece long before the disk is.
        for hasher in (None, hashlib.sha1()):
            pipe = self.make(b'x' * 100 * BLOCK, hasher=hasher,
                             read_size=BLOCK, inflight=50)
            pipe._base_budget = 3 * BLOCK
            write, goes_on = self.writer.write, threading.Event()

            def slowly(*args):
                goes_on.wait(60)
                write(*args)

            self.writer.write = slowly
            thread = threading.Thread(target=pipe.run, daemon=True)
            thread.start()
            most = 5 if hasher else 3
            deadline = time.monotonic() + 20
            while (len(self.snapshot.reads) < most and
                    time.monotonic() < deadline):
                time.sleep(.01)
            # If there are to be more, they come now.
            time.sleep(.1)
            self.assertEqual(most, len(self.snapshot.reads))
            goes_on.set()
            thread.join(20)
            self.assertEqual(0, pipe._held)
            self.assertEqual(set(), pipe._half_done)

    def test_first_error_ends_it(self):
        for hasher in (None, hashlib.sha1()):
            for place in (0, 2 * BLOCK, 300 * BLOCK, 398 * BLOCK):
                pipe = self.make(self.data(400), hasher=hasher)
                error = errors.ExportError('read', 'x')
                self.snapshot.failures[place] = error
                self.assertIs(error, self._run_with_deadline(pipe))
                self.assertLess(len(self.snapshot.reads),
                                place // (2 * BLOCK) + 100)

    def test_error_of_the_disk_or_the_digest(self):
        pipe = self.make(b'x' * 400 * BLOCK, hasher=hashlib.sha1())
        error = errors.ExportError('no_space', 'x')
        self.writer.failures[20 * BLOCK] = error
        self.assertIs(error, self._run_with_deadline(pipe))
        error = MemoryError()
        pipe = self.make(b'x' * 400 * BLOCK, hasher=mock.Mock(
            update=mock.Mock(side_effect=error)))
        self.assertIs(error, self._run_with_deadline(pipe))

    def test_error_while_another_hangs(self):
        for hasher in (None, hashlib.sha1()):
            pipe = self.make(b'x' * 40 * BLOCK, hasher=hasher)
            ends = threading.Event()
            self.addCleanup(ends.set)
            read, error = self.snapshot.read, errors.ExportError(
                'read', 'x')

            def hang(offset, length):
                if not offset:
                    ends.wait(60)
                return read(offset, length)

            self.snapshot.read = hang
            self.writer.failures[4 * BLOCK] = error
            self.assertIs(error, self._run_with_deadline(pipe))
            ends.set()

    def test_who_is_waited_for(self):
        pipe = self.make(b'x' * 40 * BLOCK, inflight=2)
        waits = []
        read, write = self.snapshot.read, self.writer.write
        both = threading.Barrier(2, timeout=60)
        first_writes = iter(range(2))

        def slow_read(*args):
            waits.append(pipe.waits_for_disk())
            return read(*args)

        def slow_write(*args):
            if next(first_writes, None) is not None:
                both.wait()
                waits.append(pipe.waits_for_disk())
                both.wait()
            write(*args)

        self.snapshot.read, self.writer.write = slow_read, slow_write
        self.assertFalse(pipe.waits_for_disk())
        pipe.run()
        self.assertIn(True, waits)
        self.assertFalse(waits[0])
        self.assertFalse(pipe.waits_for_disk())

    def test_error_while_others_wait_for_their_turn(self):
        pipe = self.make(self.data(400), limit=rate_limit.RateLimit(BLOCK * 4))
        error = errors.ExportError('read', 'x')
        self.snapshot.failures[0] = error
        started = time.monotonic()
        self.assertIs(error, self._run_with_deadline(pipe))
        # And not after all the 100 s that the copy would take.
        self.assertLess(time.monotonic() - started, 20)

    def test_rate(self):
        rate = 100 * BLOCK
        pipe = self.make(self.data(60), limit=rate_limit.RateLimit(rate))
        started = time.monotonic()
        pipe.run()
        self.assertGreater(time.monotonic() - started, .5)

    def test_no_more_threads_than_pieces(self):
        for blocks, readers in ((0, 0), (1, 1), (8, 1), (9, 2), (800, 100)):
            pipe = self.make(self.data(blocks), inflight=100)
            self.assertEqual(readers, pipe._readers)

    def test_small_reads_at_low_rates(self):
        self.assertEqual(MiB, pipeline.paced_read_size(MiB, 1 << 40))
        self.assertEqual(64 * KiB, pipeline.paced_read_size(MiB, 1))
        self.assertEqual(512 * KiB, pipeline.paced_read_size(MiB, 4 * MiB))
