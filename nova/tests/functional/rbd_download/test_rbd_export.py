# SPDX-License-Identifier: Apache-2.0

"""The export engine as a program, on a real cluster."""

import hashlib
import os
import random
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

from oslo_serialization import jsonutils
import rbd

import nova.storage
from nova.storage.rbd_export import pipeline
from nova import test
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import daemon

KiB = 1 << 10
MiB = 1 << 20

ENGINE = os.path.join(nova.storage.__path__[0], 'rbd_export')

MAPPED = (rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK |
          rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF)

_numbers = iter(range(1 << 30))
_clusters = {}


def shared_cluster():
    """Return the cluster of this process, which ends with it."""
    owner = os.getpid()
    if owner not in _clusters:
        cluster = ceph_cluster.CephCluster()
        cluster.setUp()
        _clusters[owner] = cluster
    return _clusters[owner]


class Run:
    """One run of the engine that has ended.

    :ivar code: exit code
    :ivar events: the JSON objects it wrote
    :ivar final: the last of them
    :ivar stderr: what else it said
    :ivar peak: resident memory at most, in bytes
    :ivar seconds: how long it took
    """

    def __init__(self, process, started):
        output, self.stderr = process.communicate(timeout=120)
        self.seconds = time.monotonic() - started
        self.code = process.returncode
        self.events = [jsonutils.loads(line) for line in output.splitlines()]
        self.final = self.events[-1] if self.events else None


class EngineTestCase(test.NoDBTestCase):

    # A cluster that is busy with other tests may take long for a request.
    TIMEOUT_SCALING_FACTOR = 2

    def setUp(self):
        super().setUp()
        self.cluster = shared_cluster()
        self.addCleanup(self._restore)
        self.dir = self.useFixture(daemon.Directory()).path
        self.dest = os.path.join(self.dir, 'image')
        self.random = random.Random(1)

    def _restore(self):
        self.cluster.osd.resume()
        self.cluster.slow_down(0, 0)
        self.cluster.wait_ready()

    def create(self, data, **kwargs):
        """Make an image and return its name."""
        name = kwargs.pop('name', 'engine-%d' % next(_numbers))
        self.cluster.create_image(name, data, **kwargs)
        self.addCleanup(self._remove, name)
        return name

    def _remove(self, name):
        # That takes a cluster in order.
        self._restore()
        self.cluster.remove_image(name)

    def command(self, *arguments, user='nova', python=sys.executable):
        conf = ([] if any(a.startswith('--conf') for a in arguments)
                else ['--conf=' + self.cluster.users[user].conf])
        return [python, '-I', ENGINE, '--json', '--id=' + user, *conf,
                '--stall-timeout=60', *arguments]

    def start(self, *arguments, **kwargs):
        process = subprocess.Popen(
            self.command(*arguments, **kwargs), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd='/')
        self.addCleanup(self._end, process)
        return process

    @staticmethod
    def _end(process):
        process.kill()
        process.communicate()

    def image_arguments(self, name, snap='snap', pool='images'):
        return ['--pool=' + pool, '--image=' + name, '--snap=' + snap]

    def run_engine(self, *arguments, **kwargs):
        started = time.monotonic()
        return Run(self.start(*arguments, **kwargs), started)

    def export(self, name, *arguments, **kwargs):
        """Export an image to self.dest and return the run."""
        return self.run_engine(*arguments, *self.image_arguments(name), '--',
                               self.dest, **kwargs)

    def start_slow(self, name, *arguments, rate=4 * MiB):
        """Start an export and return when it has moved some bytes."""
        process = self.start('--max-rate=%d' % rate, *arguments,
                             *self.image_arguments(name), '--', self.dest)
        while True:
            line = process.stdout.readline()
            self.assertTrue(line, 'ended early')
            event = jsonutils.loads(line)
            self.assertEqual('progress', event['event'])
            if event['bytes']:
                return process

    def assert_failed(self, run, code, number):
        """See that a run ended with one clear error and left nothing."""
        self.assertEqual(
            (number, 'error', code, number),
            (run.code, run.final['event'], run.final['code'],
             run.final['exit']), run.final)
        self.assertEqual([], [e for e in run.events[:-1]
                              if e['event'] != 'progress'])
        self.assertEqual(b'', run.stderr)
        self.assertGreater(len(run.final['message']), 20)
        self.assertNotIn('\n', run.final['message'])
        self.assert_nothing_left()

    def assert_nothing_left(self):
        self.assertEqual([], os.listdir(self.dir))

    def assert_exported(self, run, data, **facts):
        """See that a run made a file with these bytes, and nothing else."""
        self.assertEqual((0, b''), (run.code, run.stderr), run.events)
        self.assertEqual('result', run.final['event'])
        self.assertEqual([os.path.basename(self.dest)], os.listdir(self.dir))
        with open(self.dest, 'rb') as made:
            found = made.read()
        self.assertEqual(len(data), len(found))
        self.assertEqual(hashlib.sha512(data).hexdigest(),
                         hashlib.sha512(found).hexdigest())
        self.assertEqual(len(data), run.final['bytes'])
        self.assertEqual(len(data), run.final['data_bytes'] +
                         run.final['hole_bytes'])
        self.assertEqual(os.stat(self.dest).st_blocks * 512,
                         run.final['allocated_bytes'])
        for name, value in facts.items():
            self.assertEqual(value, run.final[name], name)

    def check_export(self, name, data):
        """Export with and without a digest, to the right bytes."""
        digest = 'sha512:' + hashlib.sha512(data).hexdigest()
        run = self.export(name, '--size=%d' % len(data), '--digest=' + digest,
                          '--fsid=' + self.cluster.fsid)
        self.assert_exported(run, data, digest=digest, fsid=self.cluster.fsid,
                             pool='images', image=name, snap='snap',
                             verified=['fsid', 'size', 'digest'])
        os.unlink(self.dest)
        run = self.export(name)
        self.assert_exported(run, data, digest=None, verified=[])
        return run


