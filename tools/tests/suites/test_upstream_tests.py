# SPDX-License-Identifier: Apache-2.0

import contextlib
import io
import json
from unittest import mock

import fixtures
import subunit
import testtools

from environment import wheel_environment
from patchset import upstream_wheel
from suites import upstream_tests
from tools.tests.upstream_case import FAIL
from tools.tests.upstream_case import mended
from tools.tests.upstream_case import NAME
from tools.tests.upstream_case import PASS
from tools.tests.upstream_case import RunCase
from tools.tests.upstream_case import SKIP
from tools.tests.upstream_case import TOP


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
