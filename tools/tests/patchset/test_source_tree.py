# SPDX-License-Identifier: Apache-2.0

import os
import signal
import stat
import subprocess
import sys
from unittest import mock

import ddt
import testtools

from patchset import command
from patchset import patch_queue
from patchset import source_tree
from tools.tests.tool_case import DIRTY
from tools.tests.tool_case import IMPOSSIBLE
from tools.tests.tool_case import INTERRUPTED
from tools.tests.tool_case import NOT_APPLIED
from tools.tests.tool_case import ToolTestCase


@ddt.ddt
class InterruptedTest(ToolTestCase):
    """At each step of the work: killed, stopped, or out of space."""

    FILES = 4
    KILL = INTERRUPTED % {'what': 'os._exit(9)'}

    def killed(self, command, at):
        run = self.run_tool(command, self.tree, program=(self.KILL, str(at)))
        self.assertEqual(9, run.returncode, run.stderr)

    def test_there_are_that_many_steps(self):
        self.tool('apply', program=(self.KILL, str(self.FILES + 1)))
        self.assert_applied()

    @ddt.data(1, 2, 3, 4)
    def test_apply_killed_then_reverted(self, at):
        self.killed('apply', at)
        self.tool('check', code=DIRTY, said='half way')
        self.tool('revert', said='reverted')
        self.assert_untouched()

    @ddt.data(1, 2, 3, 4)
    def test_apply_killed_then_applied(self, at):
        self.killed('apply', at)
        self.tool('apply', said='applied')
        self.assert_applied()
        self.tool('check')
        self.tool('revert')
        self.assert_untouched()

    @ddt.data(1, 2)
    def test_revert_killed_then_reverted(self, at):
        self.tool('apply')
        self.killed('revert', at)
        self.tool('revert', said='reverted')
        self.assert_untouched()

    @ddt.data(1, 2)
    def test_revert_killed_then_applied(self, at):
        self.tool('apply')
        self.killed('revert', at)
        self.tool('apply', said='applied')
        self.assert_applied()
        self.tool('revert')
        self.assert_untouched()

    @ddt.data(1, 2, 3, 4)
    def test_stopped(self, at):
        for name, code in (('SIGTERM', 143), ('SIGINT', 130)):
            stop = 'os.kill(os.getpid(), signal.%s)' % name
            run = self.run_tool('apply', self.tree, program=(
                INTERRUPTED % {'what': stop}, str(at)))
            self.assertEqual(code, run.returncode, run.stderr)
            self.assert_untouched()

    @ddt.data(1, 2, 3, 4)
    def test_disk_full_or_the_like(self, at):
        fail = 'raise OSError(28, "No space left on device", args[1])'
        self.tool('apply', code=IMPOSSIBLE, said='No space left',
                  program=(INTERRUPTED % {'what': fail}, str(at)))
        self.assert_untouched()

    def test_disk_full_while_staging(self):
        tree = source_tree.Tree(self.tree)
        patchset = patch_queue.Patchset(self.checkout)
        with mock.patch.object(os, 'rename', side_effect=OSError(28, 'full')):
            self.assertRaises(OSError, command.apply, patchset, tree)
        self.assert_untouched()

    def test_killed_while_staging(self):
        # What a run that was killed that early leaves behind.
        left = self.tree / (source_tree.RECORD + '.tmp')
        left.mkdir()
        self.tool('check', code=NOT_APPLIED)
        self.tool('apply')
        self.assertFalse(left.exists())
        self.tool('revert')
        self.assert_untouched()

    @ddt.data(*range(1, 5))
    def test_revert_stopped(self, at):
        for name in ('SIGTERM', 'SIGHUP', 'SIGINT'):
            self.tool('apply')
            stop = 'os.kill(os.getpid(), signal.%s)' % name
            program = (INTERRUPTED % {'what': stop}, str(at))
            if at == 1:
                run = self.run_tool('revert', self.tree, program=program)
                self.assertEqual(128 + getattr(signal, name), run.returncode)
                self.assertIn(b'nothing was changed', run.stderr)
                self.tool('check', said='applied')
            else:
                self.tool('revert', code=DIRTY, program=program,
                          said='left half way, run revert again')
                self.tool('check', code=DIRTY, said='half way')
            self.tool('revert', said='reverted')
            self.assert_untouched()

    @ddt.data(*range(1, 5))
    def test_newer_state_cannot_be_written(self, at):
        self.tool('apply')
        (self.checkout / 'nova/y.py').write_bytes(b'our newer y\n')
        fail = 'raise OSError(28, "No space left on device", args[1])'
        self.tool('apply', code=DIRTY, said='off the tree now',
                  program=(INTERRUPTED % {'what': fail}, str(4 + at)))
        self.assert_untouched()


