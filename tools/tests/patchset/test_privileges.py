# SPDX-License-Identifier: Apache-2.0

import os

import testtools

from tools.tests.tool_case import IMPOSSIBLE
from tools.tests.tool_case import INTERRUPTED
from tools.tests.tool_case import snapshot
from tools.tests.tool_case import ToolTestCase

USER, OTHER = 65534, 12345


@testtools.skipIf(os.geteuid(), 'only root can be another user')
class OwnerTest(ToolTestCase):
    """Root works on the tree of a user."""

    def setUp(self):
        super().setUp()
        self.tree.parent.chmod(0o755)
        self.give(USER, self.tree, *self.tree.rglob('*'))
        self.before = snapshot(self.tree)

    def give(self, user, *paths):
        for path in paths:
            os.chown(path, user, user)

    def test_there_and_back(self):
        # As of a checkout that only root can read.
        self.checkout.chmod(0o700)
        self.tool('apply', said='2 files changed, 2 added')
        self.assert_applied()
        self.assertEqual({USER}, {path.lstat().st_uid
                                  for path in self.tree.rglob('*')})
        self.tool('check', said='applied')
        self.tool('revert', said='reverted')
        self.assert_untouched()

    def test_whose_work_it_is(self):
        for command in ('apply', 'revert'):
            run = self.run_tool(command, self.tree, program=(
                INTERRUPTED % {'what': 'os._exit(len({*os.getresuid(), '
                               '*os.getresgid(), 65534}) + 40)'}, '1'))
            self.assertEqual(41, run.returncode, run.stderr)
            self.tool('apply')

    def test_link_to_what_is_of_root(self):
        outside = self.tree.parent / 'outside'
        outside.mkdir(mode=0o755)
        (self.tree / 'nova/new').symlink_to(outside)
        self.tool('apply', code=IMPOSSIBLE, said='nothing was changed')
        self.assertEqual([], os.listdir(outside))

    def test_directory_of_yet_another(self):
        self.give(OTHER, self.tree / 'nova')
        self.tool('apply', code=IMPOSSIBLE, said='another user (uid 12345)')
        self.assert_untouched()


@testtools.skipIf(os.geteuid(), 'only root can be another user')
class RootsTreeTest(ToolTestCase):
    """A tree of root that others could exchange."""

    def setUp(self):
        super().setUp()
        self.top = self.tree.parent
        self.top.chmod(0o755)

    def refuse(self, *said):
        for command in ('apply', 'check'):
            self.tool(command, code=IMPOSSIBLE, said=said)
        self.assert_untouched()

    def test_in_a_directory_of_another(self):
        os.chown(self.top, USER, USER)
        self.refuse(str(self.top), 'another user')

    def test_that_all_may_write(self):
        (self.tree / 'nova').chmod(0o777)
        self.before = snapshot(self.tree)
        self.refuse('can be written by other users')
        (self.tree / 'nova').chmod(0o1777)
        self.before = snapshot(self.tree)
        self.tool('apply')

    def test_that_a_group_may_write(self):
        os.chown(self.tree, 0, USER)
        self.tree.chmod(0o775)
        self.refuse('can be written by other users')
        # Debian's /usr/local is root's and of the group staff.
        os.chown(self.tree, 0, 50)
        self.tool('apply')

    def test_file_of_another(self):
        os.chown(self.tree / 'nova/x.py', USER, USER)
        self.tool('apply')
        self.assertEqual(USER, (self.tree / 'nova/x.py').stat().st_uid)
        self.assertEqual(0, (self.tree / 'nova/y.py').stat().st_uid)
        self.tool('revert')
        self.assertEqual(USER, (self.tree / 'nova/x.py').stat().st_uid)
        self.assert_untouched()
