# SPDX-License-Identifier: Apache-2.0

"""Which Python runs the engine."""

import os
import subprocess
import sys
from unittest import mock

import fixtures

from nova.storage import export_python
from nova.tests.unit.storage import played_engine

FSID = played_engine.FSID


class InterpreterTest(played_engine.TransferTestCase):
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
        self.assertEqual(self.novas, export_python._python)
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
        self.assertEqual(self.novas, export_python._python)

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
        self.assertEqual('unexpected', error.code)
        self.assertIn('Too many open files', str(error))

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
        self.assertEqual(self.systems, export_python._python)
