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

    def test_before_the_cluster_is_asked(self):
        self.assertIsNone(self.code_after(9))
        self.assertEqual('disk_stalled', self.code_after(2))

    def test_connecting(self):
        self.now += 9
        self.job.enter('connecting', watchdog.MONITORS)
        self.assertIsNone(self.code_after(4))
        self.assertEqual('connect', self.code_after(2))

    def test_name_server(self):
        self.job.facts['mon_host'] = 'a'
        self.job.enter('resolving', watchdog.NAMES)
        self.assertIsNone(self.code_after(4))
        self.assertEqual('name_resolution', self.code_after(2))
        self.assertEqual('a', self.job.overdue().facts['mon_host'])

    def test_opening(self):
        self.job.enter('opening the image', factor=watchdog.OPEN_FACTOR)
        self.assertIsNone(self.code_after(39))
        self.assertEqual('stalled', self.code_after(2))

    def test_copying(self):
        self.job.enter('copying')
        self.job.facts['pool'] = 'images'
        for _ in range(5):
            self.assertIsNone(self.code_after(9))
            self.job.touch()
        self.assertEqual('stalled', self.code_after(10))
        self.assertIn('copying', str(self.job.overdue()))
        self.assertEqual('images', self.job.overdue().facts['pool'])

    def test_a_limit_is_waited_for(self):
        self.job.enter('copying')
        self.job.delay, self.job.note = 20, '; limited'
        self.assertIsNone(self.code_after(29))
        self.assertEqual('stalled', self.code_after(2))
        self.assertIn('limited', str(self.job.overdue()))

    def test_the_disk_is_waited_for(self):
        self.job.enter('copying')
        self.job.waits_for_disk = lambda: True
        self.assertIsNone(self.code_after(39))
        self.assertEqual('disk_stalled', self.code_after(2))

    def test_a_whole_copy_is_not_given_up(self):
        self.job.enter('writing', watchdog.DISK,
                       patience=watchdog.LAST_WRITES)
        self.assertIsNone(self.code_after(3599))
        self.assertEqual('disk_stalled', self.code_after(2))

    def test_phases_are_announced(self):
        self.job.announce = mock.Mock()
        self.job.enter('copying')
        self.job.announce.assert_called_once_with('copying')


class WatchdogTestCase(test.NoDBTestCase):
    """Run in a process of its own: it takes over signals and the exit."""

    def start(self, work, prelude='', patience=60, interval=600):
        program = textwrap.dedent('''
            import os, sys, threading, time
            from rbd_export import errors, report, watchdog
            %s
            job = watchdog.Job(1, %s)
            job.enter('copying')
            job.total = 10
            job.done = lambda: 5
            job.abandon = lambda: sys.stderr.write("abandoned\\n")
            def work():
            %s
            told = report.JsonReport()
            told.interval = %s
            watchdog.leave(watchdog.run(job, work, told, os.getppid()))
            ''') % (textwrap.dedent(prelude), patience,
                   textwrap.indent(work, ' '), interval)
        path = os.path.dirname(os.path.dirname(watchdog.__file__))
        process = subprocess.Popen(
            [sys.executable, '-c', 'import sys; sys.path.insert(0, %r)\n%s'
             % (path, program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def end(self, process):
        out, err = process.communicate(timeout=120)
        events = [jsonutils.loads(line) for line in out.splitlines()]
        return process.returncode, events, err.decode()

    def test_result(self):
        code, events, err = self.end(self.start('return {"fsid": "f"}'))
        self.assertEqual((0, [{'event': 'result', 'fsid': 'f'}], ''),
                         (code, events, err))

    def test_progress(self):
        # Until it was reported three times.
        process = self.start('sys.stdin.readline()\nreturn {}',
                             interval=0)
        for _ in range(3):
            event = jsonutils.loads(process.stdout.readline())
            self.assertEqual(('progress', 5, 10), (
                event['event'], event['bytes'], event['total']))
        process.stdin.write(b'\n')
        code, events, err = self.end(process)
        self.assertEqual((0, 'result'), (code, events[-1]['event']))

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
        self.assertEqual('limits', events[0]['code'])

    def test_stall(self):
        code, events, err = self.end(self.start('time.sleep(600)',
                                                patience=1))
        self.assertEqual((6, 'stalled', 'abandoned\n'),
                         (code, events[-1]['code'], err))

    def test_stall_of_the_disk(self):
        code, events, err = self.end(self.start(
            'job.waits_for_disk = lambda: True\ntime.sleep(600)',
            patience=1))
        self.assertEqual((25, 'disk_stalled', 'abandoned\n'),
                         (code, events[-1]['code'], err))
        self.assertIn('local disk', events[-1]['message'])

    def test_hang_at_the_end_does_not_matter(self):
        # A thread that never ends is what librbd may leave behind.
        code, events, err = self.end(self.start(
            'threading.Thread(target=time.sleep, args=(600,)).start()\n'
            'return {}'))
        self.assertEqual(0, code)

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process = self.start('time.sleep(600)', interval=0)
            process.stdout.readline()
            process.send_signal(number)
            code, events, err = self.end(process)
            self.assertEqual((128 + number, 'interrupted', 'abandoned\n'),
                             (code, events[-1]['code'], err))

    def signal_as_another(self, process, *numbers):
        subprocess.run([sys.executable, '-c', 'import os, sys\n'
                        'for number in sys.argv[2:]:\n'
                        '    os.kill(int(sys.argv[1]), int(number))',
                        str(process.pid), *map(str, numbers)], check=True)

    def test_signals_of_others(self):
        # A service manager signals all processes of a service.
        process = self.start('time.sleep(600)', interval=0)
        process.stdout.readline()
        self.signal_as_another(process, signal.SIGTERM, signal.SIGHUP)
        # It looks at its signals each time before it reports progress.
        for _ in range(4):
            event = jsonutils.loads(process.stdout.readline())
            self.assertEqual('progress', event['event'])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(143, self.end(process)[0])

    def test_signals_by_hand(self):
        process = self.start(
            'time.sleep(600)', interval=0,
            prelude='report.JsonReport.for_programs = False')
        process.stdout.readline()
        self.signal_as_another(process, signal.SIGTERM)
        self.assertEqual(143, self.end(process)[0])

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
