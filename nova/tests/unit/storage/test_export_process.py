# SPDX-License-Identifier: Apache-2.0

"""One process of the engine: what it reports, and how it ends."""

import importlib
import os
import signal
import subprocess
import threading
import time
from unittest import mock

import fixtures
import greenlet

from nova import release_compat
from nova.storage import export_process
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer
from nova.tests.unit.storage import played_engine

FSID = played_engine.FSID
TransferTestCase = played_engine.TransferTestCase
# The test case puts something else there.
POPEN = subprocess.Popen


class ProtocolTest(TransferTestCase):

    def test_result(self):
        self._engine('''
            progress()
            result(digest='sha512:0f', bytes=7, data_bytes=5)
            ''')
        result = self._export()
        self.assertEqual(
            (7, 5, 'sha512:0f', FSID),
            (result.size, result.data_bytes, result.digest, result.fsid))
        self.assertGreater(result.seconds, 0)

    def test_result_without_digest(self):
        self._engine('result()')
        self.assertIsNone(self._export().digest)

    def test_probe(self):
        self._engine("say('result', fsid='%s')" % FSID)
        self.assertEqual(FSID, self._probe())

    def test_error_codes(self):
        self._engine('''
            code = next(a for a in sys.argv if a.startswith('--id='))[5:]
            error(code, 3, message='what happened', remedy='to be done',
                  needed_bytes=9)
            ''')
        for code in set(errors.EXIT_CODES) - {'bindings'}:
            self.breaker.succeeded()
            error = self._fail(rbd_transfer.probe,
                               rbd_transfer.Cluster(user=code))
            self.assertEqual(code, error.code)
            self.assertEqual(errors.CAUSES[code].kind, error.kind)
            self.assertEqual('what happened', str(error))
            self.assertEqual('to be done', error.remedy)
            self.assertEqual(9, error.facts['needed_bytes'])

    def test_error_without_facts(self):
        self._engine("say('error')")
        error = self._fail()
        self.assertEqual(('unexpected', 'no message'),
                         (error.code, str(error)))

    def test_other_output_is_passed_over(self):
        self._engine('''
            for line in ('2026-01-01 librados: warning', '{', '[]', 'null',
                         '7', '"event"', '{}', '{"event": []}',
                         '{"event": "other"}', '{"event": "progress"}',
                         '[' * 60000, ''):
                print(line, flush=True)
            sys.stdout.buffer.write(b'\\xff\\xfe\\n')
            result()
            print('and more')
            ''')
        self._patch(LOG_INTERVAL=0)
        self.assertEqual(FSID, self._probe())

    def test_result_in_pieces(self):
        self._engine('''
            import io
            real, sys.stdout = sys.stdout, io.StringIO()
            result()
            text, sys.stdout = sys.stdout.getvalue(), real
            for start in range(0, len(text), 40):
                print(text[start:start + 40], end='', flush=True)
                time.sleep(0.005)
            ''')
        self.assertEqual(FSID, self._probe())

    def test_line_without_end(self):
        self._engine('''
            for _ in range(64):
                sys.stdout.write('x' * (1 << 20))
            print()
            result()
            ''')
        sizes = []
        take = export_process.ExportProcess._take_events

        def spy(child, data):
            take(child, data)
            sizes.append(len(child._rest))

        with mock.patch.object(export_process.ExportProcess, '_take_events',
                               spy):
            self.assertEqual(FSID, self._probe())
        self.assertLessEqual(max(sizes), export_process.LONGEST_LINE)

    def test_huge_stderr(self):
        self._engine('''
            for _ in range(32):
                os.write(2, b'x' * (1 << 20))
            os.write(2, b'\\n\\xff the last words\\n')
            ''')
        with mock.patch.object(export_process.LOG, 'debug') as debug:
            error = self._fail()
        self.assertEqual('unexpected', error.code)
        self.assertIn('the last words', str(error))
        self.assertLess(len(str(error)), 400)
        written = debug.call_args.args[1]
        self.assertLessEqual(len(written), export_process.STDERR_TAIL)

    def test_end_without_result(self):
        self._engine('''
            progress()
            sys.exit('Traceback or the like')
            ''')
        error = self._fail()
        self.assertEqual('unexpected', error.code)
        self.assertIn('status 1 and no result: Traceback or the like',
                      str(error))

    def test_end_without_a_word(self):
        self._engine('pass')
        self.assertIn('status 0 and no result: it wrote nothing',
                      str(self._fail()))

    def test_engine_is_missing(self):
        self._patch(engine_path=lambda: '/nonexistent/engine.py')
        error = self._fail()
        self.assertEqual('unexpected', error.code)
        self.assertIn('/nonexistent/engine.py', str(error))

    def _death(self, number, before='progress()'):
        self._engine('''
            import resource
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            %s
            signal.signal(signal.%s, signal.SIG_DFL)
            os.kill(os.getpid(), signal.%s)
            time.sleep(600)
            ''' % (before, number, number) if number not in (
                'SIGKILL',) else '''
            %s
            os.kill(os.getpid(), signal.SIGKILL)
            ''' % before)
        error = self._fail()
        self.assertIn(number, str(error))
        return error.code

    def test_killed(self):
        self.assertEqual('killed', self._death('SIGKILL'))

    def test_ended_by_a_limit(self):
        self.assertEqual('limits', self._death('SIGXCPU'))

    def test_crash_of_librados_over_its_configuration(self):
        for number in ('SIGABRT', 'SIGSEGV'):
            self.assertEqual('bad_conf', self._death(
                number, "say('phase', phase='reading the configuration')"))
        # The phase is the last one.
        for phase, code in (('connecting', 'bad_conf'),
                            ('opening the image', 'unexpected')):
            self.assertEqual(code, self._death(
                'SIGABRT', "say('phase', phase='reading the configuration'); "
                "say('phase', phase='%s')" % phase))

    def test_crash_names_the_configuration(self):
        self._engine('''
            import resource
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            say('phase', phase='reading the configuration')
            os.abort()
            ''')
        error = self._fail(rbd_transfer.probe, rbd_transfer.Cluster(
            conf='/etc/ceph/odd.conf', connect_timeout=60))
        self.assertIn('over something in /etc/ceph/odd.conf', str(error))
        self.assertIn('ceph.conf', error.remedy)

    def test_crash_after_the_result(self):
        # As of librbd while the interpreter ends: the file is there.
        self._engine('''
            result()
            os.kill(os.getpid(), signal.SIGABRT)
            ''')
        with mock.patch.object(export_process.LOG, 'warning') as warning:
            self.assertEqual(FSID, self._probe())
        self.assertIn(-signal.SIGABRT, warning.call_args.args)

    def test_progress_in_the_log(self):
        self._engine('''
            for done in range(3):
                progress(done << 20)
            result()
            ''')
        with mock.patch.object(export_process.LOG, 'info') as info:
            self._export()
            info.assert_not_called()
            self._patch(LOG_INTERVAL=0)
            self._export()
        self.assertEqual(3, info.call_count)
        told = info.call_args.args[0] % info.call_args.args[1]
        self.assertIn('Reading images/image@snap from RBD: 2 of 10 MiB',
                      told)