class ShapesTestCase(EngineTestCase):
    """Images of all shapes come out as they are."""

    def test_empty(self):
        self.check_export(self.create(b''), b'')

    def test_one_byte(self):
        self.check_export(self.create(b'x'), b'x')

    def test_dense(self):
        data = self.random.randbytes(24 * MiB)
        run = self.check_export(self.create(data, features=MAPPED), data)
        self.assertEqual(24 * MiB, run.final['data_bytes'])
        self.assertEqual(0, run.final['hole_bytes'])

    def test_dense_without_object_map(self):
        data = self.random.randbytes(24 * MiB)
        self.check_export(self.create(data), data)

    def test_size_no_multiple_of_anything(self):
        data = self.random.randbytes(17 * MiB + 4097)
        self.check_export(self.create(data, features=MAPPED), data)

    def test_small_objects(self):
        data = self.random.randbytes(3 * MiB + 1)
        self.check_export(self.create(data, features=MAPPED, order=16), data)

    def test_objects_of_4_mib(self):
        data = self.random.randbytes(9 * MiB)
        self.check_export(self.create(data, features=MAPPED, order=22), data)

    def test_striped(self):
        data = self.random.randbytes(20 * MiB + 5)
        name = self.create(
            data, features=MAPPED | rbd.RBD_FEATURE_STRIPINGV2, order=20,
            stripe_unit=64 * KiB, stripe_count=3)
        self.check_export(name, data)

    def test_striped_with_holes(self):
        data = bytes(9 * MiB) + self.random.randbytes(MiB) + bytes(8 * MiB)
        name = self.create(
            None, size=len(data),
            features=MAPPED | rbd.RBD_FEATURE_STRIPINGV2, order=20,
            stripe_unit=64 * KiB, stripe_count=3, snapshot=None)
        with self.cluster.image(name) as image:
            image.write(data[9 * MiB:10 * MiB], 9 * MiB)
            image.create_snap('snap')
        self.check_export(name, data)

    def _sparse(self, features):
        parts = {0: 4097, 40 * MiB - 3: 6, 200 * MiB: MiB,
                 399 * MiB + 77: 1000}
        name = self.create(None, size=400 * MiB, features=features,
                           snapshot=None)
        data = bytearray(400 * MiB)
        with self.cluster.image(name) as image:
            for offset, length in parts.items():
                data[offset:offset + length] = self.random.randbytes(length)
                image.write(bytes(data[offset:offset + length]), offset)
            image.create_snap('snap')
        return name, bytes(data)

    def test_sparse(self):
        name, data = self._sparse(MAPPED)
        run = self.check_export(name, data)
        # Not even read: there are no objects.
        self.assertLess(run.final['read_bytes'], 50 * MiB)
        self.assertLess(run.final['allocated_bytes'], 2 * MiB)

    def test_sparse_without_object_map(self):
        name, data = self._sparse(rbd.RBD_FEATURE_LAYERING)
        run = self.check_export(name, data)
        # The cluster was asked what there is.
        self.assertLess(run.final['read_bytes'], 50 * MiB)
        self.assertLess(run.final['allocated_bytes'], 2 * MiB)

    def _map_of(self, name):
        """Return id of an image and of "snap", and the map of its objects."""
        with self.cluster.image(name, read_only=True) as image:
            snap = next(snap['id'] for snap in image.list_snaps()
                        if snap['name'] == 'snap')
            return image.id(), snap, 'rbd_object_map.%s.%016x' % (image.id(),
                                                                 snap)

    def test_object_map_that_is_not_valid(self):
        name, data = self._sparse(MAPPED)
        image_id, snap, wrong = self._map_of(name)
        empty = self._map_of(self.create(None, size=len(data),
                                         features=MAPPED))[2]
        with self.cluster.ioctx() as ioctx:
            # It says that there are no objects, and that it is wrong.
            ioctx.write_full(wrong, ioctx.read(empty, MiB))
            ioctx.execute(
                'rbd_header.' + image_id, 'rbd', 'set_flags',
                struct.pack('<QQQ', rbd.RBD_FLAG_OBJECT_MAP_INVALID,
                            rbd.RBD_FLAG_OBJECT_MAP_INVALID, snap))
        run = self.check_export(name, data)
        self.assertLess(run.final['read_bytes'], 50 * MiB)

    def _many_objects(self, delay):
        """An image of 1024 small objects and no map, with a slow OSD."""
        name = self.create(None, size=4 * MiB, order=12)
        self.cluster.slow_down(delay)
        return self.export(name, '--stall-timeout=1')

    def test_asking_takes_longer_than_a_stall(self):
        # Of all objects, but not of those between two signs of life.
        run = self._many_objects(0.005)
        self.assert_exported(run, bytes(4 * MiB))
        self.assertGreater(run.seconds, 4)

    def test_asking_stalls(self):
        run = self._many_objects(0.05)
        self.assert_failed(run, 'stalled', 6)
        self.assertIn('asking what the image holds', run.final['message'])

    def test_nothing_but_hole(self):
        name = self.create(None, size=100 * MiB, features=MAPPED)
        run = self.check_export(name, bytes(100 * MiB))
        self.assertEqual(0, run.final['read_bytes'])
        self.assertEqual(0, run.final['data_bytes'])

    def test_zeros_that_are_stored(self):
        block = self.random.randbytes(4096)
        data = (bytes(8 * MiB) + block + bytes(4096) + block +
                bytes(11 * MiB) + block)
        run = self.check_export(self.create(data, features=MAPPED), data)
        self.assertEqual(3 * 4096, run.final['data_bytes'])
        self.assertLess(run.final['allocated_bytes'], 100 * KiB)

    def test_clone(self):
        data = bytearray(self.random.randbytes(20 * MiB))
        parent = self.create(bytes(data), features=MAPPED)
        for features in (MAPPED, rbd.RBD_FEATURE_LAYERING):
            patch = self.random.randbytes(5000)
            name = 'engine-clone-%d' % features
            self.cluster.clone_image(parent, name, data=patch,
                                     offset=9 * MiB + 1, features=features)
            try:
                expected = data[:]
                expected[9 * MiB + 1:9 * MiB + 5001] = patch
                self.check_export(name, bytes(expected))
                os.unlink(self.dest)
            finally:
                self.cluster.remove_image(name)

    def test_clone_larger_than_its_parent(self):
        data = self.random.randbytes(9 * MiB)
        parent = self.create(data, features=MAPPED)
        self.cluster.clone_image(parent, 'engine-grown', size=21 * MiB,
                                 features=MAPPED)
        self.addCleanup(self.cluster.remove_image, 'engine-grown')
        self.check_export('engine-grown', data + bytes(12 * MiB))

    def test_snapshot_and_not_the_image(self):
        data = self.random.randbytes(9 * MiB)
        name = self.create(data, features=MAPPED)
        with self.cluster.image(name) as image:
            image.write(b'later' * 1000, 5)
            image.resize(3 * MiB)
        self.check_export(name, data)

    def test_names_with_odd_characters(self):
        data = b'odd'
        name = self.create(data, name='a b%2F\'"$(x)\u00e9-\u4e2d')
        self.check_export(name, data)
        os.unlink(self.dest)
        self.dest = os.path.join(self.dir, '--of f\u00e9\n"')
        self.assert_exported(self.export(name), data)


