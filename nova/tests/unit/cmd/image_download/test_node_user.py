# SPDX-License-Identifier: Apache-2.0

import os
import signal
import sys
from unittest import mock

import fixtures

from nova.cmd.image_download import node_user
from nova import test

OTHER = 4294967290


class NodeUserTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.flags(instances_path=self.directory)
        self.euid = self._patch(os, 'geteuid', return_value=0)

    def _patch(self, *args, **kwargs):
        return self.useFixture(fixtures.MockPatchObject(*args, **kwargs)).mock

    def own(self, uid, gid=0, mode=0o755):
        stat = os.stat_result((mode | 0o040000, 1, 1, 2, uid, gid, 0, 0, 0,
                               0))
        patch = mock.patch.object(node_user.os, 'stat', new=lambda _: stat)
        patch.start()
        self.addCleanup(patch.stop)


class NameTestCase(NodeUserTestCase):

    def test_name(self):
        self.assertEqual('root', node_user.name())
        self.assertEqual(str(OTHER), node_user.name(OTHER))


class RunAsOwnerTestCase(NodeUserTestCase):

    def setUp(self):
        super().setUp()
        self.popen = self._patch(node_user.subprocess, 'Popen')
        self.popen.return_value.wait.return_value = 3
        self.signals = {}
        self._patch(signal, 'signal', side_effect=self.signals.__setitem__)

    def test_root_becomes_the_owner(self):
        self.own(OTHER, 12)
        self.assertEqual(3, node_user.run_as_owner(['check', 'x']))
        self.assertEqual(
            ([sys.executable, '-m', 'nova.cmd.image_download', 'check',
              'x'],), self.popen.call_args[0])
        kwargs = self.popen.call_args[1]
        self.assertEqual((OTHER, 12, [12]), (
            kwargs['user'], kwargs['group'], kwargs['extra_groups']))
        self.assertEqual('/', kwargs['env']['HOME'])

    def test_groups_and_home_of_the_owner(self):
        self.own(OTHER)
        self._patch(node_user.pwd, 'getpwuid', return_value=mock.Mock(
            pw_name='nova', pw_gid=7, pw_dir='/var/lib/nova'))
        self._patch(os, 'getgrouplist', return_value=[7, 8])
        node_user.run_as_owner([])
        kwargs = self.popen.call_args[1]
        self.assertEqual((7, [7, 8], '/var/lib/nova'), (
            kwargs['group'], kwargs['extra_groups'], kwargs['env']['HOME']))

    def test_signals_are_passed_on(self):
        self.own(OTHER)
        self.popen.return_value.wait.return_value = -15
        self.assertEqual(143, node_user.run_as_owner([]))
        self.signals[signal.SIGTERM](15, None)
        self.popen.return_value.send_signal.assert_called_once_with(15)
        self.assertEqual(signal.SIG_IGN, self.signals[signal.SIGINT])

    def test_nothing_to_do(self):
        self.own(0)
        self.assertIsNone(node_user.run_as_owner([]))
        self.own(OTHER)
        self.euid.return_value = 5
        self.assertIsNone(node_user.run_as_owner([]))
        self.popen.assert_not_called()

    def test_no_directory(self):
        self.flags(instances_path='/nowhere')
        self.assertIsNone(node_user.run_as_owner([]))


class DoubtTestCase(NodeUserTestCase):

    def test_none(self):
        self.own(0)
        self.assertEqual(('', ''), node_user.doubt())
        self.own(5)
        self.euid.return_value = 5
        self.assertEqual(('', ''), node_user.doubt())

    def test_no_directory(self):
        self.flags(instances_path='/nowhere')
        self.assertIn('No such file', node_user.doubt()[0])
        self.euid.return_value = 5
        self.assertEqual('', node_user.doubt()[0])

    def test_root_that_cannot_be_the_owner(self):
        self.own(OTHER)
        self.assertIn('sudo -u %d' % OTHER, node_user.doubt()[1])

    def test_directory_of_a_group(self):
        self.own(0, 12346, 0o2770)
        reason, remedy = node_user.doubt()
        self.assertIn('group 12346 may write', reason)
        self.assertNotIn('root', remedy)
        # A member of the group may do what nova-compute does there.
        self.euid.return_value = 5
        self.assertEqual('', node_user.doubt()[0])

    def test_another_user(self):
        self.own(0)
        self.euid.return_value = 5
        self._patch(node_user, 'why_not_writable', return_value='no')
        reason, remedy = node_user.doubt()
        self.assertIn('belongs to root', reason)
        self.assertEqual('run it as the user of nova-compute', remedy)
        self.own(7)
        self.assertIn('sudo -u', node_user.doubt()[1])


class WritableTestCase(NodeUserTestCase):

    def test_nothing_is_left(self):
        self.assertEqual('', node_user.why_not_writable(self.directory))
        self.assertEqual([], os.listdir(self.directory))

    def test_reason(self):
        self.assertIn('(ENOENT)', node_user.why_not_writable('/nowhere'))
