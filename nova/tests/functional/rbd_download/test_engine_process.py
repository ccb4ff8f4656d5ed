# SPDX-License-Identifier: Apache-2.0

"""The export engine as a process."""

import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from oslo_serialization import jsonutils

from nova.tests.functional.rbd_download import engine
from nova.tests.testbed import daemon

KiB = engine.KiB
MiB = engine.MiB
MAPPED = engine.MAPPED


class ProcessTestCase(engine.EngineTestCase):

    def test_signals(self):
        name = self.create(self.random.randbytes(32 * MiB), features=MAPPED)
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.start_slow(name, rate=MiB)
            started = time.monotonic()
            process.send_signal(number)
            run = engine.Run(process, started)
            self.assertEqual(128 + number, run.code)
            self.assertEqual('interrupted', run.final['code'])
            # And not when the copy is done, after half a minute.
            self.assertLess(run.seconds, 20)
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
        run = engine.Run(process, started)
        self.assertEqual(143, run.code)
        self.assertLess(run.seconds, 30)

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
        daemon.wait_for(lambda: 'progress' in daemon.tail(log), 'progress', 60)
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
        daemon.wait_for(lambda: not self._is_running(child), 'the end', 60)
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
        daemon.wait_for(lambda: not self._is_running(child), 'the end', 90)
        with open(self.dest, 'rb') as made:
            self.assertEqual(data, made.read())

    def test_nobody_listens(self):
        name = self.create(self.random.randbytes(32 * MiB), features=MAPPED)
        process = self.start_slow(name)
        process.stdout.close()
        self.assertEqual(14, process.wait(60))
        self.assert_nothing_left()

    def test_two_at_once(self):
        data = self.random.randbytes(8 * MiB)
        name = self.create(data, features=MAPPED)
        processes = [self.start_slow(name) for _ in range(2)]
        runs = [engine.Run(p, time.monotonic()) for p in processes]
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
            self.assertIn(event['event'], engine.SIGNS_OF_LIFE)
            if event['event'] != 'progress':
                continue
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
        moving = [e for e in run.events[:-1]
                  if 0 < e.get('bytes', 0) < len(data)]
        first, last = moving[0], moving[-1]
        actual = ((last['bytes'] - first['bytes']) /
                  (last['seconds'] - first['seconds']))
        self.assertLess(actual, rate * 1.05)
        # Less than that is what a busy machine may make of it.
        self.assertGreater(actual, rate * 0.5)

    def test_rate_counts_no_holes(self):
        name = self.create(None, size=400 * MiB, features=MAPPED)
        run = self.export(name, '--max-rate=%d' % MiB)
        self.assert_exported(run, bytes(400 * MiB))
        # It would be 400.
        self.assertLess(run.seconds, 100)

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
        command = [sys.executable, '-I', '-S', engine.ENGINE, '--json',
                   '--probe']
        run = engine.Run(subprocess.Popen(command, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE), time.monotonic())
        self.assert_failed(run, 'bindings', 10)
        for package in ('python3-rados', 'python3-rbd'):
            self.assertIn(package, run.final['remedy'])

    def test_as_a_module(self):
        done = subprocess.run(
            [sys.executable, '-m', 'nova.storage.rbd_export', '--help'],
            capture_output=True, text=True, cwd=os.path.dirname(
                os.path.dirname(os.path.dirname(engine.ENGINE))))
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertIn('exit codes', done.stdout)