class HistoriesTestCase(EngineTestCase):
    """Whatever was done to an image, its snapshot comes out as it is."""

    SIZE = 5 * MiB

    def _place(self, size):
        offset = self.random.randrange(size)
        length = self.random.choice((1, 700, 4096, 20000, 300000))
        return offset, min(length, size - offset)

    def _change(self, image):
        size = image.size()
        offset, length = self._place(size)
        what = self.random.choice(('write', 'write', 'write', 'discard',
                                   'zeros', 'resize', 'snapshot'))
        if what == 'write':
            image.write(self.random.randbytes(length), offset)
        elif what == 'discard':
            image.discard(offset, length)
        elif what == 'zeros':
            image.write(bytes(length), offset)
        elif what == 'resize':
            image.resize(self.random.randrange(1, self.SIZE))
        else:
            image.create_snap('earlier-%d' % next(_numbers))

    def _export_history(self, features, order):
        """Make an image, perhaps a clone of a clone, and export it."""
        striped = self.random.random() < 0.3
        name = self.create(
            None, size=self.SIZE, order=order, snapshot=None,
            features=features | (rbd.RBD_FEATURE_STRIPINGV2 if striped
                                 else 0),
            stripe_unit=4096 if striped else 0,
            stripe_count=3 if striped else 0)
        for generation in range(self.random.choice((1, 1, 2, 3))):
            if generation:
                child = '%s-%d' % (name, generation)
                self.cluster.clone_image(name, child, features=features,
                                         snapshot=None)
                # Children first.
                self.addCleanup(self._remove, child)
                name = child
            with self.cluster.image(name) as image:
                for _ in range(self.random.randrange(1, 25)):
                    self._change(image)
                if generation and self.random.random() < 0.2:
                    image.flatten()
                image.create_snap('snap')
                image.protect_snap('snap')
                # Is none of the snapshot's business.
                for _ in range(5):
                    self._change(image)
        with self.cluster.image(name, snapshot='snap',
                                read_only=True) as image:
            data = image.read(0, image.size())
        run = self.export(name)
        self.assert_exported(run, data)
        os.unlink(self.dest)
        return run.final['read_bytes'], len(data)

    def _export_histories(self, features):
        read = there = 0
        for n in range(15):
            self.random.seed(n)
            # Regions of 256 objects end within the image.
            of_one = self._export_history(features, 12 + n % 2)
            read += of_one[0]
            there += of_one[1]
        # The right bytes, and not by reading everything.
        self.assertLess(read, 0.9 * there)

    def test_with_object_map(self):
        self._export_histories(MAPPED)

    def test_without_object_map(self):
        self._export_histories(rbd.RBD_FEATURE_LAYERING)


