# SPDX-License-Identifier: Apache-2.0

import ast
import contextlib
import io
import json
import os
import pathlib
import sys
import types
from unittest import mock

import fixtures
import subunit
import testtools

from environment import wheel_environment
from patchset import upstream_wheel
from suites import upstream_tests
from tools.tests import small_checkout

CHECKOUT = small_checkout.CHECKOUT
TOP = '''import os, time, unittest
class Test(unittest.TestCase):
'''
PASS = '    def test_pass(self): pass\n'
SKIP = '    def test_skip(self): self.skipTest("not here")\n'
FAIL = '    def test_fail(self): raise ValueError("broken")\n'
DIE = '    def test_die(self): os._exit(3)\n'
HANG = '    def test_hang(self): time.sleep(60)\n'
SKIPPED = '    @classmethod\n' + (
    '    def setUpClass(cls): raise unittest.SkipTest("whole")\n')
NAME = 'nova.tests.unit.test_a.Test.test_'


def mended(text):
    return text.replace('raise ValueError("broken")', 'pass')


class SupersededTest(testtools.TestCase):
    """The list of what this project changes on purpose."""

    def read(self, text):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'list'
        path.write_text(text)
        return upstream_tests.read_superseded(path)

    def test_entry(self):
        self.assertEqual(
            {'a.b.c': ('a.b.c', 'because', 'd.e.f')},
            self.read('# why\n\na.b.c | because | d.e.f\n'))

    def test_not_an_entry(self):
        for text in ('a.b.c\n', 'a | b\n', 'a |  | c\n', 'a | b | c | d\n',
                     'a | b | c\na | b | c\n'):
            self.assertRaises(ValueError, self.read, text)

    def test_each_has_a_replacement_and_is_upstreams(self):
        entries = upstream_tests.read_superseded(upstream_tests.SUPERSEDED)
        self.assertLess(len(entries), 40)
        upstream = upstream_wheel.Wheel(CHECKOUT)
        for entry in entries.values():
            for name, read in ((entry.test, upstream.read),
                               (entry.replacement, self.of_ours)):
                module, test_class, method = name.rsplit('.', 2)
                text = read(module.replace('.', '/') + '.py')
                self.assertIsNotNone(text, name)
                self.assertIn((test_class, method), self.methods_in(text),
                              name)

    @staticmethod
    def of_ours(path):
        path = CHECKOUT / path
        return path.read_bytes() if path.exists() else None

    @staticmethod
    def methods_in(text):
        return [(outer.name, inner.name)
                for outer in ast.parse(text).body
                if isinstance(outer, ast.ClassDef)
                for inner in outer.body if isinstance(inner, ast.FunctionDef)]


class ModulesTest(testtools.TestCase):

    def test_packages_and_modules(self):
        names = ['nova/tests/unit/image/test_b.py', 'nova/image/test_c.py',
                 'nova/tests/unit/image/fake.py',
                 'nova/tests/unit/imagery/test_d.py',
                 'nova/tests/unit/image/deep/test_a.py']
        found = ['nova.tests.unit.image.deep.test_a',
                 'nova.tests.unit.image.test_b']
        self.assertEqual(found, upstream_tests.modules_of(
            names, ['unit.image', 'unit.image.test_b']))
        self.assertEqual(found[1:], upstream_tests.modules_of(
            names, ['unit.image.test_b']))
        self.assertRaises(ValueError, upstream_tests.modules_of, names,
                          ['unit.images'])

    def test_each_suite_is_there(self):
        names = upstream_wheel.Wheel(CHECKOUT).archive.namelist()
        for patterns in [*upstream_tests.SUITES.values(), upstream_tests.CI]:
            for pattern in patterns:
                upstream_tests.modules_of(names, [pattern])


class ComparisonTest(testtools.TestCase):

    def compare(self, ours, theirs, superseded=()):
        def outcomes(given):
            return {test: (outcome, outcome + ' because')
                    for test, outcome in given.items()}
        return upstream_tests.Comparison(outcomes(ours), outcomes(theirs),
                                         superseded)

    def test_each_kind(self):
        compared = self.compare(
            {'a': 'passed', 'b': 'failed', 'c': 'failed', 'd': 'skipped',
             'e': 'passed', 'f': 'failed'},
            {'a': 'passed', 'b': 'failed', 'c': 'passed', 'd': 'skipped',
             'e': 'failed', 'f': 'passed'}, superseded=['f'])
        self.assertEqual(
            {'run': 6, 'passed': 2, 'skipped': 1, 'failed on both': 1,
             'superseded': 1, 'failed on ours only': 1}, compared.counts())
        self.assertEqual({'c': 'failed because'}, compared.ours_only)
        self.assertEqual({'e': 'failed because'}, compared.theirs_only)

    def test_lost_ones(self):
        compared = self.compare({'a': 'skipped'},
                                {'a': 'passed', 'b': 'passed'})
        self.assertEqual({'a': 'is skipped on ours only', 'b': 'is missing'},
                         compared.ours_only)

    def test_list_that_is_not_true(self):
        for here, there in (('passed', 'passed'), ('failed', 'failed'),
                            ('skipped', 'passed')):
            compared = self.compare({'a': here}, {'a': there}, ['a'])
            self.assertEqual(['a'], list(compared.ours_only))
            self.assertEqual([], compared.superseded)


