# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import time
from unittest import mock

import fixtures

from nova.cmd.image_download import download
from nova.cmd.image_download import node_user
from nova.cmd.image_download import service_user
import nova.conf
from nova.image import direct_download
from nova.image import glance
from nova.storage import rbd_transfer
from nova import test
from nova.virt import image_leftovers
from nova.virt import images

CONF = nova.conf.CONF

IMAGE = {'id': '2ab5c1f0-1f4b-4e0c-9a53-6f2b3d9c8e71', 'size': 4,
         'os_hash_algo': 'sha512', 'os_hash_value': '0'}


class WatchedTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.directory, 'image')
        self.download = self.useFixture(fixtures.MockPatchObject(
            glance.API, 'download', side_effect=self._over_http)).mock
        self.settings = []
        self.shown = []

    def _over_http(self, context, image_id, dest_path):
        self.settings.append((CONF.glance.enable_rbd_download,
                              CONF.glance.rbd_download_fallback))
        with open(dest_path, 'w') as f:
            f.write('data')

    def _over_rbd(self, context, image_id, dest_path):
        rbd_transfer.announce(rbd_transfer.Progress(1, 4, 0.1))
        rbd_transfer.announce(object())
        self._over_http(context, image_id, dest_path)
        rbd_transfer.announce(direct_download.Downloaded(
            image_id, rbd_transfer.Result(4, 3, 0.1, None, 'fsid'),
            ('sha512', 'signature')))

    def _fetch(self, method='auto', path=None):
        return download.fetch(
            mock.sentinel.context, IMAGE, path or self.path, method,
            lambda done, total: self.shown.append((done, total)))

    def assertNoTrace(self, files):
        self.assertEqual(files, os.listdir(self.directory))
        self.shown.clear()
        rbd_transfer.announce(rbd_transfer.Progress(1, 4, 0.1))
        self.assertEqual([], self.shown)


class FetchTestCase(WatchedTestCase):

    def test_http(self):
        outcome = self._fetch()
        self.assertEqual(('http', 4, None, 'sha512'), (
            outcome.method, outcome.size, outcome.data_bytes,
            outcome.verified))
        self.assertNoTrace(['image'])

    def test_rbd(self):
        self.download.side_effect = self._over_rbd
        outcome = self._fetch()
        self.assertEqual(('rbd', 4, 3, 'sha512 and signature'), (
            outcome.method, outcome.size, outcome.data_bytes,
            outcome.verified))
        self.assertIn((1, 4), self.shown)
        self.assertEqual(4, outcome.progress[-1][1])
        self.assertGreater(outcome.rate, 0)
        self.assertNoTrace(['image'])

    def test_ways(self):
        self.flags(enable_rbd_download=True, rbd_download_fallback=True,
                   group='glance')
        for method in ('auto', 'rbd', 'http'):
            self._fetch(method)
        self.assertEqual([(True, True), (True, False), (False, True)],
                         self.settings)
        self.assertTrue(CONF.glance.enable_rbd_download)
        self.assertTrue(CONF.glance.rbd_download_fallback)

    def test_failure_leaves_nothing(self):
        for error in (ValueError, KeyboardInterrupt):

            def fail(context, image_id, dest_path):
                self._over_http(context, image_id, dest_path)
                raise error()

            self.download.side_effect = fail
            self.assertRaises(error, self._fetch, 'rbd')
            self.assertNoTrace([])
            self.assertFalse(CONF.glance.enable_rbd_download)

    def test_no_regular_file(self):
        self.assertRaises(service_user.OperatorError, self._fetch,
                          path=self.directory)
        os.symlink('/nowhere', self.path)
        self.assertRaises(service_user.OperatorError, self._fetch)
        self.download.assert_not_called()

    def test_no_directory(self):
        self.assertRaises(service_user.OperatorError, self._fetch,
                          path='/nowhere/image')

    def test_growing_file_is_watched(self):
        def slowly(context, image_id, dest_path):
            with open(dest_path, 'w', buffering=1) as f:
                f.write('da\n')
                end = time.monotonic() + 10
                while not self.shown and time.monotonic() < end:
                    time.sleep(0.05)

        self.download.side_effect = slowly
        self._fetch()
        self.assertEqual((3, 4), self.shown[0])

    def test_unverified(self):
        outcome = download.fetch(
            mock.sentinel.context, {'id': '1'}, self.path, 'auto')
        self.assertEqual('unverified', outcome.verified)
        outcome = download.fetch(
            mock.sentinel.context, {'id': '1', 'checksum': '0'}, self.path,
            'auto')
        self.assertEqual('md5', outcome.verified)


class PrecacheTestCase(WatchedTestCase):

    def setUp(self):
        super().setUp()
        self.flags(instances_path=self.directory)
        self.path = service_user.cache_path(IMAGE['id'])
        self.fetched = self.useFixture(fixtures.MockPatchObject(
            images, 'fetch_to_raw', side_effect=self._over_http)).mock

    def _precache(self):
        return download.precache(mock.sentinel.context, IMAGE)

    def test_fetched(self):
        self.assertEqual('http', self._precache().method)
        self.fetched.assert_called_once_with(mock.sentinel.context,
                                             IMAGE['id'], self.path)
        self.assertNoTrace(['_base'])

    def test_somebody_else_fetched_it(self):
        def wait(*args):
            self._over_http(*args)
            return False

        self.fetched.side_effect = wait
        self.assertEqual('', self._precache().method)

    def test_there_already(self):
        self._precache()
        os.utime(self.path, (1, 1))
        self.assertEqual('', self._precache().method)
        self.assertEqual(1, self.fetched.call_count)
        self.assertGreater(os.stat(self.path).st_mtime, 1)

    def test_there_already_and_not_ours(self):
        self._precache()
        with mock.patch('os.utime', side_effect=PermissionError):
            self.assertEqual('', self._precache().method)

    def test_files_of_another_user(self):
        with mock.patch.object(node_user, 'doubt',
                               return_value=('who?', 'be another')):
            error = self.assertRaises(service_user.OperatorError,
                                      self._precache)
        self.assertEqual('be another', error.remedy)
        self.fetched.assert_not_called()

    def test_modes_do_not_depend_on_the_shell(self):
        self.addCleanup(os.umask, os.umask(0o077))
        self._precache()
        self.assertEqual(0o644, os.stat(self.path).st_mode & 0o777)
        self.assertEqual(0o077, os.umask(0o077))

    def test_leftovers_are_reclaimed(self):
        with image_leftovers.workspace(self.directory) as path:
            kept = path + '.kept'
            shutil.copytree(path, kept)
        self.assertEqual([os.path.basename(kept)],
                         os.listdir(self.directory))
        self._precache()
        self.assertNoTrace(['_base'])

    def test_no_directory(self):
        self.flags(instances_path='/nowhere')
        self.assertRaises(service_user.OperatorError, self._precache)
