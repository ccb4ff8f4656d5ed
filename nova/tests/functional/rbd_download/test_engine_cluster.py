# SPDX-License-Identifier: Apache-2.0

"""The export engine and a cluster in trouble."""

import os
import socket
import subprocess
import time

from oslo_serialization import jsonutils

from nova.tests.functional.rbd_download import engine
from nova.tests.testbed import daemon

MiB = engine.MiB
MAPPED = engine.MAPPED


class ClusterTroubleTestCase(engine.EngineTestCase):

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
        self.assert_failed(run, 'no_conf', 19)
        self.assertIn('/nonexistent/ceph.conf', run.final['message'])

    def test_no_keyring(self):
        run = self.export('any', '--keyring=/nonexistent/keyring')
        self.assert_failed(run, 'no_key', 15)

    def test_wrong_key(self):
        other = self.cluster.create_user('engine-other')
        with open(other.keyring) as keyring:
            text = keyring.read()
        directory = self.useFixture(daemon.Directory()).path
        forged = os.path.join(directory, 'keyring')
        with open(forged, 'w') as keyring:
            keyring.write(text.replace('engine-other', 'nova'))
        run = self.export('any', '--keyring=' + forged)
        self.assert_failed(run, 'key_rejected', 18)
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
        self.assertLess(run.seconds, 60)

    def test_osd_that_hangs(self):
        name = self.create(self.random.randbytes(24 * MiB), features=MAPPED)
        process = self.start_slow(name, '--stall-timeout=3')
        started = time.monotonic()
        self.cluster.osd.pause()
        run = engine.Run(process, started)
        self.assert_failed(run, 'stalled', 6)
        self.assertGreater(run.seconds, 2)
        self.assertLess(run.seconds, 60)

    def test_osd_that_hangs_when_the_image_is_opened(self):
        name = self.create(b'x' * 100)
        self.cluster.osd.pause()
        run = self.export(name, '--stall-timeout=2')
        self.assert_failed(run, 'stalled', 6)
        self.assertLess(run.seconds, 60)

    def test_osd_that_comes_back(self):
        data = self.random.randbytes(16 * MiB)
        name = self.create(data, features=MAPPED)
        process = self.start_slow(name)
        self.cluster.osd.pause()
        time.sleep(2)
        self.cluster.osd.resume()
        self.assert_exported(engine.Run(process, time.monotonic()), data)

    def test_slow_is_no_stall(self):
        data = self.random.randbytes(20 * MiB)
        name = self.create(data, features=MAPPED, order=20)
        # The OSD waits several times for one request.
        self.cluster.slow_down(0.2)
        run = self.export(name, '--stall-timeout=10', '--inflight=1')
        self.assert_exported(run, data)
        self.assertGreater(run.seconds, 10)

    def test_snapshot_removed_meanwhile(self):
        name = self.create(self.random.randbytes(16 * MiB), features=MAPPED)
        process = self.start_slow(name)
        with self.cluster.image(name) as image:
            image.unprotect_snap('snap')
            image.remove_snap('snap')
        self.assert_failed(engine.Run(process, time.monotonic()),
                           'snapshot_removed', 27)

    def test_image_shrunk_meanwhile(self):
        data = self.random.randbytes(16 * MiB)
        name = self.create(data, features=MAPPED)
        process = self.start_slow(name)
        with self.cluster.image(name) as image:
            image.resize(0)
        self.assert_exported(engine.Run(process, time.monotonic()), data)

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
