# SPDX-License-Identifier: Apache-2.0

import pathlib
import shutil
import signal
import subprocess
import sys
import time

import fixtures
import testtools

from tools.tests import small_checkout

CHECKOUT = small_checkout.CHECKOUT
PASS = 'def test_pass(self): pass\n'
SKIP = 'def test_skip(self): self.skipTest("no cluster here")\n'
FAIL = 'def test_fail(self): self.assertEqual("this", "that")\n'
DIE = 'def test_die(self): import os; os._exit(3)\n'
HANG = 'def test_hang(self): import time; time.sleep(60)\n'


class RunTestsTest(testtools.TestCase):
    """The program in a checkout of its own, with tests made for it."""

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        shutil.copytree(CHECKOUT / 'tools' / 'lib',
                        self.root / 'tools' / 'lib',
                        ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(CHECKOUT / 'tools' / 'run_tests.py', self.root / 'tools')
        shutil.copy(CHECKOUT / '.stestr.conf', self.root)
        # Enough of a nova for the names and for the check that it is one.
        for path in ('hacking', 'tests/fixtures', 'tests/unit',
                     'tests/functional'):
            (self.root / 'nova' / path).mkdir(parents=True)
            (self.root / 'nova' / path / '__init__.py').touch()
        for path in ('', 'tests'):
            (self.root / 'nova' / path / '__init__.py').touch()
        (self.root / 'tools' / 'tests').mkdir()

    def write(self, path, *methods, imports=''):
        (self.root / path).write_text(
            'import unittest\n%s\nclass Test(unittest.TestCase):\n    %s' % (
                imports, '    '.join(methods)))

    def command(self, *args):
        return [sys.executable, str(self.root / 'tools' / 'run_tests.py')
                ] + list(args)

    def run_tests(self, *args):
        run = subprocess.run(self.command(*args), cwd='/',
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        return run.returncode, run.stdout

    def assert_ends(self, line, output):
        self.assertEqual(line, output.splitlines()[-1], output)
        self.assertEqual(1, output.count(line), output)

    def test_all_pass_in_both_modes(self):
        self.write('nova/tests/unit/test_a.py', PASS)
        self.write('tools/tests/test_b.py', PASS)
        code, output = self.run_tests()
        self.assertEqual(0, code, output)
        self.assert_ends('3 passed, 0 failed, 0 skipped', output)
        for suite in ('unit-threading', 'unit-eventlet', 'tools'):
            self.assertRegex(output, r'(?m)^\| %s +\| +1 \| +0 \| +0 '
                             % suite)

    def test_the_modes_differ(self):
        self.write('nova/tests/unit/test_a.py',
                   'def test_a(self): self.assertEqual("true", '
                   'os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"])\n',
                   imports='import os')
        code, output = self.run_tests('unit')
        self.assertEqual(1, code, output)
        self.assert_ends('1 passed, 1 failed, 0 skipped', output)
        self.assertIn('unit-eventlet: FAILED', output)

    def test_failure_is_shown(self):
        self.write('tools/tests/test_b.py', PASS, FAIL, SKIP)
        code, output = self.run_tests('tools')
        self.assertEqual(1, code, output)
        self.assert_ends('1 passed, 1 failed, 1 skipped', output)
        self.assertIn('tools: FAILED tools.tests.test_b.Test.test_fail',
                      output)
        self.assertIn("'this' != 'that'", output)
        self.assertIn('no cluster here', output)

    def test_skipped_functional(self):
        self.write('nova/tests/functional/test_c.py', PASS, SKIP)
        code, output = self.run_tests('functional-threading')
        self.assertEqual(0, code, output)
        self.assert_ends('1 passed, 0 failed, 1 skipped', output)
        code, output = self.run_tests('functional-threading',
                                      '--fail-skipped')
        self.assertEqual(1, code, output)
        self.assert_ends('1 passed, 1 failed, 0 skipped', output)
        self.assertIn('no cluster here', output)

    def test_boot_suites_and_functional_ones_are_apart(self):
        boot = 'nova/tests/functional/rbd_boot'
        (self.root / boot).mkdir()
        (self.root / boot / '__init__.py').touch()
        for path in ('test_core.py', 'test_more.py'):
            self.write('%s/%s' % (boot, path), PASS, SKIP)
        self.write('nova/tests/functional/test_c.py', PASS)
        for suite, line in (
            ('functional-threading', '1 passed, 0 failed, 0 skipped'),
            ('boot-core', '1 passed, 1 failed, 0 skipped'),
            ('boot-eventlet', '2 passed, 2 failed, 0 skipped'),
        ):
            code, output = self.run_tests(suite, '--fail-skipped')
            self.assert_ends(line, output)

    def test_upstream_in_both_modes(self):
        # The real program has tests of its own.
        (self.root / 'tools/lib/suites/upstream_tests.py').write_text(
            'import os, subunit, sys\n'
            'stream = subunit.StreamResultToBytes(sys.stdout.buffer)\n'
            'for status in ("success", "xfail", "fail"):\n'
            '    stream.status(test_id=" ".join(sys.argv[1:4]) + status,\n'
            '                  test_status=status)\n'
            'open(os.environ["NOVA_RBD_COUNT"], "w").write("3")\n')
        code, output = self.run_tests('upstream', '--filter', 'x')
        self.assertEqual(1, code, output)
        self.assert_ends('4 passed, 2 failed, 0 skipped', output)
        for mode in ('threading', 'eventlet'):
            self.assertIn('upstream-%s: FAILED ci --mode %sfail' % (
                mode, mode), output)

    def test_upstream_cannot_be_run(self):
        code, output = self.run_tests('upstream-threading')
        self.assertEqual(1, code, output)
        self.assertIn('upstream_tests ended with status 2', output)

    def test_module_does_not_import(self):
        self.write('tools/tests/test_a.py', PASS)
        self.write('tools/tests/test_b.py', PASS, imports='import no_such')
        code, output = self.run_tests('tools')
        self.assertEqual(1, code, output)
        self.assert_ends('1 passed, 1 failed, 0 skipped', output)
        self.assertIn('no_such', output)

    def test_worker_dies(self):
        self.write('tools/tests/test_a.py', DIE, PASS)
        code, output = self.run_tests('tools')
        self.assertEqual(1, code, output)
        self.assertIn('test_die', output)
        self.assertIn('The worker ended', output)

    def test_no_test_at_all(self):
        code, output = self.run_tests('tools')
        self.assertEqual(1, code, output)
        self.assert_ends('0 passed, 1 failed, 0 skipped', output)

    def test_worker_ends_early_without_a_word(self):
        # Status 0, and no test of it failed.
        self.write('tools/tests/test_a.py', PASS)
        self.write('tools/tests/test_b.py', PASS,
                   imports='def setUpModule():\n'
                   '    import os; os._exit(0)\n')
        code, output = self.run_tests('tools')
        self.assertEqual(1, code, output)
        self.assertIn('1 of 2 tests ran', output)
        self.assert_ends('1 passed, 1 failed, 0 skipped', output)

    def test_class_that_is_skipped_as_a_whole(self):
        self.write('tools/tests/test_a.py', PASS, FAIL,
                   '@classmethod\n    def setUpClass(cls): '
                   'raise unittest.SkipTest("no cluster here")\n')
        code, output = self.run_tests('tools')
        self.assertEqual(0, code, output)
        self.assert_ends('0 passed, 0 failed, 1 skipped', output)

    def test_filter(self):
        self.write('tools/tests/test_a.py', PASS, FAIL)
        code, output = self.run_tests('tools', '--filter', 'test_pass')
        self.assertEqual(0, code, output)
        self.assert_ends('1 passed, 0 failed, 0 skipped', output)

    def test_filter_and_a_module_that_does_not_import(self):
        self.write('tools/tests/test_a.py', PASS)
        self.write('tools/tests/test_b.py', PASS, imports='import no_such')
        code, output = self.run_tests('tools', '--filter', 'test_a')
        self.assertEqual(1, code, output)
        self.assert_ends('0 passed, 1 failed, 0 skipped', output)

    def test_not_the_development_tree(self):
        shutil.rmtree(self.root / 'nova' / 'hacking')
        self.write('nova/tests/unit/test_a.py', PASS)
        code, output = self.run_tests('unit-threading')
        self.assertEqual(1, code, output)
        self.assertIn('pip install -e', output)

    def test_interrupted(self):
        self.write('tools/tests/test_a.py', HANG)
        for number in (signal.SIGTERM, signal.SIGINT):
            run = subprocess.Popen(self.command('tools'),
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
            time.sleep(3)
            run.send_signal(number)
            output, _ = run.communicate(timeout=25)
            self.assertEqual(130, run.returncode, output)
            self.assertEqual([], self.processes(), output)

    def processes(self):
        """Command lines that name our directory."""
        found = []
        for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
            try:
                if str(self.root).encode() in path.read_bytes():
                    found.append(path)
            except OSError:
                pass
        return found

    def test_unknown_suite(self):
        code, output = self.run_tests('everything')
        self.assertEqual(2, code, output)