class RunCase(testtools.TestCase):
    """Two directories in place of the environments of two wheels."""

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.patch(upstream_tests, 'BUILD', self.root / 'build')
        self.patch(upstream_tests, 'SUITES', {'a': ['unit.test_a']})
        self.patch(upstream_tests, 'SUPERSEDED', self.root / 'superseded')
        (self.root / 'superseded').write_text('')

    def environment(self, name, text):
        folder = self.root / name / 'nova' / 'tests' / 'unit'
        folder.mkdir(parents=True)
        for path in (folder, *list(folder.parents)[:2]):
            (path / '__init__.py').touch()
        (folder / 'test_a.py').write_text(text)
        return types.SimpleNamespace(
            python=sys.executable, sha256=name, environ=lambda: dict(
                os.environ, PYTHONPATH=str(self.root / name)))

    def run_on(self, *methods, **kwargs):
        self.made = self.environment('one', TOP + ''.join(methods))
        return upstream_tests.Run(
            self.made, 'threading', ['nova.tests.unit.test_a'],
            **kwargs).run()


class RunTest(RunCase):

    def test_outcomes(self):
        run = self.run_on(PASS, SKIP, FAIL)
        self.assertEqual({NAME + 'pass': ('passed', ''),
                          NAME + 'skip': ('skipped', ''),
                          NAME + 'fail': ('failed', 'ValueError: broken')},
                         run.outcomes)
        self.assertIn('Traceback', '\n'.join(run.texts))
        self.assertEqual([], list((self.root / 'build/work').iterdir()))

    def test_chosen(self):
        run = self.run_on(PASS, FAIL, chosen=[NAME + 'pass'])
        self.assertEqual({NAME + 'pass': ('passed', '')}, run.outcomes)

    def test_pattern(self):
        run = self.run_on(PASS, FAIL, pattern='pass$')
        self.assertEqual({NAME + 'pass': ('passed', '')}, run.outcomes)

    def test_mode(self):
        run = self.run_on('    def test_fail(self): raise ValueError(os'
                          '.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"])\n')
        self.assertEqual('ValueError: true', run.outcomes[NAME + 'fail'][1])

    def test_worker_dies(self):
        run = self.run_on(DIE, PASS)
        self.assertEqual('failed', run.outcomes[NAME + 'die'][0])
        # It went with the worker.
        self.assertEqual('failed', run.outcomes[NAME + 'pass'][0])

    def test_hangs(self):
        self.patch(upstream_tests, 'SECONDS_OF_SILENCE', 8)
        run = self.run_on(HANG)
        self.assertEqual('failed', run.outcomes[NAME + 'hang'][0])
        self.assertLess(run.seconds, 60)

    def test_class_is_skipped(self):
        run = self.run_on(SKIPPED, PASS)
        self.assertEqual('skipped', run.outcomes[NAME + 'pass'][0])

    def test_no_import(self):
        run = self.run_on('    import no_such_module\n')
        (outcome, reason), = run.outcomes.values()
        self.assertEqual('failed', outcome)
        self.assertIn('no_such_module', reason)

    def test_scenarios(self):
        self.patch(sys.modules[__name__], 'TOP', 'import testscenarios\n'
                   'class Test(testscenarios.TestWithScenarios):\n'
                   '    scenarios = [("one", {"n": 1}), ("two", {"n": 2})]\n'
                   '    def test_n(self): self.assertEqual(1, self.n)\n')
        run = self.run_on(PASS)
        self.assertEqual(
            {NAME + 'n(one)': 'passed', NAME + 'n(two)': 'failed',
             NAME + 'pass(one)': 'passed', NAME + 'pass(two)': 'passed'},
            {test: outcome for test, (outcome, _) in run.outcomes.items()})
        again = upstream_tests.Run(
            self.made, 'threading', ['nova.tests.unit.test_a'],
            [NAME + 'n(two)']).run()
        self.assertEqual('failed', again.outcomes[NAME + 'n(two)'][0])
        self.assertNotIn(NAME + 'n', again.outcomes)

    def test_module_is_skipped(self):
        self.patch(sys.modules[__name__], 'TOP', 'import unittest\n'
                   'raise unittest.SkipTest("no driver")\n')
        run = self.run_on()
        self.assertEqual({'nova.tests.unit.test_a': ('skipped', '')},
                         run.outcomes)

    def test_no_stestr(self):
        self.patch(upstream_tests, 'LOADER', self.root / 'nowhere')
        self.assertRaises(upstream_tests.RunFailed, self.run_on, PASS)