class DigestTestCase(EngineTestCase):

    def test_algorithms(self):
        data = bytes(3 * MiB) + self.random.randbytes(2 * MiB)
        name = self.create(data, features=MAPPED, order=20)
        for algorithm in ('md5', 'sha1', 'sha256', 'sha512', 'sha3_512',
                          'blake2b'):
            expected = '%s:%s' % (algorithm,
                                  hashlib.new(algorithm, data).hexdigest())
            run = self.export(name, '--digest=' + algorithm)
            self.assert_exported(run, data, digest=expected, verified=[])
            run = self.export(name, '--digest=' + expected.upper().replace(
                algorithm.upper(), algorithm))
            self.assert_exported(run, data, digest=expected,
                                 verified=['digest'])

    def test_the_digest_goes_first(self):
        name = self.create(self.random.randbytes(8 * MiB))
        for arguments in ((), ('--digest=sha512',)):
            process = self.start_slow(name, *arguments)
            niceness = sorted(
                os.getpriority(os.PRIO_PROCESS, int(thread))
                for thread in os.listdir('/proc/%d/task' % process.pid))
            mine = os.getpriority(os.PRIO_PROCESS, 0)
            lower = min(mine + pipeline.GIVE_WAY, 19) if arguments else mine
            # The main thread does not give way either.
            self.assertEqual([mine, mine], niceness[:2])
            self.assertEqual({lower}, set(niceness[2:]))
            self._end(process)

    def test_wrong_digest(self):
        data = self.random.randbytes(9 * MiB)
        name = self.create(data, features=MAPPED)
        self.cluster.corrupt_image(name, 5 * MiB)
        expected = hashlib.sha256(data).hexdigest()
        run = self.export(name, '--digest=sha256:' + expected)
        self.assert_failed(run, 'wrong_digest', 8)
        self.assertEqual(expected, run.final['expected'])
        self.assertEqual(64, len(run.final['actual']))

    def test_wrong_size(self):
        name = self.create(b'x' * 100)
        for size in (0, 99, 101):
            run = self.export(name, '--size=%d' % size)
            self.assert_failed(run, 'wrong_size', 7)
            self.assertEqual((size, 100),
                             (run.final['expected'], run.final['actual']))

    def test_object_that_is_lost(self):
        # What the cluster lost reads as zeros, without any error.
        data = self.random.randbytes(20 * MiB)
        name = self.create(data, features=MAPPED)
        with self.cluster.image(name, read_only=True) as image:
            prefix = image.block_name_prefix()
        with self.cluster.ioctx() as ioctx:
            ioctx.remove_object(prefix + '.%016x' % 1)
        digest = 'sha512:' + hashlib.sha512(data).hexdigest()
        self.assert_failed(self.export(name, '--digest=' + digest),
                           'wrong_digest', 8)


