# SPDX-License-Identifier: Apache-2.0

"""The thread that watches over the work."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from unittest import mock

from oslo_serialization import jsonutils

from nova.storage.rbd_export import errors
from nova.storage.rbd_export import watchdog
from nova import test


class JobTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.now = 50.0
        patcher = mock.patch.object(time, 'monotonic', lambda: self.now)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.job = watchdog.Job(3, 10)

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


class WatchdogTestCase(test.NoDBTestCase):
    """Run in a process of its own: it takes over signals and the exit."""

    def start(self, work, prelude='', **kwargs):
        program = textwrap.dedent('''
            import os, sys, threading, time
            from rbd_export import errors, report, watchdog
            %s
            job = watchdog.Job(1, 1)
            job.connected()
            job.enter('copying')
            job.total = 10
            job.done = lambda: 5
            job.abandon = lambda: sys.stderr.write("abandoned\\n")
            def work():
            %s
            told = report.JsonReport()
            told.interval = 0.1
            watchdog.leave(watchdog.run(job, work, told, os.getppid()))
            ''') % (textwrap.dedent(prelude), textwrap.indent(work, ' '))
        path = os.path.dirname(os.path.dirname(watchdog.__file__))
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