@ddt.ddt
class ImportTest(ToolTestCase):
    """At each step of the work: the tree can be imported."""

    def setUp(self):
        super().setUp()
        # y.py, replaced, and x.py, patched, import what is new.
        self.tree.joinpath('nova/x.py').write_bytes(b'#1\n#2\n#3\n')
        self.tree.joinpath('nova/y.py').write_bytes(b'y = 0\n')
        for path, text in {
                'nova/y.py': b'from nova.new.deep import z\n',
                'nova/new/deep/z.py': b'z = 1\n',
                'patches/a.patch': (
                    b'Subject: Import it\n\nIt is new.\n\n'
                    b'--- a/nova/x.py\n+++ b/nova/x.py\n@@ -1,3 +1,4 @@\n'
                    b' #1\n #2\n+from nova.new.deep import z\n #3\n'),
        }.items():
            (self.checkout / path).write_bytes(text)
        ini = self.checkout / 'patches/upstream.ini'
        ini.write_text(ini.read_text().replace(
            patch_queue.digest(b'their y\n'), patch_queue.digest(b'y = 0\n')))

    @ddt.data(*range(1, 6))
    def test_killed(self, at):
        kill = (INTERRUPTED % {'what': 'os._exit(9)'}, str(at))
        self.run_tool('apply', self.tree, program=kill)
        self.assert_imports()
        self.tool('apply')
        self.assert_imports()
        self.run_tool('revert', self.tree, program=kill)
        self.assert_imports()

    def assert_imports(self):
        run = subprocess.run(
            [sys.executable, '-B', '-I', '-c', 'import sys; '
             'sys.path.insert(0, sys.argv[1]); import nova.x, nova.y; '
             'sys.exit(not nova.y.__file__.startswith(sys.argv[1]))',
             str(self.tree)], stderr=subprocess.PIPE)
        self.assertEqual(0, run.returncode, run.stderr)


@testtools.skipIf(os.geteuid(), 'only root can be another user')
class RefusedTest(ToolTestCase):
    """What the file system refuses to a user, for real."""

    USER = 65534

    def setUp(self):
        super().setUp()
        self.tree.parent.chmod(0o755)
        for path in (self.tree, *self.tree.rglob('*')):
            os.chown(path, self.USER, self.USER)

    def freeze(self, path):
        """Take the permission to change a directory from its owner."""
        self.frozen = self.tree / path
        self.mode = stat.S_IMODE(self.frozen.stat().st_mode)
        self.frozen.chmod(0o555)

    def test_revert_of_the_last_file(self):
        self.tool('apply')
        self.freeze('nova/new/deep')
        self.tool('revert', code=DIRTY, said=(
            'Permission denied', 'left half way, run revert again'))
        self.assertEqual(b'their y\n', (self.tree / 'nova/y.py').read_bytes())
        self.tool('check', code=DIRTY, said='half way')
        self.frozen.chmod(self.mode)
        self.tool('revert', said='reverted')
        self.assert_untouched()

    def test_revert_of_the_first_file(self):
        self.tool('apply')
        self.freeze('nova')
        self.tool('revert', code=IMPOSSIBLE, said='nothing was changed')
        self.assert_applied()

    def test_apply(self):
        (self.tree / 'nova/tests').mkdir()
        os.chown(self.tree / 'nova/tests', self.USER, self.USER)
        self.freeze('nova/tests')
        self.tool('apply', code=IMPOSSIBLE, said='nothing was changed')
        self.assertFalse((self.tree / 'nova/new').exists())
        self.tool('check', code=NOT_APPLIED)
