# SPDX-License-Identifier: Apache-2.0

"""What the tests of the export engine have in common."""

import hashlib
import os
import random
import subprocess
import sys
import time

from oslo_serialization import jsonutils
import rbd

import nova.storage
from nova import test
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import daemon

KiB = 1 << 10
MiB = 1 << 20

ENGINE = os.path.join(nova.storage.__path__[0], 'rbd_export')

MAPPED = (rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK |
          rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF)

# What the engine reports before it ends.
SIGNS_OF_LIFE = ('progress', 'phase', 'connected')

numbers = iter(range(1 << 30))
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
        output, self.stderr = process.communicate(timeout=150)
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
        name = kwargs.pop('name', 'engine-%d' % next(numbers))
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
            self.assertIn(event['event'], SIGNS_OF_LIFE)
            if event.get('bytes'):
                return process

    def assert_failed(self, run, code, number):
        """See that a run ended with one clear error and left nothing."""
        self.assertEqual(
            (number, 'error', code, number),
            (run.code, run.final['event'], run.final['code'],
             run.final['exit']), run.final)
        self.assertEqual([], [e for e in run.events[:-1]
                              if e['event'] not in SIGNS_OF_LIFE])
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