class StallTest(TransferTestCase):

    def _ended(self):
        for pid in self.started:
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        return len(self.started)

    def _assert_stalls(self):
        error = self._fail(rbd_transfer.probe, self.impatient)
        self.assertEqual('silent', error.code)
        self.assertIn('no sign of life', str(error))
        self.assertEqual(1, self._ended())

    def test_silence(self):
        self._engine('time.sleep(600)')
        self._assert_stalls()

    def test_silence_after_progress(self):
        self._engine('''
            progress()
            time.sleep(600)
            ''')
        self._assert_stalls()

    def test_stopped(self):
        self._engine('os.kill(os.getpid(), signal.SIGSTOP)')
        self._assert_stalls()

    def test_complaints_are_no_sign_of_life(self):
        self._engine('''
            while True:
                os.write(2, b'still trying\\n')
                time.sleep(0.05)
            ''')
        self._assert_stalls()

    def test_noise_is_no_sign_of_life(self):
        self._engine('''
            while True:
                print('noise', flush=True)
                time.sleep(0.001)
            ''')
        self._assert_stalls()

    def test_deaf_for_sigterm(self):
        self._engine('''
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
            ''')
        self._assert_stalls()

    def test_it_may_clean_up(self):
        ready = os.path.join(self.directory, 'ready')
        trace = os.path.join(self.directory, 'cleaned up')
        self._patch(TERM_TIMEOUT=60)
        self._engine('''
            def clean_up(*_):
                open(%r, 'w').close()
                sys.exit(143)
            signal.signal(signal.SIGTERM, clean_up)
            open(%r, 'w').close()
            time.sleep(600)
            ''' % (trace, ready))

        def until_ready(process):
            while not os.path.exists(ready):
                time.sleep(0.01)

        error = self.assertRaises(rbd_transfer.TransferError, self._late,
                                  until_ready)
        self.assertEqual('silent', error.code)
        self.assertEqual(1, self._ended())
        self.assertTrue(os.path.exists(trace))

    def test_progress_is_a_sign_of_life(self):
        self._engine('''
            for _ in range(5):
                progress()
            result()
            ''')
        # Much time passes after each, and less than makes a silence. All of
        # it together is more.
        clock = mock.Mock(wraps=time)
        passed, alive = [], []
        clock.monotonic = lambda: time.monotonic() + sum(passed)
        take = export_process.ExportProcess._take_event

        def take_and_wait(child, event):
            take(child, event)
            passed.append(child._patience - 60)
            alive.append(child._deadline > clock.monotonic())

        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.export_process.time', clock))
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.export_process.ExportProcess._take_event',
            take_and_wait))
        self.assertEqual(FSID, self._probe())
        self.assertEqual([True] * 5, alive[:5])

    def _late(self, before):
        # Stopped, or in a greenthread beside one that never yields.
        watch = export_process.ExportProcess._watch

        def late(child, process):
            before(process)
            child._deadline = time.monotonic() - 1
            return watch(child, process)

        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.export_process.ExportProcess._watch', late))
        return rbd_transfer.probe(self.impatient)

    def test_whoever_was_stopped_looks_first(self):
        self._engine('''
            progress()
            result()
            ''')
        self.assertEqual(FSID, self._late(lambda process: os.waitid(
            os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)))

    def test_stopped_together_with_the_child(self):
        self._engine('''
            time.sleep(0.4)
            progress()
            result()
            ''')
        self._patch(LAST_LOOK=60)
        self.assertEqual(FSID, self._late(lambda process: None))

    def test_silent_but_for_its_end(self):
        self._engine('''
            os.close(1)
            os.close(2)
            time.sleep(600)
            ''')
        error = self._fail()
        self.assertEqual('silent', error.code)
        self.assertEqual(1, self._ended())

    def test_lives_on_after_the_result(self):
        for close in ('pass', 'os.close(1)', 'os.close(1); os.close(2)'):
            self._engine('''
                result()
                %s
                time.sleep(600)
                ''' % close)
            self.assertEqual(FSID, self._probe())
        self.assertEqual(3, self._ended())

    def test_lives_on_after_an_error(self):
        self._engine('''
            say('error', code='not_found', message='gone')
            time.sleep(600)
            ''')
        self.assertEqual('not_found', self._fail().code)
        self.assertEqual(1, self._ended())

    def test_waiter_is_torn_down(self):
        self._engine('''
            progress()
            time.sleep(600)
            ''')
        with mock.patch.object(export_process.ExportProcess, '_take_event',
                               side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, self._probe)
        self.assertEqual(1, self._ended())

    def test_greenthread_is_killed(self):
        if release_compat.threading_mode():
            self.skipTest('There are no greenthreads.')
        self._engine('time.sleep(600)')
        waiter = importlib.import_module('eventlet').spawn(self._probe)
        while not self.started:
            time.sleep(0.01)
        time.sleep(0.01)
        waiter.kill()
        # It cleans up on its way out.
        self.assertRaises(greenlet.GreenletExit, waiter.wait)
        self.assertEqual(1, self._ended())

    def test_cannot_be_watched(self):
        self._engine('time.sleep(600)')
        with mock.patch.object(export_process.selectors, 'DefaultSelector',
                               side_effect=OSError(24, 'Too many')):
            error = self._fail()
        self.assertEqual('limits', error.code)
        self.assertIn('EMFILE', str(error))
        self._ended()

    def test_hangs_in_the_kernel(self):
        # Nothing else can show this one.
        self._patch(TERM_TIMEOUT=0.01, REAP_TIMEOUT=0.01)
        process = mock.Mock(pid=4711, returncode=None)
        process.poll.return_value = None
        with mock.patch.object(export_process.LOG, 'error') as log:
            self.assertFalse(export_process._end(process, 0))
        self.assertIn(4711, log.call_args.args)
        process.terminate.assert_called_once_with()
        process.kill.assert_called_once_with()
        process.stdout.close.assert_called_once_with()
        process.stderr.close.assert_called_once_with()

    def test_no_timeout_that_raises(self):
        # Under old releases of eventlet its class cannot be named.
        self._engine('time.sleep(600)')
        with mock.patch.object(POPEN, 'wait',
                               side_effect=AssertionError):
            error = self._fail(rbd_transfer.probe, self.impatient)
        self.assertEqual('silent', error.code)
        self._ended()


class HubTest(TransferTestCase):

    def test_others_go_on_while_the_child_runs(self):
        go_on = os.path.join(self.directory, 'go on')
        self._engine('''
            for _ in range(6000):
                time.sleep(0.01)
                progress()
                if os.path.exists(%r):
                    break
            os.write(2, b'x' * 300000)
            result()
            os.close(1)
            os.close(2)
            time.sleep(0.1)
            ''' % go_on)
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(time.monotonic())
                if len(ticks) == 20:
                    open(go_on, 'w').close()
                time.sleep(0.01)

        # A greenthread where threads are patched.
        ticker = threading.Thread(target=tick)
        ticker.start()
        self._export()
        stop.set()
        ticker.join()
        # The child waited for them, and not for a minute.
        self.assertTrue(os.path.exists(go_on))

    def test_several_at_once(self):
        self._engine('''
            time.sleep(0.2)
            result()
            ''')
        results = []
        threads = [threading.Thread(
            target=lambda: results.append(self._export())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(4, len(results))
        self.assertEqual(4, len(set(self.started)))
