# SPDX-License-Identifier: Apache-2.0

"""Tests of fetching each image once, and durably."""

import errno
import logging
import os
import threading
import time
from unittest import mock

import fixtures
from oslo_utils import fileutils

from nova import exception
from nova.image import lock_wait
from nova import release_compat
from nova.tests.unit.virt import image_cache_case
from nova.virt import image_fetch
from nova.virt import image_locks
from nova.virt import images
from nova.virt.libvirt import imagecache

NAME = image_cache_case.NAME
OTHER = image_cache_case.OTHER


class PassThroughTest(image_cache_case.CacheTestCase):

    def _assert_passed(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.assertEqual('returned',
                         self._fetch()('context', 'image', path, 'certs'))
        self.assertEqual(('context', 'image', path, 'certs'),
                         self.fetches[-1])
        self.assertFalse(os.path.exists(self.locks))

    def test_other_paths(self):
        for path in (os.path.join(self.instances, 'server', 'kernel'),
                     os.path.join(self.instances, 'server', NAME),
                     os.path.join(self.base, 'sub', NAME),
                     self.path + '.part', self.path + '_20', self.path[:-1],
                     os.path.join(self.base, NAME.upper()),
                     os.path.join(self.base, 'swap_512')):
            self._assert_passed(path)

    def test_other_paths_are_fetched_again(self):
        path = os.path.join(self.instances, 'disk')
        self._assert_passed(path)
        self._assert_passed(path)
        self.assertEqual(2, len(self.fetches))

    def test_errors(self):
        self.assertRaises(ZeroDivisionError,
                          self._fetch(fail=ZeroDivisionError()),
                          'context', 'image', os.path.join(self.base, 'x'))

    def test_looks_like_what_it_wraps(self):
        self.assertEqual('fetch', self._fetch().__name__)


class FetchOnceTest(image_cache_case.CacheTestCase):

    def test_missing(self):
        self.assertTrue(self._fetch()('context', 'image', self.path,
                                      trusted_certs='certs'))
        self.assertEqual([('context', 'image', self.path, 'certs')],
                         self.fetches)
        self.assertEqual('whole', self._read(self.path))

    def test_present(self):
        self._write(self.path, data='before')
        self.assertIs(False, self._fetch()('context', 'image', self.path))
        self.assertEqual([], self.fetches)
        self.assertEqual('before', self._read(self.path))

    def test_path_is_written_in_another_way(self):
        for instances in (self.instances + '/', self.instances + '//.'):
            for subdirectory in ('_base', '_base/', './_base'):
                self.flags(instances_path=instances)
                self.flags(subdirectory_name=subdirectory,
                           group='image_cache')
                path = os.path.join(instances, subdirectory, NAME)
                self._fetch()('context', 'image', path)
        self.assertEqual(1, len(self.fetches))

    def test_many_at_once(self):
        fetch = self._fetch(seconds=0.1)
        errors = self._in_threads(
            *[lambda: fetch('context', 'image', self.path)] * 5)
        self.assertEqual([None] * 5, errors)
        self.assertEqual(1, len(self.fetches))
        self.assertEqual('whole', self._read(self.path))

    def test_different_functions_of_one_image(self):
        # As a disk, and as the kernel of another server.
        self._in_threads(
            lambda: self._fetch(seconds=0.1)('context', 'image', self.path),
            lambda: self._fetch(seconds=0.1, staged=True)(
                'context', 'image', self.path))
        self.assertEqual(1, len(self.fetches))

    def test_different_images_do_not_wait_for_each_other(self):
        together = threading.Barrier(2, timeout=20)

        @image_fetch.fetch_once()
        def fetch(context, image_href, path):
            together.wait()

        self.assertEqual([None, None], self._in_threads(
            lambda: fetch('context', 'image', self.path),
            lambda: fetch('context', 'other', os.path.join(self.base,
                                                           OTHER))))

    def _another_waits(self):
        """Return a function that is true when the second one has waited.

        For longer than what is called short.
        """
        self.useFixture(fixtures.MockPatchObject(lock_wait, 'SHORT', 0.05))
        asked = []
        lock = image_locks.lockutils.lock

        def spy(*args, **kwargs):
            asked.append(time.monotonic())
            return lock(*args, **kwargs)

        self.useFixture(fixtures.MockPatchObject(image_locks.lockutils,
                                                 'lock', spy))
        return lambda: len(asked) > 1 and time.monotonic() > asked[1] + 0.1

    def test_whoever_waited_says_so(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        until = self._another_waits()

        def second():
            while not self.fetches:
                time.sleep(0.01)
            self._fetch()('context', 'image', self.path)

        self._in_threads(
            lambda: self._fetch(until=until)('context', 'image', self.path),
            second)
        self.assertRegex(log.output, r'\AWaited [0-9.]+ s while another '
                         r'process fetched image image\n\Z')
        # Nobody is told of no wait.
        log.reset_output()
        self._fetch()('context', 'image', self.path)
        self.assertEqual('', log.output)

    def test_waiter_fetches_if_the_first_fails(self):
        failing = self._fetch(until=self._another_waits(),
                              fail=ZeroDivisionError())
        waited = []

        @image_fetch.fetch_once(staged=True)
        def fetch(context, image_href, path):
            waited.append(lock_wait.seconds())
            return self._fetch()(context, image_href, path)

        def second():
            while not self.fetches:
                time.sleep(0.01)
            fetch('context', 'image', self.path)
            waited.append(lock_wait.seconds())

        errors = self._in_threads(
            lambda: failing('context', 'image', self.path), second)
        self.assertIsInstance(errors[0], ZeroDivisionError)
        self.assertIsNone(errors[1])
        self.assertEqual(2, len(self.fetches))
        self.assertEqual('whole', self._read(self.path))
        # As long as it fetches, and no longer.
        self.assertGreaterEqual(waited[0], 0.1)
        self.assertEqual([0.0], waited[1:])

    def test_staged(self):
        self._fetch(staged=True)('context', 'image', self.path)
        self.assertEqual(self.path + '.part', self.fetches[0][2])
        self.assertEqual('whole', self._read(self.path))
        self.assertEqual([NAME], os.listdir(self.base))

    def test_staged_fails(self):
        self.assertRaises(
            ZeroDivisionError,
            self._fetch(staged=True, fail=ZeroDivisionError()),
            'context', 'image', self.path)
        self.assertEqual([], os.listdir(self.base))

    def test_staged_over_what_a_crash_left(self):
        self._write(self.path + '.part', data='much more than the whole')
        self._fetch(staged=True)('context', 'image', self.path)
        self.assertEqual('whole', self._read(self.path))
        self.assertEqual([NAME], os.listdir(self.base))

    def test_conversion_that_nobody_waits_for_any_more(self):
        path = self._write(self.path + '.converted')
        with open(path) as orphan:
            self._fetch()('context', 'image', self.path)
            # Whoever writes to it is in nobody's way.
            self.assertEqual(0, os.fstat(orphan.fileno()).st_nlink)
        self.assertEqual([NAME], os.listdir(self.base))


class DurableTest(image_cache_case.CacheTestCase):

    def setUp(self):
        super().setUp()
        self.synced = []
        self.failures = {}
        self.threads = set()
        self.useFixture(fixtures.MonkeyPatch('os.fsync', self._fsync))

    def _fsync(self, descriptor):
        path = os.readlink('/proc/self/fd/%d' % descriptor)
        self.synced.append(path)
        self.threads.add(threading.get_ident())
        if path in self.failures:
            raise OSError(self.failures[path], 'it failed')

    def _descriptors(self):
        return len(os.listdir('/proc/self/fd'))

    def test_file_and_name(self):
        self._fetch()('context', 'image', self.path)
        # Whatever fetches has the content on the disk before the rename.
        self.assertEqual([self.base], self.synced)

    def test_staged_before_it_has_its_name(self):
        self._fetch(staged=True)('context', 'image', self.path)
        self.assertEqual([self.path + '.part', self.base], self.synced)

    def test_staged_file_is_lost(self):
        self.failures[self.path + '.part'] = errno.EIO
        self.assertRaises(OSError, self._fetch(staged=True), 'context',
                          'image', self.path)
        self.assertEqual([], os.listdir(self.base))

    def test_hub_is_not_held_up(self):
        self._fetch()('context', 'image', self.path)
        self.assertEqual(release_compat.threading_mode(),
                         threading.get_ident() in self.threads)

    def test_directories_cannot_be_synced_there(self):
        for number in (errno.EINVAL, errno.EOPNOTSUPP):
            self.failures[self.base] = number
            self._fetch()('context', 'image', self.path)
            os.unlink(self.path)

    def test_a_published_file_stays(self):
        # Another build may have its overlay on it already.
        self._fetch()('context', 'image', os.path.join(self.base, OTHER))
        before = self._descriptors()
        self.failures[self.base] = errno.EIO
        with mock.patch.object(image_fetch.LOG, 'warning') as log:
            self._fetch()('context', 'image', self.path)
        self.assertEqual('whole', self._read(self.path))
        self.assertIn(self.path, str(log.call_args.args))
        self.assertEqual(before, self._descriptors())
        with mock.patch.object(os, 'open', side_effect=OSError(
                errno.EMFILE, 'Too many open files')):
            image_fetch._make_durable(self.path)
        self.assertTrue(os.path.exists(self.path))

    def test_no_file_was_made(self):
        image_fetch.fetch_once()(lambda *args: None)('context', 'image',
                                                     self.path)
        self.assertEqual([], self.synced)


class HookTest(image_cache_case.CacheTestCase):
    """The functions of upstream that are decorated."""

    def setUp(self):
        super().setUp()
        self.download = self.useFixture(fixtures.MockPatchObject(
            images.IMAGE_API, 'download', side_effect=self._download)).mock
        self.useFixture(fixtures.MockPatchObject(
            images, 'qemu_img_info', return_value=mock.Mock(
                file_format='raw', backing_file=None, format_specific=None)))
        self.flags(disable_deep_image_inspection=True, group='workarounds')
        self.fail = None

    def _download(self, context, image_href, dest_path, trusted_certs):
        self._write(dest_path, data='half')
        time.sleep(0.1)
        if self.fail:
            raise self.fail
        self._write(dest_path, data='whole')

    def test_spawn_and_precache(self):
        errors = self._in_threads(*[lambda: images.fetch_to_raw(
            'context', 'image', self.path)] * 3)
        self.assertEqual([None] * 3, errors)
        self.download.assert_called_once_with(
            'context', 'image', dest_path=self.path + '.part',
            trusted_certs=None)
        self.assertEqual([NAME], os.listdir(self.base))

    def test_kernel(self):
        errors = self._in_threads(*[lambda: images.fetch(
            'context', 'image', self.path, 'certs')] * 3)
        self.assertEqual([None] * 3, errors)
        self.download.assert_called_once_with(
            'context', 'image', dest_path=self.path + '.part',
            trusted_certs='certs')
        self.assertEqual([NAME], os.listdir(self.base))
        self.assertEqual('whole', self._read(self.path))

    def test_failures_leave_nothing(self):
        self.fail = exception.CouldNotFetchImage(image_id='image')
        for function in (images.fetch, images.fetch_to_raw):
            self.assertRaises(exception.CouldNotFetchImage, function,
                              'context', 'image', self.path)
            self.assertEqual([], os.listdir(self.base))

    def test_failure_that_leaves_what_cannot_be_removed(self):
        # A read-only file system says so even of what is not there.
        self.fail = exception.CouldNotFetchImage(image_id='image')
        error = OSError(errno.EROFS, 'Read-only file system')
        with mock.patch.object(fileutils, 'delete_if_exists',
                               side_effect=error):
            for function in (images.fetch, images.fetch_to_raw):
                self.assertRaises(exception.CouldNotFetchImage, function,
                                  'context', 'image', self.path)

    def test_converted_is_on_the_disk_before_it_has_its_name(self):
        converted = self.path + '.converted'
        images.qemu_img_info.side_effect = lambda path: mock.Mock(
            file_format='raw' if path == converted else 'qcow2',
            backing_file=None, format_specific=None)
        seen = []
        fsync = os.fsync

        def record(descriptor):
            path = os.readlink('/proc/self/fd/%d' % descriptor)
            seen.append((path, sorted(os.listdir(self.base))))
            fsync(descriptor)

        with mock.patch.object(images, 'convert_image',
                               side_effect=lambda source, target, *args:
                               self._write(target)), \
                mock.patch.object(os, 'fsync', record):
            images.fetch_to_raw('context', 'image', self.path)
        self.assertEqual((converted, [NAME + '.converted']), seen[0])
        self.assertEqual([NAME], os.listdir(self.base))

    def test_cache_manager_reclaims(self):
        manager = imagecache.ImageCacheManager()
        orphan = self._write(self.base, NAME + '.part')
        os.utime(orphan, (0, 0))
        with mock.patch.object(
                manager, '_list_running_instances', return_value={
                    'used_images': {}, 'instance_names': set(),
                    'used_swap_images': set(),
                    'used_ephemeral_images': set()}):
            manager.update('context', [])
        self.assertFalse(os.path.exists(orphan))
