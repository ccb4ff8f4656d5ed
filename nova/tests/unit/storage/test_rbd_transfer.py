# SPDX-License-Identifier: Apache-2.0

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from unittest import mock

import fixtures
import greenlet

import nova.conf
from nova.storage import circuit_breaker
from nova.storage import rbd_transfer
from nova import test
from nova import utils

CONF = nova.conf.CONF

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'
REAL_ENGINE_PATH = rbd_transfer.engine_path
SOURCE = rbd_transfer.Source('images', 'image', 'snap')

# What every engine of these tests begins with. It plays its part of the
# protocol and has no cluster.
PRELUDE = '''
import json, os, signal, sys, time

def say(event, **facts):
    print(json.dumps(dict(event=event, **facts)), flush=True)

def progress(done=1 << 20):
    say('progress', bytes=done, total=10 << 20, seconds=0.1)

def result(**facts):
    say('result', **dict(dict(
        bytes=10 << 20, data_bytes=4096, hole_bytes=0, allocated_bytes=4096,
        seconds=0.1, digest=None, fsid='%s', pool='images', image='image',
        snap='snap', verified=[]), **facts))

def error(code, exit=1, **facts):
    say('error', **dict(dict(code=code, exit=exit, message='it failed'),
                        **facts))
    sys.exit(exit)
''' % FSID


