# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import sys
import threading
from unittest import mock

from nova import release_compat
from nova import service_auth
from nova import test
from nova import utils

GROUP = 'service_user'

# A process as nova-compute of a release without a mode of native threads:
# the whole of it is patched before anything else is imported.
PATCHED = '''
import eventlet
eventlet.monkey_patch()
import threading
from nova import release_compat
from nova import utils
if hasattr(utils, 'concurrency_mode_threading'):
    del utils.concurrency_mode_threading
assert not release_compat.threading_mode()
native = eventlet.patcher.original('threading').get_ident
here = native()
assert release_compat.off_hub(native) != here
assert release_compat.off_hub(lambda a, b: a + b, 1, b=2) == 3

class Target:
    def thread(self):
        return native()

assert release_compat.proxy(Target()).thread() != here
'''


class ModeTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.threads = []

    def _blocks(self, *args, **kwargs):
        self.threads.append(threading.get_native_id())
        return args, kwargs

    def test_off_hub(self):
        self.assertEqual(((1,), {'b': 2}),
                         release_compat.off_hub(self._blocks, 1, b=2))
        self.assertEqual(release_compat.threading_mode(),
                         self.threads == [threading.get_native_id()])

    def test_off_hub_raises(self):
        self.assertRaises(ZeroDivisionError, release_compat.off_hub, divmod,
                          1, 0)

    def test_proxy(self):
        target = mock.Mock(spec_set=['run'])
        target.run = self._blocks
        wrapped = release_compat.proxy(target)
        self.assertEqual(((1,), {}), wrapped.run(1))
        self.assertEqual(release_compat.threading_mode(),
                         self.threads == [threading.get_native_id()])
        self.assertEqual(release_compat.threading_mode(), wrapped is target)

    def test_mode_is_upstreams(self):
        if not hasattr(utils, 'concurrency_mode_threading'):
            self.skipTest('This release has eventlet only.')
        for mode in (True, False):
            with mock.patch.object(utils, 'concurrency_mode_threading',
                                   return_value=mode):
                self.assertIs(mode, release_compat.threading_mode())

    def test_release_that_does_not_know_its_mode(self):
        environ = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        environ.pop('OS_NOVA_DISABLE_EVENTLET_PATCHING', None)
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', PATCHED], env=environ,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((0, b''), (done.returncode, done.stdout))


class ServiceUserTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        release_compat.reset()
        self.addCleanup(release_compat.reset)
        self.load_auth = self._loading('load_auth_from_conf_options')
        self.load_session = self._loading('load_session_from_conf_options')

    def _loading(self, name):
        patch = mock.patch.object(release_compat.loading, name)
        self.addCleanup(patch.stop)
        return patch.start()

    def _without(self, name):
        """Take a function that only newer releases have from upstream."""
        if hasattr(service_auth, name):
            patch = mock.patch.object(service_auth, name)
            patch.start()
            self.addCleanup(patch.stop)
            delattr(service_auth, name)

    def test_upstreams(self):
        with mock.patch.multiple(
                service_auth, create=True,
                get_service_auth_plugin=mock.DEFAULT,
                get_service_auth_session=mock.DEFAULT) as upstreams:
            self.assertIs(
                upstreams['get_service_auth_plugin'].return_value,
                release_compat.service_user_auth(GROUP))
            self.assertIs(
                upstreams['get_service_auth_session'].return_value,
                release_compat.service_user_session(GROUP, 'auth'))
        upstreams['get_service_auth_session'].assert_called_once_with(
            GROUP, auth='auth')
        self.load_auth.assert_not_called()
        self.load_session.assert_not_called()

    def test_ours(self):
        self._without('get_service_auth_plugin')
        self._without('get_service_auth_session')
        # As often as there is none: an operator may set it up meanwhile.
        self.load_auth.side_effect = [None, 'auth']
        self.assertIsNone(release_compat.service_user_auth(GROUP))
        for _ in range(2):
            self.assertEqual('auth', release_compat.service_user_auth(GROUP))
        self.assertEqual(
            [mock.call(release_compat.CONF, GROUP)] * 2,
            self.load_auth.call_args_list)
        self.assertIs(self.load_session.return_value,
                      release_compat.service_user_session(GROUP, 'auth'))
        self.load_session.assert_called_once_with(
            release_compat.CONF, GROUP, auth='auth')
