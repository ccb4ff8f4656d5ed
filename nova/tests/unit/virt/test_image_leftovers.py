# SPDX-License-Identifier: Apache-2.0

"""Tests of reclaiming what fetches that were cut off left."""

import contextlib
import errno
import fcntl
import os
import time
from unittest import mock

import fixtures

from nova import test
from nova.tests.unit.virt import image_cache_case
from nova.virt import image_leftovers

NAME = image_cache_case.NAME
OTHER = image_cache_case.OTHER
LEAST_AGE = image_leftovers._least_age
TEMPORARY = '.%s.part.rbd-export-0123456789abcdef.tmp'


class ReclaimTest(image_cache_case.CacheTestCase):

    LEFTOVERS = (NAME + '.part', NAME + '.converted', TEMPORARY % NAME,
                 TEMPORARY.replace('.part', '') % NAME)

    def setUp(self):
        super().setUp()
        self.least_age = self.useFixture(fixtures.MockPatchObject(
            image_leftovers, '_least_age', return_value=-1)).mock

    def _reclaim(self):
        image_leftovers.reclaim(self.base, self.locks)

    def _locks(self):
        return sorted(os.listdir(self.locks))

    def test_leftovers_of_different_age(self):
        self.least_age.return_value = 600
        for age in (3600, 10 * 365 * 86400):
            for name in self.LEFTOVERS:
                path = self._write(self.base, name)
                os.utime(path, (time.time() - age,) * 2)
            self._reclaim()
            self.assertEqual([], os.listdir(self.base))
        # Nor is anything left of the work itself.
        self.assertEqual([], self._locks())

    def test_a_file_that_has_just_changed(self):
        # As of a host that precaches without locks, or whose locks are not
        # seen here. While it converts, the source does not change.
        self.least_age.return_value = 600
        for young in self.LEFTOVERS:
            for name in self.LEFTOVERS:
                path = self._write(self.base, name)
                age = 0 if name == young else 3600
                os.utime(path, (time.time() - age,) * 2)
            old = self._write(self.base, OTHER + '.part')
            os.utime(old, (time.time() - 3600,) * 2)
            self._reclaim()
            self.assertEqual(sorted(self.LEFTOVERS),
                             sorted(os.listdir(self.base)))
        # Its lock file is needed then.
        self._write(self.locks, 'nova-fetch-' + NAME)
        self._reclaim()
        self.assertEqual(['nova-fetch-' + NAME], self._locks())

    def test_clock_of_the_file_server(self):
        # It is an hour behind, or ahead: only its own times count.
        self.least_age.return_value = 600
        for skew in (-3600, 3600):
            path = self._write(self.base, NAME + '.part')
            os.utime(path, (time.time() + skew,) * 2)
            fstat = os.fstat

            def skewed(descriptor, skew=skew):
                found = list(fstat(descriptor))
                found[8] += skew
                return os.stat_result(found)

            with mock.patch.object(image_leftovers.os, 'fstat', skewed):
                self.assertFalse(image_leftovers._is_quiet(self.base, [path]))

    def test_stall_timeout_is_long(self):
        with mock.patch.object(image_leftovers, '_least_age',
                               LEAST_AGE):
            self.flags(rbd_download_stall_timeout=3000, group='glance')
            self.assertEqual(6000, image_leftovers._least_age())
            self.flags(rbd_download_stall_timeout=60, group='glance')
            self.assertEqual(600, image_leftovers._least_age())

    def test_locked_file(self):
        # As the export engine locks its own, whatever became of other locks.
        path = self._write(self.base, TEMPORARY % NAME)
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._reclaim()
            self.assertTrue(os.path.exists(path))
        self._reclaim()
        self.assertFalse(os.path.exists(path))

    def test_link(self):
        other = self._write(self.instances, 'other')
        os.symlink(other, os.path.join(self.base, NAME + '.part'))
        self._reclaim()
        self.assertEqual([], os.listdir(self.base))
        self.assertEqual('data', self._read(other))

    def test_everything_else_stays(self):
        names = [NAME, NAME + '_20', NAME + '_sm', '.' + NAME,
                 NAME + '.partial', NAME + '.part.gz', NAME + '.part\n',
                 NAME.upper() + '.part', 'x' + NAME + '.part',
                 NAME[1:] + '.part', '.part', 'swap_512', 'swap_512.part',
                 'ephemeral_1_abcdefg', 'ephemeral_1_abcdefg.part',
                 '.nfs000000000001', TEMPORARY % 'my-own-file',
                 TEMPORARY % NAME + '~', TEMPORARY.lstrip('.') % NAME,
                 '.%s.part.rbd-export-0123.tmp' % NAME]
        for name in names:
            self._write(self.base, name)
        os.mkdir(os.path.join(self.base, 'directory'))
        self._reclaim()
        self.assertEqual(sorted(names + ['directory']),
                         sorted(os.listdir(self.base)))
        for name in names:
            self.assertEqual('data', self._read(os.path.join(self.base,
                                                             name)))

    def test_held_by_another_process(self):
        # Ours, and the only one that an older Nova takes.
        for lock in ('nova-fetch-' + NAME, 'nova-' + NAME):
            holder = self._hold(lock)
            for name in self.LEFTOVERS:
                self._write(self.base, name)
            self._write(self.base, OTHER + '.part')
            self._reclaim()
            self.assertEqual(sorted(self.LEFTOVERS),
                             sorted(os.listdir(self.base)))
            self.assertIn(lock, self._locks())
            self._reap(holder)
            self._reclaim()
            self.assertEqual([], os.listdir(self.base))

    def test_held_by_this_process(self):
        def reclaim():
            while not self.fetches:
                time.sleep(0.01)
            self._reclaim()
            self.assertEqual([NAME + '.part'], os.listdir(self.base))
            # And the lock was not lost by that, as POSIX locks are when
            # their file is closed anywhere in the process.
            self.assertTrue(self._is_held('nova-fetch-' + NAME))
            looked.append(True)

        looked = []
        fetch = self._fetch(until=lambda: looked)
        self.assertEqual([None, None], self._in_threads(
            lambda: fetch('context', 'image', self.path), reclaim))

    def test_never_one_that_is_being_fetched(self):
        process = self._other_process(seconds=0.5)
        self._go(process)
        self.assertEqual(b'fetching\n', process.stdout.readline())
        while process.poll() is None and not os.path.exists(self.path):
            self._reclaim()
            time.sleep(0.01)
        self.assertEqual(b'done\n', process.stdout.readline())
        self.assertEqual('half and half', self._read(self.path))

    def test_lock_files(self):
        self._write(self.base, NAME)
        kept = ['nova-fetch-' + NAME, 'nova-' + NAME, 'nova-' + OTHER, OTHER,
                'nova-storage-registry-lock', 'nova-fetch-x',
                'fetch-' + OTHER, 'nova-fetch-%s.x' % OTHER]
        for name in kept + ['nova-fetch-' + OTHER]:
            self._write(self.locks, name, data='')
        self._reclaim()
        self.assertEqual(sorted(kept), self._locks())

    def test_lock_file_that_is_held(self):
        holder = self._hold('nova-fetch-' + NAME)
        self._reclaim()
        self.assertEqual(['nova-fetch-' + NAME], self._locks())
        self._reap(holder)
        self._reclaim()
        self.assertEqual([], self._locks())

    def test_nothing_there(self):
        self._reclaim()
        self.assertFalse(os.path.exists(self.locks))
        os.rmdir(self.base)
        self._reclaim()

    def test_one_that_cannot_be_removed(self):
        os.mkdir(os.path.join(self.base, NAME + '.part'))
        self._write(self.base, OTHER + '.part')
        with mock.patch.object(image_leftovers.LOG, 'error') as log:
            self._reclaim()
        self.assertEqual([NAME + '.part'], os.listdir(self.base))
        self.assertIn(NAME + '.part', str(log.call_args.args))

    def test_locks_do_not_work(self):
        # As on NFS without a lock service.
        self._write(self.base, NAME + '.part')
        self._write(self.locks, 'nova-fetch-' + OTHER)
        failing = mock.patch.object(fcntl, 'lockf', side_effect=OSError(
            errno.ENOLCK, 'No locks available'))
        with failing, mock.patch.object(image_leftovers.LOG, 'error') as log:
            self._reclaim()
        self.assertEqual([NAME + '.part'], os.listdir(self.base))
        self.assertIn('nova-fetch-' + OTHER, self._locks())
        self.assertGreaterEqual(log.call_count, 2)

    def test_finished_meanwhile(self):
        self._write(self.base, NAME + '.part')
        listed = os.listdir(self.base)
        os.unlink(os.path.join(self.base, NAME + '.part'))
        with mock.patch.object(image_leftovers, '_entries',
                               side_effect=[listed, [], []]):
            with mock.patch.object(image_leftovers.LOG, 'error') as log:
                self._reclaim()
        log.assert_not_called()

    def test_log(self):
        path = self._write(self.base, NAME + '.part', data='x' * 10000)
        size = os.stat(path).st_blocks * 512
        with mock.patch.object(image_leftovers.LOG, 'info') as log:
            self._reclaim()
        self.assertEqual({'path': path, 'size': size}, log.call_args.args[1])


class WorkspaceTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path

    def _left(self):
        return os.listdir(self.directory)

    def _make(self, *names):
        path = os.path.join(self.directory, '.nova-image-download-x')
        os.mkdir(path)
        for name in names:
            with open(os.path.join(path, name), 'w') as f:
                f.write('data')
        return path

    def test_nothing_is_left(self):
        for error in (None, ValueError):
            with contextlib.suppress(ValueError):
                with image_leftovers.workspace(self.directory) as path:
                    self.assertEqual(0o700, os.stat(path).st_mode & 0o777)
                    if error:
                        raise error()
            self.assertEqual([], self._left())

    def test_one_that_is_in_use_stays(self):
        with image_leftovers.workspace(self.directory) as path:
            image_leftovers.reclaim_workspaces(self.directory)
            self.assertEqual([os.path.basename(path)], self._left())
            with image_leftovers.workspace(self.directory):
                self.assertEqual(2, len(self._left()))

    def test_that_of_a_command_that_is_gone(self):
        self._make('lock', 'image')
        image_leftovers.reclaim(os.path.join(self.directory, '_base'),
                                os.path.join(self.directory, 'locks'))
        self.assertEqual([], self._left())

    def test_that_of_an_earlier_version(self):
        path = self._make('image')
        image_leftovers.reclaim_workspaces(self.directory)
        self.assertEqual(1, len(self._left()))
        os.utime(path, (1, 1))
        image_leftovers.reclaim_workspaces(self.directory)
        self.assertEqual([], self._left())

    def test_empty_one(self):
        self._make()
        image_leftovers.reclaim_workspaces(self.directory)
        self.assertEqual([], self._left())

    def test_link(self):
        os.symlink('/', os.path.join(self.directory,
                                     '.nova-image-download-x'))
        image_leftovers.reclaim_workspaces(self.directory)
        self.assertEqual(1, len(self._left()))

    def test_one_that_cannot_be_removed(self):
        self._make('lock')
        with mock.patch('shutil.rmtree', side_effect=PermissionError), \
                mock.patch.object(image_leftovers.LOG, 'error') as log:
            image_leftovers.reclaim_workspaces(self.directory)
        log.assert_called_once()
