# SPDX-License-Identifier: Apache-2.0

"""Which Python runs the engine."""

import importlib
import os
import subprocess
import sys
from unittest import mock

import fixtures

from nova.storage import export_python
from nova.tests.unit.storage import played_engine

FSID = played_engine.FSID
REAL_BINDING_PATHS = export_python.binding_paths


class InterpreterTest(played_engine.TransferTestCase):
    """Which Python runs the engine."""

    def setUp(self):
        super().setUp()
        self.novas = self._link('novas')
        self.systems = self._link('systems')
        self.useFixture(fixtures.MonkeyPatch('sys.executable', self.novas))
        self._patch(SYSTEM_PYTHON=self.systems, binding_paths=lambda: ())

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
        self.assertEqual((self.novas, ()), export_python._python)
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
        self.assertEqual((self.novas, ()), export_python._python)

    def test_none_has_them(self):
        self._bindings_in()
        error = self._fail()
        self.assertEqual('bindings', error.code)
        self.assertIn('python3-rados and python3-rbd', error.remedy)
        self.assertIn(self.novas, str(error))
        self.assertIn(self.systems, str(error))
        self.assertIsNone(export_python._python)
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
        self.assertEqual('limits', error.code)
        self.assertIn('Too many open files (EMFILE)', str(error))

    def test_one_that_cannot_run_the_engine_is_not_preferred(self):
        self._bindings_in(without='''(
                    sys.exit('SyntaxError') if %r == sys.executable
                    else error('bindings', 10))''' % self.systems)
        self.assertEqual('unexpected', self._fail().code)
        self.assertIsNone(export_python._python)

    def test_an_answer_of_the_cluster_shows_that_it_has_them(self):
        self._engine('''
            error(*(('not_found', 3) if %r == sys.executable
                    else ('bindings', 10)))
            ''' % self.systems)
        self.assertEqual('not_found', self._fail().code)
        self.assertEqual((self.systems, ()), export_python._python)

    def _modules(self):
        """Make modules that only this process finds, as by PYTHONPATH."""
        path = os.path.join(self.directory, 'lib')
        os.mkdir(path)
        for name in ('rados', 'rbd'):
            with open(os.path.join(path, name + '.py'), 'w') as module:
                module.write('HERE = True\n')
        self.useFixture(fixtures.MonkeyPatch('sys.path', [path, *sys.path]))
        modules = mock.patch.dict(sys.modules)
        modules.start()
        self.addCleanup(modules.stop)
        for name in ('rados', 'rbd'):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return path

    def test_where_this_process_finds_them(self):
        path = self._modules()
        self.assertEqual((path,), REAL_BINDING_PATHS())
        self.assertNotIn('rados', sys.modules)

    def test_this_process_has_none(self):
        self.useFixture(fixtures.MockPatch('importlib.util.find_spec',
                                           return_value=None))
        self.assertEqual((), REAL_BINDING_PATHS())

    def test_only_this_process_finds_them(self):
        path = self._modules()
        self._patch(binding_paths=REAL_BINDING_PATHS)
        self._engine('''
            # That of this machine may have some of its own.
            if sys.path[-1] != %r:
                error('bindings', 10)
            import rados, rbd
            if not sys.flags.isolated:
                error('unexpected')
            result(fsid=' '.join(sys.argv[1:]))
            ''' % path)
        said = self._probe()
        self.assertEqual('--json --connect-timeout=60 --probe', said)
        self.assertEqual((self.novas, (path,)), export_python._python)
        started = len(self.started)
        self.assertEqual(said, self._probe())
        self.assertEqual(started + 1, len(self.started))


class InterruptedTest(played_engine.TransferTestCase):

    def _count(self):
        self.engine_log = os.path.join(self.directory, 'runs')
        return '''
            with open(%r, 'a') as log:
                log.write('x')
            runs = os.path.getsize(%r)
            ''' % (self.engine_log, self.engine_log)

    def _runs(self):
        return os.path.getsize(self.engine_log)

    def test_goes_on_after_a_signal_to_all(self):
        for end in ("error('interrupted', 143)",
                    'os.kill(os.getpid(), signal.SIGTERM)'):
            self._engine(self._count() + '''
            if runs %% 2:
                %s
            result()
            ''' % end)
            self.assertEqual(FSID, self._probe())
        self.assertEqual(4, self._runs())

    def test_not_for_ever(self):
        self._engine(self._count() + '''
            error('interrupted', 143)
            ''')
        self.assertEqual('interrupted', self._fail().code)
        self.assertEqual(2, self._runs())
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