class ClusterTroubleTestCase(EngineTestCase):

    def test_not_found(self):
        name = self.create(b'x')
        for arguments, missing in (
                (self.image_arguments(name, pool='nowhere'), 'pool'),
                (self.image_arguments('nothing'), 'image'),
                (self.image_arguments(name, snap='never'), 'snapshot')):
            run = self.run_engine(*arguments, '--', self.dest)
            self.assert_failed(run, 'not_found', 3)
            self.assertEqual(missing, run.final['missing'])

    def test_probe(self):
        run = self.run_engine('--probe')
        self.assertEqual(0, run.code)
        self.assertEqual(self.cluster.fsid, run.final['fsid'])

    def test_wrong_cluster(self):
        name = self.create(b'x')
        other = '00000000-0000-0000-0000-000000000000'
        run = self.export(name, '--fsid=' + other)
        self.assert_failed(run, 'wrong_cluster', 11)
        self.assertEqual((other, self.cluster.fsid),
                         (run.final['expected'], run.final['actual']))

    def test_no_configuration(self):
        run = self.export('any', '--conf=/nonexistent/ceph.conf')
        self.assert_failed(run, 'connect', 5)
        self.assertIn('/nonexistent/ceph.conf', run.final['message'])

    def test_no_keyring(self):
        run = self.export('any', '--keyring=/nonexistent/keyring')
        self.assert_failed(run, 'permission', 4)

    def test_wrong_key(self):
        other = self.cluster.create_user('engine-other')
        with open(other.keyring) as keyring:
            text = keyring.read()
        directory = self.useFixture(daemon.Directory()).path
        forged = os.path.join(directory, 'keyring')
        with open(forged, 'w') as keyring:
            keyring.write(text.replace('engine-other', 'nova'))
        run = self.export('any', '--keyring=' + forged)
        self.assert_failed(run, 'permission', 4)
        key = text.split('key = ')[1].split()[0]
        self.assertNotIn(key, run.final['message'])

    def test_no_permission_on_the_pool(self):
        self.cluster.create_pool('engine-private')
        self.cluster.create_image('secret', b'x' * 100, pool='engine-private')
        run = self.run_engine(
            *self.image_arguments('secret', pool='engine-private'), '--',
            self.dest)
        self.assert_failed(run, 'permission', 4)

    def test_no_permission_on_the_data_pool(self):
        self.cluster.create_pool('engine-data')
        name = self.create(b'x' * 100, data_pool='engine-data')
        self.assert_failed(self.export(name), 'permission', 4)

    def test_monitor_that_does_not_answer(self):
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(('127.0.0.1', 0))
        listener.listen(64)
        directory = self.useFixture(daemon.Directory()).path
        conf = os.path.join(directory, 'ceph.conf')
        with open(conf, 'w') as f:
            f.write('[global]\nmon_host = 127.0.0.1:%d\n'
                    'auth_client_required = none\n'
                    % listener.getsockname()[1])
        run = self.export('any', '--conf=' + conf, '--connect-timeout=2')
        self.assert_failed(run, 'connect', 5)
        self.assertGreater(run.seconds, 1.5)
        self.assertLess(run.seconds, 20)

    def test_osd_that_hangs(self):
        name = self.create(self.random.randbytes(24 * MiB), features=MAPPED)
        process = self.start_slow(name, '--stall-timeout=3')
        started = time.monotonic()
        self.cluster.osd.pause()
        run = Run(process, started)
        self.assert_failed(run, 'stalled', 6)
        self.assertGreater(run.seconds, 2)
        self.assertLess(run.seconds, 20)

    def test_osd_that_hangs_when_the_image_is_opened(self):
        name = self.create(b'x' * 100)
        self.cluster.osd.pause()
        run = self.export(name, '--stall-timeout=2')
        self.assert_failed(run, 'stalled', 6)
        self.assertLess(run.seconds, 20)

    def test_osd_that_comes_back(self):
        data = self.random.randbytes(16 * MiB)
        name = self.create(data, features=MAPPED)
        process = self.start_slow(name)
        self.cluster.osd.pause()
        time.sleep(2)
        self.cluster.osd.resume()
        self.assert_exported(Run(process, time.monotonic()), data)

    def test_slow_is_no_stall(self):
        data = self.random.randbytes(20 * MiB)
        name = self.create(data, features=MAPPED, order=20)
        # The OSD waits several times for one request.
        self.cluster.slow_down(0.1)
        run = self.export(name, '--stall-timeout=3', '--inflight=1')
        self.assert_exported(run, data)
        self.assertGreater(run.seconds, 4)

    def test_snapshot_removed_meanwhile(self):
        name = self.create(self.random.randbytes(16 * MiB), features=MAPPED)
        process = self.start_slow(name)
        with self.cluster.image(name) as image:
            image.unprotect_snap('snap')
            image.remove_snap('snap')
        self.assert_failed(Run(process, time.monotonic()), 'not_found', 3)

    def test_image_shrunk_meanwhile(self):
        data = self.random.randbytes(16 * MiB)
        name = self.create(data, features=MAPPED)
        process = self.start_slow(name)
        with self.cluster.image(name) as image:
            image.resize(0)
        self.assert_exported(Run(process, time.monotonic()), data)

    def test_read_from_replica(self):
        data = self.random.randbytes(MiB)
        name = self.create(data)
        for policy in ('default', 'balance', 'localize'):
            self.assert_exported(
                self.export(name, '--read-from-replica=' + policy), data)

    def test_leaves_no_trace_in_the_cluster(self):
        name = self.create(self.random.randbytes(16 * MiB), features=MAPPED)
        process = self.start_slow(name)
        status = subprocess.run(
            ['rbd', '--conf', self.cluster.users['admin'].conf, 'status',
             'images/' + name, '--format=json'], capture_output=True,
            check=True)
        self.assertEqual([], jsonutils.loads(status.stdout)['watchers'])
        process.kill()