class ProgramTest(RunCase):
    """The whole command but for the building of wheels."""

    def main(self, ours, theirs, *args, status=0):
        made = [self.environment('ours', TOP + ours),
                self.environment('theirs', TOP + theirs)]
        for environment in made:
            environment.folder = self.root
            environment.link = lambda *args: None
        self.useFixture(fixtures.MockPatchObject(
            wheel_environment, 'build_wheel'))
        self.useFixture(fixtures.MockPatchObject(
            wheel_environment, 'WheelEnvironment', side_effect=made))
        upstream = mock.Mock()
        upstream.archive.namelist.return_value = [
            'nova/tests/unit/test_a.py']
        self.useFixture(fixtures.MockPatchObject(
            upstream_wheel, 'Wheel', return_value=upstream))
        output = io.TextIOWrapper(io.BytesIO())
        with contextlib.redirect_stdout(output):
            code = upstream_tests.main(['--mode', 'threading', 'a', *args])
            output.flush()
        self.output = output.buffer.getvalue()
        self.assertEqual(status, code, self.output)
        return self.output.decode(errors='replace')

    def row(self):
        report = json.loads((self.root / 'build/report.json').read_text())[0]
        return {key: value for key, value in report.items()
                if isinstance(value, int) and value}

    def test_same(self):
        self.main(PASS + FAIL + SKIP, PASS + FAIL + SKIP)
        self.assertEqual({'run': 3, 'passed': 1, 'skipped': 1,
                          'failed on both': 1}, self.row())

    def test_ours_only(self):
        output = self.main(PASS + FAIL, PASS + mended(FAIL), status=1)
        self.assertEqual({'run': 2, 'passed': 1, 'failed on ours only': 1},
                         self.row())
        self.assertIn('failed on ours only: %sfail: ValueError: broken'
                      % NAME, output)

    def test_superseded(self):
        (self.root / 'superseded').write_text('%sfail | meant | x\n' % NAME)
        self.main(PASS + FAIL, PASS + mended(FAIL))
        self.assertEqual({'run': 2, 'passed': 1, 'superseded': 1}, self.row())

    def test_reference_of_what_failed(self):
        (self.root / 'superseded').write_text('%sfail | meant | x\n' % NAME)
        upstream = PASS.replace('pass(', 'other(') + mended(FAIL) + SKIP
        output = self.main(PASS + FAIL + SKIP, upstream,
                           '--reference', 'failed')
        self.assertEqual({'run': 3, 'passed': 1, 'skipped': 1,
                          'superseded': 1}, self.row())
        self.assertNotIn('on upstream:', output)

    def test_superseded_without_such_a_test(self):
        (self.root / 'superseded').write_text('%sgone | why | x\n' % NAME)
        self.main(PASS, PASS, status=1)

    def test_now_and_then(self):
        # Fails the first time and not the second.
        once = FAIL.replace('raise', 'os.path.exists("%s/once") or [open('
                            '"%s/once", "w")] and self.fail("once") #' % (
                                self.root, self.root))
        self.main(once, mended(FAIL))
        self.assertEqual({'run': 1, 'passed': 1}, self.row())

    def test_kept(self):
        self.main(PASS, PASS)
        self.assertIn('kept', self.kept())
        self.assertNotIn('kept', self.kept('--fresh'))
        self.assertNotIn('kept', self.kept('--filter', 'pass'))

    def kept(self, *args):
        for name in ('ours', 'theirs'):
            (self.root / name).rename(self.root / ('%s%d' % (name, len(
                list(self.root.iterdir())))))
        return self.main(PASS, PASS, *args)

    def test_subunit(self):
        count = self.root / 'count'
        self.useFixture(fixtures.EnvironmentVariable('NOVA_RBD_COUNT',
                                                     str(count)))
        (self.root / 'superseded').write_text('%sfail | meant | x\n' % NAME)
        self.main(PASS + SKIP + FAIL + FAIL.replace('_fail', '_bug'),
                  PASS + SKIP + mended(FAIL) + mended(
                      FAIL.replace('_fail', '_bug')), '--subunit')
        seen = {}
        results = testtools.StreamToDict(
            lambda test: seen.update({test['id']: test['status']}))
        results.startTestRun()
        subunit.ByteStreamToStreamResult(io.BytesIO(self.output)).run(results)
        results.stopTestRun()
        self.assertEqual({NAME + 'pass': 'success', NAME + 'fail': 'xfail',
                          NAME + 'bug': 'fail'}, seen)
        self.assertEqual('3', count.read_text())
