# SPDX-License-Identifier: Apache-2.0

from suites import upstream_run
from tools.tests import upstream_case
from tools.tests.upstream_case import DIE
from tools.tests.upstream_case import FAIL
from tools.tests.upstream_case import HANG
from tools.tests.upstream_case import NAME
from tools.tests.upstream_case import PASS
from tools.tests.upstream_case import SKIP
from tools.tests.upstream_case import SKIPPED


class RunTest(upstream_case.RunCase):

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
        self.patch(upstream_run, 'SECONDS_OF_SILENCE', 8)
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
        self.patch(upstream_case, 'TOP', 'import testscenarios\n'
                   'class Test(testscenarios.TestWithScenarios):\n'
                   '    scenarios = [("one", {"n": 1}), ("two", {"n": 2})]\n'
                   '    def test_n(self): self.assertEqual(1, self.n)\n')
        run = self.run_on(PASS)
        self.assertEqual(
            {NAME + 'n(one)': 'passed', NAME + 'n(two)': 'failed',
             NAME + 'pass(one)': 'passed', NAME + 'pass(two)': 'passed'},
            {test: outcome for test, (outcome, _) in run.outcomes.items()})
        again = upstream_run.Run(
            self.made, 'threading', ['nova.tests.unit.test_a'],
            [NAME + 'n(two)']).run()
        self.assertEqual('failed', again.outcomes[NAME + 'n(two)'][0])
        self.assertNotIn(NAME + 'n', again.outcomes)

    def test_module_is_skipped(self):
        self.patch(upstream_case, 'TOP', 'import unittest\n'
                   'raise unittest.SkipTest("no driver")\n')
        run = self.run_on()
        self.assertEqual({'nova.tests.unit.test_a': ('skipped', '')},
                         run.outcomes)

    def test_no_stestr(self):
        self.patch(upstream_run, 'LOADER', self.root / 'nowhere')
        self.assertRaises(upstream_run.RunFailed, self.run_on, PASS)