class LocalTroubleTestCase(EngineTestCase):

    def test_stale_file_is_replaced(self):
        data = self.random.randbytes(5000)
        name = self.create(data)
        with open(self.dest, 'wb') as stale:
            stale.write(b'stale' * 100000)
        inode = os.stat(self.dest).st_ino
        self.assert_exported(self.export(name), data)
        self.assertNotEqual(inode, os.stat(self.dest).st_ino)

    def test_stale_file_stays_when_the_export_fails(self):
        name = self.create(b'x' * 100)
        with open(self.dest, 'wb') as stale:
            stale.write(b'stale')
        run = self.export(name, '--digest=sha256:' + '0' * 64)
        self.assertEqual(8, run.code)
        self.assertEqual([os.path.basename(self.dest)], os.listdir(self.dir))
        with open(self.dest, 'rb') as stale:
            self.assertEqual(b'stale', stale.read())

    def test_other_kinds_of_target(self):
        name = self.create(b'x')
        outside = os.path.join(self.useFixture(daemon.Directory()).path, 'x')
        for make in (lambda: os.mkdir(self.dest),
                     lambda: os.mkfifo(self.dest),
                     lambda: os.symlink(outside, self.dest)):
            make()
            before = os.lstat(self.dest)
            run = self.export(name)
            self.assertEqual((12, 'local_file'),
                             (run.code, run.final['code']))
            self.assertIn(self.dest, run.final['message'])
            self.assertEqual(before.st_ino, os.lstat(self.dest).st_ino)
            self.assertFalse(os.path.exists(outside))
            if stat.S_ISDIR(before.st_mode):
                os.rmdir(self.dest)
            else:
                os.unlink(self.dest)

    def test_no_directory(self):
        name = self.create(b'x')
        self.dest = os.path.join(self.dir, 'no', 'image')
        run = self.export(name)
        self.assert_failed(run, 'local_file', 12)
        self.assertIn(os.path.dirname(self.dest), run.final['message'])

    def test_directory_vanishes(self):
        name = self.create(self.random.randbytes(8 * MiB))
        directory = os.path.join(self.dir, 'sub')
        os.mkdir(directory)
        self.dest = os.path.join(directory, 'image')
        process = self.start_slow(name)
        os.rmdir(directory)
        run = Run(process, time.monotonic())
        self.assert_failed(run, 'local_file', 12)

    def test_mode_follows_the_umask(self):
        name = self.create(b'x')
        old = os.umask(0o027)
        try:
            run = self.export(name)
        finally:
            os.umask(old)
        self.assert_exported(run, b'x')
        self.assertEqual(0o640, stat.S_IMODE(os.stat(self.dest).st_mode))

    def _small_disk(self, size):
        if os.geteuid():
            self.skipTest('only root can mount a file system')
        mounted = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=%d' % size, 'tmpfs',
             self.dir], capture_output=True)
        if mounted.returncode:
            self.skipTest('cannot mount: %s' % mounted.stderr)
        self.addCleanup(subprocess.run, ['umount', self.dir], check=True)

    def test_no_space_is_seen_beforehand(self):
        name = self.create(self.random.randbytes(16 * MiB), features=MAPPED)
        self._small_disk(8 * MiB)
        run = self.export(name)
        self.assert_failed(run, 'no_space', 9)
        self.assertEqual(16 * MiB, run.final['needed_bytes'])
        self.assertGreater(8 * MiB + 1, run.final['available_bytes'])
        self.assertFalse([e for e in run.events if e.get('total')])

    def test_no_space_is_seen_on_the_way(self):
        name = self.create(self.random.randbytes(16 * MiB))
        self._small_disk(8 * MiB)
        run = self.export(name)
        self.assert_failed(run, 'no_space', 9)
        self.assertIn('available_bytes', run.final)

    def test_sparse_image_fits_on_a_small_disk(self):
        data = bytes(64 * MiB) + b'x'
        name = self.create(data)
        self._small_disk(8 * MiB)
        self.assert_exported(self.export(name), data)

    def test_limit_of_the_file_size(self):
        name = self.create(b'x' * MiB)
        command = self.command(*self.image_arguments(name), '--', self.dest)
        started = time.monotonic()
        process = subprocess.Popen(
            ['sh', '-c', 'ulimit -f 16; exec "$@"', 'sh', *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run = Run(process, started)
        self.assert_failed(run, 'local_file', 12)


class ProcessTestCase(EngineTestCase):

    def test_signals(self):
        name = self.create(self.random.randbytes(32 * MiB), features=MAPPED)
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.start_slow(name)
            started = time.monotonic()
            process.send_signal(number)
            run = Run(process, started)
            self.assertEqual(128 + number, run.code)
            self.assertEqual('interrupted', run.final['code'])
            self.assertLess(run.seconds, 2)
            self.assert_nothing_left()

    def test_signal_while_connecting(self):
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(('127.0.0.1', 0))
        listener.listen(64)
        directory = self.useFixture(daemon.Directory()).path
        conf = os.path.join(directory, 'ceph.conf')
        with open(conf, 'w') as f:
            f.write('[global]\nmon_host = 127.0.0.1:%d\n'
                    'auth_client_required = none\n'
                    % listener.getsockname()[1])
        process = self.start('--conf=' + conf, '--connect-timeout=60',
                             *self.image_arguments('any'), '--', self.dest)
        connection = listener.accept()[0]
        self.addCleanup(connection.close)
        started = time.monotonic()
        process.terminate()
        run = Run(process, started)
        self.assertEqual(143, run.code)
        self.assertLess(run.seconds, 2)

    def test_killed(self):
        name = self.create(self.random.randbytes(32 * MiB), features=MAPPED)
        process = self.start_slow(name)
        process.kill()
        process.wait()
        self.assert_nothing_left()

    def _start_below_shell(self, name, prefix=''):
        """Start an export as the child of a shell; return both."""
        command = self.command('--max-rate=%d' % (2 * MiB),
                               *self.image_arguments(name), '--', self.dest)
        log = os.path.join(self.useFixture(daemon.Directory()).path, 'log')
        shell = subprocess.Popen(
            ['sh', '-c', prefix + '"$@" >%s 2>&1 & echo $!; wait' % log,
             'sh', *command], stdout=subprocess.PIPE)
        self.addCleanup(self._end, shell)
        child = int(shell.stdout.readline())
        for _ in range(200):
            time.sleep(0.05)
            with open(log) as f:
                if 'progress' in f.read():
                    break
        return shell, child, log

    @staticmethod
    def _is_running(pid):
        try:
            with open('/proc/%d/stat' % pid) as f:
                return f.read().rpartition(')')[2].split()[0] != 'Z'
        except FileNotFoundError:
            return False

    def test_parent_dies(self):
        name = self.create(self.random.randbytes(32 * MiB), features=MAPPED)
        shell, child, log = self._start_below_shell(name)
        shell.kill()
        shell.wait()
        daemon.wait_for(lambda: not self._is_running(child), 'the end', 5)
        with open(log) as f:
            final = jsonutils.loads(f.readlines()[-1])
        self.assertEqual(('parent_died', 14), (final['code'], final['exit']))
        self.assert_nothing_left()

    def test_parent_dies_under_nohup(self):
        data = self.random.randbytes(8 * MiB)
        name = self.create(data, features=MAPPED)
        shell, child, log = self._start_below_shell(name, 'trap "" HUP; ')
        shell.kill()
        shell.wait()
        daemon.wait_for(lambda: not self._is_running(child), 'the end', 30)
        with open(self.dest, 'rb') as made:
            self.assertEqual(data, made.read())

    def test_nobody_listens(self):
        name = self.create(self.random.randbytes(32 * MiB), features=MAPPED)
        process = self.start_slow(name)
        process.stdout.close()
        self.assertEqual(14, process.wait(10))
        self.assert_nothing_left()

    def test_two_at_once(self):
        data = self.random.randbytes(8 * MiB)
        name = self.create(data, features=MAPPED)
        processes = [self.start_slow(name) for _ in range(2)]
        runs = [Run(p, time.monotonic()) for p in processes]
        for run in runs:
            self.assert_exported(run, data)

    def test_memory_and_progress(self):
        data = self.random.randbytes(MiB) * 192
        name = self.create(data, features=MAPPED)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        digest = 'sha512:' + hashlib.sha512(data).hexdigest()
        # Its wrapper reports the memory of this child alone.
        command = self.command('--digest=' + digest,
                               *self.image_arguments(name), '--', self.dest)
        code = ('import os, resource, subprocess, sys\n'
                'subprocess.run(sys.argv[1:], check=True)\n'
                'print(resource.getrusage(resource.RUSAGE_CHILDREN)'
                '.ru_maxrss)')
        output = subprocess.run([sys.executable, '-c', code, *command],
                                stdout=subprocess.PIPE, check=True).stdout
        self.assertIsNotNone(before)
        self.assertLess(int(output.split()[-1]) * KiB, 100 * MiB)
        events = [jsonutils.loads(line) for line in output.splitlines()[:-1]]
        last = 0
        for event in events[:-1]:
            self.assertEqual('progress', event['event'])
            self.assertEqual(192 * MiB, event['total'])
            self.assertGreaterEqual(event['bytes'], last)
            last = event['bytes']

    def test_rate(self):
        data = self.random.randbytes(48 * MiB)
        name = self.create(data, features=MAPPED)
        rate = 4 * MiB
        run = self.export(name, '--max-rate=%d' % rate)
        self.assert_exported(run, data)
        actual = run.final['read_bytes'] / run.final['seconds']
        self.assertLess(actual, rate * 1.05)
        # Without the time for the start, which depends on the machine.
        moving = [e for e in run.events[:-1] if 0 < e['bytes'] < len(data)]
        first, last = moving[0], moving[-1]
        actual = ((last['bytes'] - first['bytes']) /
                  (last['seconds'] - first['seconds']))
        self.assertLess(actual, rate * 1.05)
        self.assertGreater(actual, rate * 0.95)

    def test_rate_counts_no_holes(self):
        name = self.create(None, size=400 * MiB, features=MAPPED)
        run = self.export(name, '--max-rate=%d' % MiB)
        self.assert_exported(run, bytes(400 * MiB))
        self.assertLess(run.seconds, 30)

    def test_human(self):
        data = self.random.randbytes(MiB)
        name = self.create(data)
        command = [a for a in self.command('images/%s@snap' % name, self.dest)
                   if a != '--json']
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertIn('1.0 MiB of images/%s@snap' % name, done.stdout)
        self.assertEqual(1, done.stdout.count('\n'))

    def test_missing_bindings(self):
        # A Python that finds the standard library only.
        command = [sys.executable, '-I', '-S', ENGINE, '--json', '--probe']
        run = Run(subprocess.Popen(command, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE), time.monotonic())
        self.assert_failed(run, 'bindings', 10)
        for package in ('python3-rados', 'python3-rbd'):
            self.assertIn(package, run.final['message'])

    def test_as_a_module(self):
        done = subprocess.run(
            [sys.executable, '-m', 'nova.storage.rbd_export', '--help'],
            capture_output=True, text=True, cwd=os.path.dirname(
                os.path.dirname(os.path.dirname(ENGINE))))
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertIn('exit codes', done.stdout)