class Clock:

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class TransferTestCase(test.NoDBTestCase):
    """Plays the engine with scripts, and looks for what it leaves behind."""

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.started = []
        popen = subprocess.Popen

        def recording(*args, **kwargs):
            process = popen(*args, **kwargs)
            self.started.append(process.pid)
            # Where tests run without one themselves, the child shows nothing.
            self.assertEqual(subprocess.DEVNULL, kwargs['stdin'])
            return process

        self.useFixture(fixtures.MonkeyPatch('subprocess.Popen', recording))
        self._patch(GRACE=0.5, TERM_TIMEOUT=0.3, LAST_LOOK=0.3, _python=None,
                    _fsids={}, SYSTEM_PYTHON=sys.executable)
        self.clock = Clock()
        self.breaker = circuit_breaker.CircuitBreaker(self.clock)
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.circuit_breaker.get', lambda key: self.breaker))
        # As long as the slowest machine takes to start a Python.
        self.patient = rbd_transfer.Cluster(connect_timeout=60)
        # 0.1 + 0.1 + GRACE seconds of silence are enough for this one.
        self.impatient = rbd_transfer.Cluster(connect_timeout=0.1)
        if not utils.concurrency_mode_threading():
            # The hub opens its own descriptors when it first runs.
            time.sleep(0.001)
        before = self._resources()
        self.addCleanup(lambda: self.assertEqual(before, self._resources()))

    def _patch(self, **values):
        for name, value in values.items():
            self.useFixture(fixtures.MonkeyPatch(
                'nova.storage.rbd_transfer.' + name, value))

    @staticmethod
    def _resources():
        """Return what a child that is not cleaned up after would add to."""
        descriptors = []
        for entry in os.listdir('/proc/self/fd'):
            try:
                descriptors.append((entry, os.readlink('/proc/self/fd/'
                                                       + entry)))
            except FileNotFoundError:
                # That of the listing itself.
                pass
        children = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/stat' % pid) as stat:
                    fields = stat.read().rpartition(')')[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                children.append(pid)
        return {'descriptors': sorted(descriptors), 'children': children,
                'threads': threading.active_count()}

    def _engine(self, body):
        path = os.path.join(self.directory, 'engine.py')
        with open(path, 'w') as script:
            script.write(PRELUDE + textwrap.dedent(body))
        self._patch(engine_path=lambda: path)

    def _probe(self):
        return rbd_transfer.probe(self.patient)

    def _fail(self, function=None, *args, **kwargs):
        return self.assertRaises(rbd_transfer.TransferError,
                                 function or self._probe, *args, **kwargs)

    def _export(self, **kwargs):
        return rbd_transfer.export(
            SOURCE, os.path.join(self.directory, 'image'), **kwargs)


class CommandTest(TransferTestCase):

    def setUp(self):
        super().setUp()
        self._engine('''
            error('not_found', argv=sys.argv[1:], cwd=os.getcwd(),
                  isolated=sys.flags.isolated, stdin=os.readlink(
                      '/proc/self/fd/0'), fds=sorted(
                      os.listdir('/proc/self/fd'))[:-1])
            ''')

    def _facts(self, function, *args, **kwargs):
        return self._fail(function, *args, **kwargs).facts

    def test_least(self):
        facts = self._facts(self._export)
        self.assertEqual(
            ['--json', '--connect-timeout=5', '--stall-timeout=60',
             '--pool=images', '--image=image', '--snap=snap', '--',
             os.path.join(self.directory, 'image')], facts['argv'])

    def test_most(self):
        self.flags(rbd_user='nova', rbd_ceph_conf='/etc/ceph/images.conf',
                   rbd_connect_timeout=7, rbd_download_stall_timeout=11,
                   rbd_download_inflight=3, rbd_download_max_rate=1 << 20,
                   rbd_read_from_replica='localize', group='glance')
        facts = self._facts(self._export, size=0, digest='sha512:0f',
                            fsid=FSID)
        self.assertEqual(
            ['--json', '--connect-timeout=7', '--id=nova',
             '--conf=/etc/ceph/images.conf', '--stall-timeout=11',
             '--inflight=3', '--max-rate=1048576',
             '--read-from-replica=localize', '--size=0',
             '--digest=sha512:0f', '--fsid=' + FSID, '--pool=images',
             '--image=image', '--snap=snap', '--',
             os.path.join(self.directory, 'image')], facts['argv'])

    def test_probe(self):
        facts = self._facts(rbd_transfer.probe)
        self.assertEqual(['--json', '--connect-timeout=5', '--probe'],
                         facts['argv'])

    def test_no_name_becomes_an_option(self):
        facts = self._facts(
            rbd_transfer.export,
            rbd_transfer.Source('--id=admin', '-c', '--'), '--conf')
        self.assertEqual(
            ['--pool=--id=admin', '--image=-c', '--snap=--', '--',
             os.path.abspath('--conf')], facts['argv'][3:])

    def test_what_the_child_inherits(self):
        with open(os.path.join(self.directory, 'secret'), 'w') as secret:
            os.set_inheritable(secret.fileno(), True)
            facts = self._facts(self._export)
        self.assertEqual(['0', '1', '2'], facts['fds'])
        self.assertEqual('/dev/null', facts['stdin'])
        self.assertEqual('/', facts['cwd'])
        self.assertEqual(1, facts['isolated'])

    def test_argument_that_no_command_line_can_hold(self):
        error = self._fail(rbd_transfer.export,
                           rbd_transfer.Source('a\0b', 'image', 'snap'),
                           '/image')
        self.assertEqual('unexpected', error.code)
        self.assertEqual([], self.started)

    def test_engine_of_this_project(self):
        path = REAL_ENGINE_PATH()
        self.assertTrue(os.path.exists(path))
        self.assertIn('rbd_export', path)

    def test_patience_is_longer_than_the_childs_own(self):
        with mock.patch.object(rbd_transfer, '_Child') as child:
            child.return_value.run.return_value = {
                'bytes': 1, 'data_bytes': 1, 'fsid': FSID}
            rbd_transfer.export(SOURCE, '/image',
                                rbd_transfer.Cluster(connect_timeout=7))
        self.assertEqual(60 + 7 + 0.5, child.call_args.args[2])


class ClusterTest(test.NoDBTestCase):

    def test_of_glance(self):
        self.flags(rbd_user='g', rbd_ceph_conf='/g.conf',
                   rbd_connect_timeout=7, group='glance')
        self.flags(rbd_user='l', images_rbd_ceph_conf='/l.conf',
                   rbd_connect_timeout=9, group='libvirt')
        self.assertEqual(rbd_transfer.Cluster('g', '/g.conf', 7),
                         rbd_transfer.Cluster.of_glance())

    def test_of_libvirt_where_glance_says_nothing(self):
        self.flags(rbd_connect_timeout=0, group='glance')
        self.flags(rbd_user='l', images_rbd_ceph_conf='/l.conf',
                   rbd_connect_timeout=9, group='libvirt')
        self.assertEqual(rbd_transfer.Cluster('l', '/l.conf', 9),
                         rbd_transfer.Cluster.of_glance())

    def test_nothing_is_set(self):
        self.assertEqual(rbd_transfer.Cluster('', '', 5),
                         rbd_transfer.Cluster.of_glance())

    def test_no_endless_wait(self):
        self.assertEqual(5, rbd_transfer.Cluster('u', 'c', -1).connect_timeout)
        self.flags(rbd_connect_timeout=0, group='glance')
        for never in (0, -1):
            self.flags(rbd_connect_timeout=never, group='libvirt')
            self.assertEqual(
                5, rbd_transfer.Cluster.of_glance().connect_timeout)

    def test_breaker_by_the_way_it_is_reached(self):
        self.assertIs(rbd_transfer.Cluster('a', 'b', 1).breaker,
                      rbd_transfer.Cluster('a', 'b', 2).breaker)
        self.assertIsNot(rbd_transfer.Cluster('a', 'b').breaker,
                         rbd_transfer.Cluster('a', 'c').breaker)


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
            error(code, 3, message='cause and cure', needed_bytes=9)
            ''')
        codes = {
            # code: (the local disk's fault, the cluster is away)
            'not_found': (False, False), 'permission': (False, False),
            'connect': (False, True), 'stalled': (False, True),
            'wrong_size': (False, False), 'wrong_digest': (False, False),
            'no_space': (True, False), 'bindings': (False, False),
            'wrong_cluster': (False, False), 'local_file': (True, False),
            'read': (False, False), 'bad_arguments': (False, False),
            'unexpected': (False, False), 'parent_died': (False, False)}
        for code, (local, unreachable) in codes.items():
            self.breaker.succeeded()
            error = self._fail(rbd_transfer.probe,
                               rbd_transfer.Cluster(user=code))
            self.assertEqual(code, error.code)
            self.assertEqual((local, unreachable),
                             (error.local, error.unreachable), code)
            if code != 'bindings':
                self.assertEqual('cause and cure', str(error))
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
        take = rbd_transfer._Child._take_events

        def spy(child, data):
            take(child, data)
            sizes.append(len(child._rest))

        with mock.patch.object(rbd_transfer._Child, '_take_events', spy):
            self.assertEqual(FSID, self._probe())
        self.assertLessEqual(max(sizes), rbd_transfer.LONGEST_LINE)

    def test_huge_stderr(self):
        self._engine('''
            for _ in range(32):
                os.write(2, b'x' * (1 << 20))
            os.write(2, b'\\n\\xff the last words\\n')
            ''')
        with mock.patch.object(rbd_transfer.LOG, 'debug') as debug:
            error = self._fail()
        self.assertEqual('unexpected', error.code)
        self.assertIn('the last words', str(error))
        self.assertLess(len(str(error)), 400)
        written = debug.call_args.args[1]
        self.assertLessEqual(len(written), rbd_transfer.STDERR_TAIL)

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

    def test_killed_by_somebody(self):
        self._engine('''
            progress()
            os.kill(os.getpid(), signal.SIGKILL)
            ''')
        error = self._fail()
        self.assertEqual('unexpected', error.code)
        self.assertIn('status -9', str(error))

    def test_crash_after_the_result(self):
        # As of librbd while the interpreter ends: the file is there.
        self._engine('''
            result()
            os.kill(os.getpid(), signal.SIGABRT)
            ''')
        with mock.patch.object(rbd_transfer.LOG, 'warning') as warning:
            self.assertEqual(FSID, self._probe())
        self.assertIn(-signal.SIGABRT, warning.call_args.args)

    def test_progress_in_the_log(self):
        self._engine('''
            for done in range(3):
                progress(done << 20)
            result()
            ''')
        with mock.patch.object(rbd_transfer.LOG, 'info') as info:
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
        started = time.monotonic()
        error = self._fail(rbd_transfer.probe, self.impatient)
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual('stalled', error.code)
        self.assertIn('no sign of life', str(error))
        self.assertEqual(1, self._ended())

    def test_silence(self):
        self._engine('time.sleep(60)')
        self._assert_stalls()

    def test_silence_after_progress(self):
        self._engine('''
            progress()
            time.sleep(60)
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
            time.sleep(60)
            ''')
        self._assert_stalls()

    def test_it_may_clean_up(self):
        trace = os.path.join(self.directory, 'cleaned up')
        self.impatient = rbd_transfer.Cluster(connect_timeout=0.5)
        self._engine('''
            def clean_up(*_):
                open(%r, 'w').close()
                sys.exit(143)
            signal.signal(signal.SIGTERM, clean_up)
            time.sleep(60)
            ''' % trace)
        self._assert_stalls()
        self.assertTrue(os.path.exists(trace))

    def test_progress_is_a_sign_of_life(self):
        self._engine('''
            for _ in range(9):
                progress()
                time.sleep(0.2)
            result()
            ''')
        # It takes longer than the 1.5 seconds after which silence counts.
        self.assertEqual(FSID, rbd_transfer.probe(
            rbd_transfer.Cluster(connect_timeout=0.5)))

    def _late(self, before):
        # Stopped, or in a greenthread beside one that never yields.
        watch = rbd_transfer._Child._watch

        def late(child, process):
            time.sleep(before)
            child._deadline = time.monotonic() - 1
            return watch(child, process)

        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.rbd_transfer._Child._watch', late))
        return rbd_transfer.probe(self.impatient)

    def test_whoever_was_stopped_looks_first(self):
        self._engine('''
            progress()
            result()
            ''')
        self.assertEqual(FSID, self._late(2))

    def test_stopped_together_with_the_child(self):
        self._engine('''
            time.sleep(0.4)
            progress()
            result()
            ''')
        self._patch(LAST_LOOK=20)
        self.assertEqual(FSID, self._late(0))

    def test_silent_but_for_its_end(self):
        self._engine('''
            os.close(1)
            os.close(2)
            time.sleep(60)
            ''')
        error = self._fail()
        self.assertEqual('unexpected', error.code)
        self.assertIn('status -15 and no result', str(error))
        self.assertEqual(1, self._ended())

    def test_lives_on_after_the_result(self):
        for close in ('pass', 'os.close(1)', 'os.close(1); os.close(2)'):
            self._engine('''
                result()
                %s
                time.sleep(60)
                ''' % close)
            started = time.monotonic()
            self.assertEqual(FSID, self._probe())
            self.assertLess(time.monotonic() - started, 10, close)
        self.assertEqual(3, self._ended())

    def test_lives_on_after_an_error(self):
        self._engine('''
            say('error', code='not_found', message='gone')
            time.sleep(60)
            ''')
        self.assertEqual('not_found', self._fail().code)
        self.assertEqual(1, self._ended())

    def test_waiter_is_torn_down(self):
        self._engine('''
            progress()
            time.sleep(60)
            ''')
        with mock.patch.object(rbd_transfer._Child, '_take_event',
                               side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, self._probe)
        self.assertEqual(1, self._ended())

    def test_greenthread_is_killed(self):
        if utils.concurrency_mode_threading():
            self.skipTest('There are no greenthreads.')
        self._engine('time.sleep(60)')
        waiter = utils.get_eventlet().spawn(self._probe)
        while not self.started:
            time.sleep(0.01)
        time.sleep(0.01)
        waiter.kill()
        # It cleans up on its way out.
        self.assertRaises(greenlet.GreenletExit, waiter.wait)
        self.assertEqual(1, self._ended())

    def test_cannot_be_watched(self):
        self._engine('time.sleep(60)')
        with mock.patch.object(rbd_transfer.selectors, 'DefaultSelector',
                               side_effect=OSError(24, 'Too many')):
            error = self._fail()
        self.assertEqual('unexpected', error.code)
        self._ended()

    def test_hangs_in_the_kernel(self):
        # Nothing else can show this one.
        process = mock.Mock(pid=4711)
        process.wait.side_effect = subprocess.TimeoutExpired('engine', 1)
        with mock.patch.object(rbd_transfer.LOG, 'error') as log:
            self.assertIsNone(rbd_transfer._Child._end(process, 0))
        self.assertIn(4711, log.call_args.args)
        process.kill.assert_called_once_with()
        process.stdout.close.assert_called_once_with()
        process.stderr.close.assert_called_once_with()


class HubTest(TransferTestCase):

    def test_others_go_on_while_the_child_runs(self):
        self._engine('''
            for _ in range(5):
                time.sleep(0.1)
                progress()
            os.write(2, b'x' * 300000)
            result()
            os.close(1)
            os.close(2)
            time.sleep(0.1)
            ''')
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(time.monotonic())
                time.sleep(0.01)

        # A greenthread where threads are patched.
        ticker = threading.Thread(target=tick)
        ticker.start()
        self._export()
        stop.set()
        ticker.join()
        # About 60 where nothing else runs.
        self.assertGreater(len(ticks), 15)

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


class InterpreterTest(TransferTestCase):
    """Which Python runs the engine."""

    def setUp(self):
        super().setUp()
        self.novas = self._link('novas')
        self.systems = self._link('systems')
        self.useFixture(fixtures.MonkeyPatch('sys.executable', self.novas))
        self._patch(SYSTEM_PYTHON=self.systems)

    def _link(self, name):
        path = os.path.join(self.directory, name)
        os.symlink(os.path.realpath(sys.executable), path)
        return path

    def _bindings_in(self, *pythons, without="error('bindings', 10)"):
        self._engine('''
            if sys.executable in %r:
                result()
            else:
                %s
            ''' % (pythons, without))

    def test_novas_own_comes_first(self):
        self._bindings_in(self.novas, self.systems)
        self.assertEqual(FSID, self._probe())
        self.assertEqual(self.novas, rbd_transfer._python)
        self.assertEqual(1, len(self.started))

    def test_systems_if_novas_has_none(self):
        self._bindings_in(self.systems)
        self.assertEqual(FSID, self._probe())
        self.assertEqual(2, len(self.started))
        # From now on it is known.
        self.assertEqual(FSID, self._probe())
        self.assertEqual(3, len(self.started))

    def test_exit_status_alone_tells_it_too(self):
        self._bindings_in(self.systems, without='sys.exit(10)')
        self.assertEqual(FSID, self._probe())

    def test_bindings_move(self):
        self._bindings_in(self.systems)
        self._probe()
        self._bindings_in(self.novas)
        self.assertEqual(FSID, self._probe())
        self.assertEqual(self.novas, rbd_transfer._python)

    def test_none_has_them(self):
        self._bindings_in()
        error = self._fail()
        self.assertEqual('bindings', error.code)
        self.assertIn('python3-rados and python3-rbd', str(error))
        self.assertIn(self.novas, str(error))
        self.assertIn(self.systems, str(error))
        self.assertIsNone(rbd_transfer._python)
        # Who installs them need not wait.
        self.assertEqual(0.0, self.breaker.seconds_to_wait())

    def test_they_are_the_same(self):
        self._bindings_in()
        self._patch(SYSTEM_PYTHON=self.novas)
        self.assertIn('(tried %s)' % self.novas, str(self._fail()))
        self.assertEqual(1, len(self.started))

    def test_systems_does_not_exist(self):
        self._bindings_in()
        os.unlink(self.systems)
        self.assertEqual('bindings', self._fail().code)

    def test_novas_does_not_exist(self):
        # As in the middle of an upgrade.
        self._bindings_in(self.systems)
        os.unlink(self.novas)
        self.assertEqual(FSID, self._probe())

    def test_not_executable(self):
        self._bindings_in(self.systems)
        os.unlink(self.novas)
        open(self.novas, 'w').close()
        self.assertEqual(FSID, self._probe())

    def test_unknown(self):
        # As in an embedded interpreter.
        self._bindings_in(self.systems)
        self.useFixture(fixtures.MonkeyPatch('sys.executable', None))
        self.assertEqual(FSID, self._probe())

    def test_no_process_can_be_started(self):
        self._bindings_in(self.novas)
        with mock.patch.object(
                subprocess, 'Popen',
                side_effect=OSError(24, 'Too many open files')):
            error = self._fail()
        self.assertEqual('unexpected', error.code)
        self.assertIn('Too many open files', str(error))

    def test_one_that_cannot_run_the_engine_is_not_preferred(self):
        self._bindings_in(without='''(
                    sys.exit('SyntaxError') if %r == sys.executable
                    else error('bindings', 10))''' % self.systems)
        self.assertEqual('unexpected', self._fail().code)
        self.assertIsNone(rbd_transfer._python)

    def test_an_answer_of_the_cluster_shows_that_it_has_them(self):
        self._engine('''
            error(*(('not_found', 3) if %r == sys.executable
                    else ('bindings', 10)))
            ''' % self.systems)
        self.assertEqual('not_found', self._fail().code)
        self.assertEqual(self.systems, rbd_transfer._python)


class BreakerTest(TransferTestCase):

    def _answers(self, code):
        self._engine("error('%s', 1, message='no monitor answers')" % code)

    def test_opens_if_the_cluster_is_away(self):
        for count, code in enumerate(('connect', 'stalled'), 1):
            self.breaker.succeeded()
            self._answers(code)
            self.assertEqual(code, self._fail().code)
            for _ in range(3):
                error = self._fail()
                self.assertEqual('connect', error.code)
                self.assertIn('no monitor answers', str(error))
                self.assertIn('not tried again for 3', str(error))
            self.assertEqual(count, len(self.started))

    def test_opens_if_the_child_had_to_be_killed(self):
        self._engine('time.sleep(60)')
        error = self._fail(rbd_transfer.probe, self.impatient)
        self.assertEqual('stalled', error.code)
        self.assertIn('no sign of life', str(self._fail()))
        self.assertEqual(1, len(self.started))

    def test_closes_again_by_itself(self):
        self._answers('connect')
        self._fail()
        self._engine('result()')
        self._fail()
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.assertEqual(FSID, self._probe())
        self.assertEqual(FSID, self._probe())
        self.assertEqual(3, len(self.started))

    def test_closes_on_any_answer(self):
        for code in ('not_found', 'permission', 'wrong_cluster',
                     'wrong_size', 'wrong_digest', 'read'):
            self._answers('connect')
            self._fail()
            self.clock.now += circuit_breaker.LONGEST_PAUSE
            self._answers(code)
            self.assertEqual(code, self._fail().code)
            self.assertEqual(code, self._fail().code)
            self.breaker.succeeded()

    def test_stays_open_for_what_says_nothing_about_the_cluster(self):
        for code in ('no_space', 'local_file', 'unexpected',
                     'bad_arguments', 'bindings'):
            self.breaker.succeeded()
            self._answers('connect')
            self._fail()
            self.clock.now += circuit_breaker.FIRST_PAUSE
            self._answers(code)
            self.assertEqual(code, self._fail().code)
            self.assertGreater(self.breaker.seconds_to_wait(), 0, code)

    def test_not_opened_by_faults_of_one_image(self):
        for code in ('not_found', 'permission', 'wrong_digest', 'no_space'):
            self._answers(code)
            for _ in range(2):
                self.assertEqual(code, self._fail().code)


class FsidTest(TransferTestCase):

    def setUp(self):
        super().setUp()
        self._patch(DEFAULT_CEPH_CONF=os.path.join(self.directory, 'conf'))
        self._engine('result()')

    def _count(self):
        self.assertEqual(FSID, rbd_transfer.fsid())
        return len(self.started)

    def test_asked_once(self):
        self.assertEqual(1, self._count())
        self.assertEqual(1, self._count())

    def test_asked_again_if_the_configuration_changes(self):
        self._count()
        with open(rbd_transfer.DEFAULT_CEPH_CONF, 'w') as conf:
            conf.write('[global]\n')
        self.assertEqual(2, self._count())
        os.utime(rbd_transfer.DEFAULT_CEPH_CONF, (1, 1))
        self.assertEqual(3, self._count())
        self.assertEqual(3, self._count())
        self.flags(rbd_user='other', group='glance')
        self.assertEqual(4, self._count())
        self.flags(rbd_ceph_conf='/other', group='glance')
        self.assertEqual(5, self._count())

    def test_asked_again_after_a_while(self):
        # A new cluster may stand behind the same monitors' addresses.
        self._count()
        self._patch(FSID_MAX_AGE=-1)
        self.assertEqual(2, self._count())

    def test_asked_again_after_the_wrong_cluster_answered(self):
        self._count()
        self._engine("error('wrong_cluster', 11)")
        self._fail(self._export)
        self._engine('result()')
        self.assertEqual(3, self._count())

    def test_failure_is_not_remembered(self):
        self._engine("error('permission', 4)")
        self._fail(rbd_transfer.fsid)
        self._engine('result()')
        self.assertEqual(2, self._count())
