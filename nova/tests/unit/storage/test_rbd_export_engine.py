# SPDX-License-Identifier: Apache-2.0

"""The export engine's threads, and its view of the cluster."""

import errno
import hashlib
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
import types
from unittest import mock

from oslo_serialization import jsonutils

from nova.storage.rbd_export import cluster
from nova.storage.rbd_export import errors
from nova.storage.rbd_export import pacing
from nova.storage.rbd_export import pipeline
from nova.storage.rbd_export import supervise
from nova import test

BLOCK = 4096


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


class FakeTarget:
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
        # The process of the tests could not go back.
        patch = mock.patch.object(pipeline.os, 'setpriority')
        self.setpriority = patch.start()
        self.addCleanup(patch.stop)

    def touch(self):
        self.touched += 1

    def data(self, blocks):
        """Make random blocks, with some of zeros among them."""
        return b''.join(
            bytes(BLOCK) if random.random() < .3 else random.randbytes(BLOCK)
            for _ in range(blocks))

    def make(self, data, parts=None, hasher=None, inflight=3,
             read_size=2 * BLOCK, largest=0, pace=None, patience=60):
        self.snapshot = FakeSnapshot(data)
        self.target = FakeTarget(len(data))
        if parts is None:
            parts = [(0, len(data))] if data else []
        return pipeline.Pipeline(self.snapshot, self.target, parts, hasher,
                                 inflight, read_size, largest, pace,
                                 self.touch, patience)

    def test_copy(self):
        data = self.data(101) + b'end'
        pipe = self.make(data)
        pipe.run()
        self.assertEqual(data, bytes(self.target.data))
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
            self.assertEqual(data, bytes(self.target.data))
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
        self.assertEqual([], self.target.writes)

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
            self.assertEqual(data, bytes(self.target.data))
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
            write, goes_on = self.target.write, threading.Event()

            def slowly(*args):
                goes_on.wait(20)
                write(*args)

            self.target.write = slowly
            thread = threading.Thread(target=pipe.run, daemon=True)
            thread.start()
            deadline = time.monotonic() + .3
            while time.monotonic() < deadline and len(
                    self.snapshot.reads) <= (5 if hasher else 3):
                time.sleep(.01)
            self.assertEqual(5 if hasher else 3, len(self.snapshot.reads))
            goes_on.set()
            thread.join(20)
            self.assertEqual(0, pipe._held)
            self.assertEqual(set(), pipe._half_done)

    def test_the_digest_goes_first(self):
        patch = mock.patch.object(pipeline.os, 'listdir',
                                  return_value=['71', '72', '73'])
        patch.start()
        self.addCleanup(patch.stop)
        self.make(self.data(9)).run()
        self.setpriority.assert_not_called()
        lower = os.getpriority(os.PRIO_PROCESS, 0) + pipeline.GIVE_WAY
        self.make(self.data(9), hasher=hashlib.sha1()).run()
        self.assertEqual([mock.call(os.PRIO_PROCESS, n, lower)
                          for n in (71, 72, 73)],
                         self.setpriority.call_args_list)
        self.setpriority.reset_mock()
        pipeline._give_way_to(mock.Mock(native_id=72))
        self.assertEqual([mock.call(os.PRIO_PROCESS, n, lower)
                          for n in (71, 73)],
                         self.setpriority.call_args_list)

    def test_the_digest_cannot_go_first(self):
        data = self.data(9)
        for error in (PermissionError, ProcessLookupError):
            self.setpriority.side_effect = error
            hasher = hashlib.sha1()
            self.make(data, hasher=hasher).run()
            self.assertEqual(hashlib.sha1(data).digest(), hasher.digest())
        with mock.patch.object(pipeline.os, 'listdir',
                               side_effect=FileNotFoundError):
            self.make(data, hasher=hashlib.sha1()).run()

    def test_first_error_ends_it(self):
        for hasher in (None, hashlib.sha1()):
            for place in (0, 2 * BLOCK, 300 * BLOCK, 398 * BLOCK):
                pipe = self.make(self.data(400), hasher=hasher)
                error = errors.ExportError('read', 'x')
                self.snapshot.failures[place] = error
                self.assertIs(error, self._run_with_deadline(pipe))
                self.assertLess(len(self.snapshot.reads),
                                place // (2 * BLOCK) + 10)

    def test_error_of_the_disk_or_the_digest(self):
        pipe = self.make(b'x' * 400 * BLOCK, hasher=hashlib.sha1())
        error = errors.ExportError('no_space', 'x')
        self.target.failures[20 * BLOCK] = error
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
            self.target.failures[4 * BLOCK] = error
            self.assertIs(error, self._run_with_deadline(pipe))
            ends.set()

    def test_who_is_waited_for(self):
        pipe = self.make(b'x' * 40 * BLOCK, inflight=2)
        waits = []
        read, write = self.snapshot.read, self.target.write
        both = threading.Barrier(2)

        def slow_read(*args):
            waits.append(pipe.waits_for_disk())
            return read(*args)

        def slow_write(*args):
            if not waits[-1]:
                both.wait(20)
                time.sleep(.05)
                waits.append(pipe.waits_for_disk())
            write(*args)

        self.snapshot.read, self.target.write = slow_read, slow_write
        self.assertFalse(pipe.waits_for_disk())
        pipe.run()
        self.assertIn(True, waits)
        self.assertFalse(waits[0])
        self.assertFalse(pipe.waits_for_disk())

    def test_error_while_others_wait_for_their_turn(self):
        pipe = self.make(self.data(400), pace=pacing.Pace(BLOCK * 4))
        error = errors.ExportError('read', 'x')
        self.snapshot.failures[0] = error
        started = time.monotonic()
        self.assertIs(error, self._run_with_deadline(pipe))
        self.assertLess(time.monotonic() - started, 5)

    def test_rate(self):
        rate = 100 * BLOCK
        pipe = self.make(self.data(60), pace=pacing.Pace(rate))
        started = time.monotonic()
        pipe.run()
        self.assertGreater(time.monotonic() - started, .5)

    def test_no_more_threads_than_pieces(self):
        for blocks, readers in ((0, 0), (1, 1), (8, 1), (9, 2), (800, 100)):
            pipe = self.make(self.data(blocks), inflight=100)
            self.assertEqual(readers, pipe._readers)


def _errors(*names):
    """Make exceptions that look like those of the bindings."""
    base = type('Error', (Exception,), {'errno': None})
    made = {'Error': base}
    for name in names:
        made[name] = type(name, (base,), {})
    return made


class ClusterTestCase(test.NoDBTestCase):
    """What errors of the bindings become, and which options are set."""

    def setUp(self):
        super().setUp()
        self.settings = {}
        self.client = mock.Mock()
        self.client.conf_set.side_effect = self.settings.__setitem__
        self.rados = types.SimpleNamespace(
            Rados=mock.Mock(return_value=self.client), **_errors('Other'))
        self.image = mock.Mock()
        self.image.size.return_value = 64
        self.image.stat.return_value = {'obj_size': 8}
        self.image.stripe_count.return_value = 1
        self.image.features.return_value = 16
        self.image.flags.return_value = 0
        self.image.list_snaps.return_value = [
            {'name': 'other', 'id': 1}, {'name': 'snap', 'id': 2}]
        self.image.read.side_effect = lambda offset, length: b'x' * length
        self.rbd = types.SimpleNamespace(
            Image=mock.Mock(return_value=self.image),
            RBD_FEATURE_FAST_DIFF=16, RBD_FLAG_FAST_DIFF_INVALID=2,
            RBD_FLAG_OBJECT_MAP_INVALID=1, **_errors('ImageNotFound'))
        for name in ('rados', 'rbd'):
            patcher = mock.patch.object(cluster, name, getattr(self, name),
                                        create=True)
            patcher.start()
            self.addCleanup(patcher.stop)

    def error(self, number, module='rbd', name='Error'):
        exc = getattr(getattr(self, module), name)('words of the library')
        exc.errno = number
        return exc

    def connect(self, **kwargs):
        values = dict(user='nova', conf='/conf', keyring=None,
                      connect_timeout=3.2, stall_timeout=7)
        values.update(kwargs)
        return cluster.connect(**values)

    def open(self):
        return cluster.Snapshot(self.client, 'p', 'i', 'snap')

    def assert_code(self, code, call, *args):
        exc = self.assertRaises(errors.ExportError, call, *args)
        self.assertEqual(code, exc.code, str(exc))
        return exc

    def test_settings(self):
        self.client.connect.side_effect = lambda: self.settings.setdefault(
            'connected')
        self.connect(keyring='/k', read_from_replica='localize')
        self.rados.Rados.assert_called_once_with(rados_id='nova',
                                                 conffile='/conf')
        expected = {
            'client_mount_timeout': '4', 'rados_mon_op_timeout': '4',
            'rados_osd_op_timeout': '7', 'rbd_cache': 'false',
            'rbd_atime_update_interval': '0',
            'keyring': '/k', 'rbd_read_from_replica_policy': 'localize'}
        self.assertLessEqual(expected.items(), self.settings.items())
        # All of them before the connection is made.
        self.assertEqual('connected', list(self.settings)[-1])

    def test_defaults(self):
        self.connect(user=None, conf=None)
        self.rados.Rados.assert_called_once_with(rados_id=None, conffile='')
        self.assertNotIn('keyring', self.settings)
        self.assertNotIn('rbd_read_from_replica_policy', self.settings)

    def test_queueing_is_no_timeout_later(self):
        cluster.allow_queueing(self.client, 5)
        self.assertEqual('20', self.settings['rados_osd_op_timeout'])
        self.client.conf_set.side_effect = self.error(1, 'rados')
        cluster.allow_queueing(self.client, 5)

    def test_connect_errors(self):
        for number, code in ((errno.ETIMEDOUT, 'connect'),
                             (errno.EACCES, 'permission'),
                             (errno.EPERM, 'permission'),
                             (errno.ENOENT, 'permission'),
                             (errno.EINVAL, 'connect'), (None, 'connect')):
            self.client.connect.side_effect = self.error(number, 'rados')
            self.assert_code(code, self.connect)

    def test_configuration_errors(self):
        for number in (errno.ENOENT, errno.EINVAL, errno.EACCES, None):
            self.rados.Rados.side_effect = self.error(number, 'rados')
            self.assertIn('/conf', str(self.assert_code('connect',
                                                        self.connect)))

    def test_missing_bindings(self):
        for module, load in (('rados', cluster.load_rados),
                             ('rbd', lambda: cluster.load_rbd()())):
            with mock.patch.dict(sys.modules, {module: None}):
                exc = self.assert_code('bindings', load)
            self.assertIn('python3-rbd', str(exc))

    def test_bindings_are_there_afterwards(self):
        with mock.patch.dict(sys.modules, {'rados': self.rados,
                                           'rbd': self.rbd}):
            del cluster.rados, cluster.rbd
            cluster.load_rados()
            cluster.load_rbd()()
        self.assertIs(self.rados, cluster.rados)
        self.assertIs(self.rbd, cluster.rbd)

    def test_pool(self):
        for number, code in ((errno.ENOENT, 'not_found'),
                             (errno.EPERM, 'permission'),
                             (errno.ETIMEDOUT, 'stalled'), (5, 'read')):
            self.client.open_ioctx.side_effect = self.error(number, 'rados')
            self.assert_code(code, self.open)

    def test_opened_read_only_at_the_snapshot(self):
        self.open()
        self.rbd.Image.assert_called_once_with(
            self.client.open_ioctx.return_value, 'i', snapshot='snap',
            read_only=True)

    def test_image_or_snapshot_missing(self):
        missing = self.error(errno.ENOENT, 'rbd', 'ImageNotFound')
        self.rbd.Image.side_effect = missing
        exc = self.assert_code('not_found', self.open)
        self.assertEqual('image', exc.facts['missing'])
        self.rbd.Image.side_effect = [missing, self.image]
        exc = self.assert_code('not_found', self.open)
        self.assertEqual('snapshot', exc.facts['missing'])
        self.rbd.Image.side_effect = [missing, self.error(errno.EPERM)]
        self.assert_code('permission', self.open)

    def test_open_errors(self):
        for number, code in ((errno.EPERM, 'permission'),
                             (errno.ETIMEDOUT, 'stalled'), (5, 'read')):
            self.rbd.Image.side_effect = self.error(number)
            self.assert_code(code, self.open)

    def test_extents(self):
        def iterate(offset, length, since, take, **kwargs):
            self.assertEqual((0, 64, None), (offset, length, since))
            self.assertEqual({'include_parent': True, 'whole_object': True},
                             kwargs)
            take(8, 8, True)
            take(16, 8, False)

        self.image.diff_iterate.side_effect = iterate
        self.assertEqual([(8, 8)], self.open().extents())

    def _list_objects(self, found):
        regions = []

        def iterate(offset, length, since, take, **kwargs):
            self.assertIsNone(since)
            self.assertEqual({'include_parent': True, 'whole_object': False},
                             kwargs)
            regions.append((offset, length))
            take(offset, 8, True)
            take(offset + 8, 8, False)

        self.image.diff_iterate.side_effect = iterate
        touched = mock.Mock()
        with mock.patch.object(cluster, 'LISTED_AT_ONCE', 3):
            snapshot = cluster.Snapshot(self.client, 'p', 'i', 'snap', touched)
            touched.reset_mock()
            self.assertEqual(found, snapshot.extents())
        self.assertEqual(len(found), touched.call_count)
        return regions

    def test_extents_without_a_map(self):
        for attribute, value in (('features', 0), ('flags', 1),
                                 ('flags', 2)):
            call = getattr(self.image, attribute)
            before, call.return_value = call.return_value, value
            self.assertEqual([(0, 24), (24, 24), (48, 16)],
                             self._list_objects([(0, 8), (24, 8), (48, 8)]))
            self.image.diff_iterate.reset_mock()
            self.assertIsNone(self.open().extents(ask_each=False))
            self.image.diff_iterate.assert_not_called()
            call.return_value = before

    def test_extents_of_a_striped_image_without_a_map(self):
        self.image.features.return_value = 0
        self.image.stripe_count.return_value = 2
        self.assertEqual([(0, 48), (48, 16)],
                         self._list_objects([(0, 8), (48, 8)]))

    def test_extents_of_nothing(self):
        self.image.size.return_value = 0
        self.assertIsNone(self.open().extents())
        self.image.diff_iterate.assert_not_called()

    def test_extents_that_cannot_be_had(self):
        self.image.diff_iterate.side_effect = self.error(errno.EPERM)
        self.assert_code('permission', self.open().extents)
        # Without a map it is an attempt.
        self.image.features.return_value = 0
        self.assertIsNone(self.open().extents())
        # But more requests would hang as well.
        self.image.diff_iterate.side_effect = self.error(errno.ETIMEDOUT)
        self.assert_code('stalled', self.open().extents)

    def test_read(self):
        snapshot = self.open()
        self.assertEqual(b'xxx', snapshot.read(1, 3))
        self.image.read.side_effect = lambda offset, length: b'x'
        self.assert_code('read', snapshot.read, 0, 3)
        for number, code in ((errno.EPERM, 'permission'), (5, 'read'),
                             (errno.ETIMEDOUT, 'stalled')):
            self.image.read.side_effect = self.error(number)
            self.assert_code(code, snapshot.read, 0, 3)

    def test_still_there(self):
        self.image.id.return_value = 'abc'
        execute = self.client.open_ioctx.return_value.execute
        execute.return_value = 0, struct.pack('<QIQQ', 9, 2, 7, 2)
        snapshot = self.open()
        self.rbd.Image.reset_mock()
        snapshot.check_still_there()
        self.rbd.Image.assert_not_called()
        self.assertEqual(('rbd_header.abc', 'rbd', 'get_snapcontext'),
                         execute.call_args[0][:3])
        # Where that does not tell, the image is opened again.
        for answer in ((0, b''), (0, struct.pack('<QIQ', 9, 2, 2)),
                       (0, struct.pack('<QIQ', 9, 1, 7))):
            execute.return_value = answer
            snapshot.check_still_there()
            self.rbd.Image.assert_called_once()
            self.rbd.Image.reset_mock()
        execute.side_effect = self.error(errno.EPERM, 'rados')
        snapshot.check_still_there()
        self.rbd.Image.assert_called_once()
        self.image.list_snaps.return_value = [{'name': 'snap', 'id': 3}]
        self.assert_code('not_found', snapshot.check_still_there)
        self.rbd.Image.side_effect = self.error(2, 'rbd', 'ImageNotFound')
        self.assert_code('not_found', snapshot.check_still_there)
        self.rbd.Image.side_effect = self.error(5)
        self.assert_code('read', snapshot.check_still_there)


class JobTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.now = 50.0
        patcher = mock.patch.object(time, 'monotonic', lambda: self.now)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.job = supervise.Job(3, 10)

    def code_after(self, seconds):
        self.now += seconds
        overdue = self.job.overdue()
        return overdue and overdue.code

    def test_connecting(self):
        self.assertIsNone(self.code_after(4))
        self.assertEqual('connect', self.code_after(2))

    def test_opening(self):
        self.job.connected()
        self.assertIsNone(self.code_after(39))
        self.assertEqual('stalled', self.code_after(2))

    def test_copying(self):
        self.job.connected()
        self.job.enter('copying')
        for _ in range(5):
            self.assertIsNone(self.code_after(9))
            self.job.touch()
        self.assertEqual('stalled', self.code_after(10))
        self.assertIn('copying', str(self.job.overdue()))

    def test_writing_is_no_matter_of_the_cluster(self):
        self.job.connected()
        self.job.enter('writing to the local disk', local=True)
        self.assertIsNone(self.code_after(9))
        self.assertEqual('local_file', self.code_after(2))


class SuperviseTestCase(test.NoDBTestCase):
    """Run in a process of its own: it takes over signals and the exit."""

    def start(self, work, prelude='', **kwargs):
        program = textwrap.dedent('''
            import os, sys, threading, time
            from rbd_export import errors, report, supervise
            %s
            job = supervise.Job(1, 1)
            job.connected()
            job.enter('copying')
            job.total = 10
            job.done = lambda: 5
            job.abandon = lambda: sys.stderr.write("abandoned\\n")
            def work():
            %s
            told = report.JsonReport()
            told.interval = 0.1
            supervise.leave(supervise.run(job, work, told, os.getppid()))
            ''') % (textwrap.dedent(prelude), textwrap.indent(work, ' '))
        path = os.path.dirname(os.path.dirname(supervise.__file__))
        process = subprocess.Popen(
            [sys.executable, '-c', 'import sys; sys.path.insert(0, %r)\n%s'
             % (path, program)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **kwargs)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def end(self, process):
        out, err = process.communicate(timeout=30)
        events = [jsonutils.loads(line) for line in out.splitlines()]
        return process.returncode, events, err.decode()

    def test_result(self):
        code, events, err = self.end(self.start('return {"fsid": "f"}'))
        self.assertEqual((0, [{'event': 'result', 'fsid': 'f'}], ''),
                         (code, events, err))

    def test_progress(self):
        code, events, err = self.end(self.start(
            'time.sleep(.9)\nreturn {}'))
        self.assertEqual(0, code)
        self.assertIn(len(events), range(3, 8))
        self.assertEqual(('progress', 5, 10), (
            events[0]['event'], events[0]['bytes'], events[0]['total']))

    def test_error(self):
        code, events, err = self.end(self.start(
            'raise errors.ExportError("no_space", "full", path="/x")'))
        self.assertEqual((9, 'abandoned\n'), (code, err))
        self.assertEqual(
            [{'event': 'error', 'code': 'no_space', 'exit': 9,
              'message': 'full', 'path': '/x',
              'remedy': errors.CAUSES['no_space'].remedy}], events)

    def test_unexpected(self):
        code, events, err = self.end(self.start('return 1/0'))
        self.assertEqual((1, 'abandoned\n'), (code, err))
        self.assertEqual('unexpected', events[0]['code'])
        self.assertIn('ZeroDivisionError', events[0]['message'])
        code, events, err = self.end(self.start('raise MemoryError'))
        self.assertIn('memory', events[0]['message'])

    def test_stall(self):
        started = time.monotonic()
        code, events, err = self.end(self.start('time.sleep(60)'))
        self.assertLess(time.monotonic() - started, 20)
        self.assertEqual((6, 'stalled', 'abandoned\n'),
                         (code, events[-1]['code'], err))

    def test_stall_of_the_disk(self):
        code, events, err = self.end(self.start(
            'job.waits_for_disk = lambda: True\ntime.sleep(60)'))
        self.assertEqual((12, 'local_file', 'abandoned\n'),
                         (code, events[-1]['code'], err))
        self.assertIn('local disk', events[-1]['message'])

    def test_hang_at_the_end_does_not_matter(self):
        # A thread that never ends is what librbd may leave behind.
        code, events, err = self.end(self.start(
            'threading.Thread(target=time.sleep, args=(60,)).start()\n'
            'return {}'))
        self.assertEqual(0, code)

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process = self.start('\n'.join((
                'for _ in range(300):', ' time.sleep(.1)', ' job.touch()')))
            process.stdout.readline()
            process.send_signal(number)
            code, events, err = self.end(process)
            self.assertEqual((128 + number, 'interrupted', 'abandoned\n'),
                             (code, events[-1]['code'], err))

    def test_signal_while_the_event_is_locked(self):
        process = self.start('time.sleep(60)', prelude='''
            class Locked(threading.Event):
                def wait(self, timeout=None):
                    if timeout:
                        with self._cond:
                            os.kill(os.getpid(), 15)
                            time.sleep(.01)
                    return super().wait(timeout)
            threading.Event = Locked
            ''')
        code, events, err = self.end(process)
        self.assertEqual((143, 'interrupted'), (code, events[-1]['code']))
