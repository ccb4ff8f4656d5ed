# SPDX-License-Identifier: Apache-2.0

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from unittest import mock

import fixtures

from nova import exception
from nova import release_compat
from nova import test
from nova.virt import image_fetch
from nova.virt import images
from nova.virt.libvirt import imagecache

NAME = '356a192b7913b04c54574d18c28d46e6395428ab'
OTHER = 'da4b9237bacccdf19c0760cab7aec4a8359010b0'
TEMPORARY = '.%s.part.rbd-export-0123456789abcdef.tmp'

# Another nova-compute, without all that takes its time to import.
OTHER_PROCESS = '''
import importlib.util, os, sys, time, types

for name in ('nova', 'nova.conf', 'nova.release_compat'):
    sys.modules[name] = types.ModuleType(name)
nova = sys.modules['nova']
nova.conf = sys.modules['nova.conf']
nova.release_compat = sys.modules['nova.release_compat']
nova.conf.CONF = types.SimpleNamespace(
    instances_path=%(instances)r,
    image_cache=types.SimpleNamespace(subdirectory_name='_base'))
nova.release_compat.off_hub = lambda function, *args: function(*args)
spec = importlib.util.spec_from_file_location('image_fetch', %(module)r)
image_fetch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(image_fetch)

@image_fetch.fetch_once()
def fetch(context, image, path):
    with open(%(trace)r, 'a') as trace:
        trace.write('%%d\\n' %% os.getpid())
    with open(path + '.part', 'w') as part:
        part.write('half')
        part.flush()
        print('fetching', flush=True)
        time.sleep(%(seconds)r)
        part.write(' and half')
    os.rename(path + '.part', path)

print('ready', flush=True)
sys.stdin.readline()
fetch(None, 'image', %(path)r)
print('done', flush=True)
'''

# Holds a lock until its standard input ends.
LOCK_HOLDER = '''
import fcntl, os, sys
path = sys.argv[1]
os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, 'a') as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print('held', flush=True)
    sys.stdin.read()
'''

# Exit status 3 if somebody else holds the lock.
LOCK_CHECK = '''
import fcntl, sys
try:
    with open(sys.argv[1], 'a') as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(3)
'''


class CacheTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.instances = self.useFixture(fixtures.TempDir()).path
        self.flags(instances_path=self.instances)
        self.base = os.path.join(self.instances, '_base')
        self.locks = os.path.join(self.instances, 'locks')
        os.mkdir(self.base)
        self.path = os.path.join(self.base, NAME)
        self.fetches = []

    def _write(self, *path, data='data'):
        path = os.path.join(*path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(data)
        return path

    def _read(self, path):
        with open(path) as file:
            return file.read()

    def _fetch(self, seconds=0.0, fail=None, staged=False):
        @image_fetch.fetch_once(staged=staged)
        def fetch(context, image_href, path, trusted_certs=None):
            self.fetches.append((context, image_href, path, trusted_certs))
            part = path if staged else path + '.part'
            self._write(part, data='whole')
            time.sleep(seconds)
            if fail:
                raise fail
            if not staged:
                os.rename(part, path)
            return 'returned'
        return fetch

    def _in_threads(self, *functions):
        """Run functions at once, in greenthreads if that is the mode.

        :returns: what they raised, None for each that did not
        """
        errors = [None] * len(functions)

        def run(number):
            try:
                functions[number]()
            except Exception as exc:
                errors[number] = exc

        threads = [threading.Thread(target=run, args=(number,))
                   for number in range(len(functions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return errors

    def _spawn(self, script, *arguments):
        process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', script, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self._reap, process)
        return process

    @staticmethod
    def _reap(process):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def _hold(self, name):
        """Have another process hold a lock."""
        holder = self._spawn(LOCK_HOLDER, os.path.join(self.locks, name))
        self.assertEqual(b'held\n', holder.stdout.readline())
        return holder

    def _is_held(self, name):
        check = subprocess.run([sys.executable, '-c', LOCK_CHECK,
                                os.path.join(self.locks, name)])
        self.assertIn(check.returncode, (0, 3))
        return check.returncode == 3

    def _other_process(self, seconds=0.3):
        self.trace = os.path.join(self.instances, 'trace')
        process = self._spawn(OTHER_PROCESS % {
            'instances': self.instances, 'path': self.path,
            'module': image_fetch.__file__, 'trace': self.trace,
            'seconds': seconds})
        self.assertEqual(b'ready\n', process.stdout.readline())
        return process

    def _go(self, process):
        process.stdin.write(b'\n')
        process.stdin.flush()


class PassThroughTest(CacheTestCase):

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


class FetchOnceTest(CacheTestCase):

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

    def test_whoever_waited_says_so(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        self.useFixture(fixtures.MockPatchObject(image_fetch, 'SHORT_WAIT',
                                                 0.05))

        def second():
            while not self.fetches:
                time.sleep(0.01)
            self._fetch()('context', 'image', self.path)

        self._in_threads(
            lambda: self._fetch(seconds=0.3)('context', 'image', self.path),
            second)
        self.assertRegex(log.output, r'\AImage image was fetched by someone '
                         r'else, after a wait of 0\.[2-9] s\n\Z')
        # Nobody is told of no wait.
        log.reset_output()
        self._fetch()('context', 'image', self.path)
        self.assertEqual('', log.output)

    def test_waiter_fetches_if_the_first_fails(self):
        failing = self._fetch(seconds=0.2, fail=ZeroDivisionError())
        self.useFixture(fixtures.MockPatchObject(image_fetch, 'SHORT_WAIT',
                                                 0.05))
        waited = []

        @image_fetch.fetch_once(staged=True)
        def fetch(context, image_href, path):
            waited.append(image_fetch.waited())
            return self._fetch()(context, image_href, path)

        def second():
            while not self.fetches:
                time.sleep(0.01)
            fetch('context', 'image', self.path)
            waited.append(image_fetch.waited())

        errors = self._in_threads(
            lambda: failing('context', 'image', self.path), second)
        self.assertIsInstance(errors[0], ZeroDivisionError)
        self.assertIsNone(errors[1])
        self.assertEqual(2, len(self.fetches))
        self.assertEqual('whole', self._read(self.path))
        # As long as it fetches, and no longer.
        self.assertGreater(waited[0], 0.1)
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


class OtherProcessTest(CacheTestCase):

    def test_race(self):
        processes = [self._other_process() for _ in range(3)]
        for process in processes:
            self._go(process)
        self._fetch()('context', 'image', self.path)
        for process in processes:
            self.assertIn(b'done', process.stdout.read())
            self.assertEqual(0, process.wait())
        fetched = len(self.fetches)
        if os.path.exists(self.trace):
            fetched += len(self._read(self.trace).splitlines())
        self.assertEqual(1, fetched)
        self.assertIn(self._read(self.path), ('whole', 'half and half'))
        self.assertEqual([NAME], os.listdir(self.base))

    def test_second_waits_and_finds_the_file(self):
        process = self._other_process(seconds=0.5)
        self._go(process)
        self.assertEqual(b'fetching\n', process.stdout.readline())
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(None)
                time.sleep(0.01)

        ticker = threading.Thread(target=tick)
        ticker.start()
        self._fetch()('context', 'image', self.path)
        stop.set()
        ticker.join()
        self.assertEqual([], self.fetches)
        self.assertEqual('half and half', self._read(self.path))
        # Others were not held up meanwhile.
        self.assertGreater(len(ticks), 10)

    def test_holder_is_killed(self):
        process = self._other_process(seconds=60)
        self._go(process)
        self.assertEqual(b'fetching\n', process.stdout.readline())
        self.assertEqual([NAME + '.part'], os.listdir(self.base))
        killer = threading.Timer(0.2, os.kill, (process.pid, signal.SIGKILL))
        killer.start()
        self._fetch()('context', 'image', self.path)
        killer.join()
        self.assertEqual(1, len(self.fetches))
        self.assertEqual('whole', self._read(self.path))
        self.assertEqual([NAME], os.listdir(self.base))

    def test_lock_file_is_removed_while_waiting(self):
        lock = os.path.join(self.locks, 'nova-fetch-' + NAME)
        holder = self._hold('nova-fetch-' + NAME)
        seen = []

        @image_fetch.fetch_once()
        def fetch(context, image_href, path):
            # A lock on the file that was removed would keep nobody out.
            seen.append(self._is_held('nova-fetch-' + NAME))
            self._write(path)

        def remove():
            time.sleep(0.3)
            os.unlink(lock)
            holder.stdin.close()

        self.assertEqual([None, None], self._in_threads(
            lambda: fetch('context', 'image', self.path), remove))
        self.assertEqual([True], seen)


class DurableTest(CacheTestCase):

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
        self.assertEqual([self.path, self.base], self.synced)

    def test_staged_before_it_has_its_name(self):
        self._fetch(staged=True)('context', 'image', self.path)
        self.assertEqual([self.path + '.part', self.path, self.base],
                         self.synced)

    def test_staged_file_is_lost(self):
        self.failures[self.path + '.part'] = errno.EIO
        self.assertRaises(OSError, self._fetch(staged=True), 'context',
                          'image', self.path)
        self.assertEqual([], os.listdir(self.base))

    def test_hub_is_not_held_up(self):
        self._fetch()('context', 'image', self.path)
        self.assertEqual(release_compat.threading_mode(),
                         threading.get_ident() in self.threads)

    def test_file_is_lost(self):
        self._fetch()('context', 'image', os.path.join(self.base, OTHER))
        before = self._descriptors()
        self.failures[self.path] = errno.EIO
        self.assertRaises(OSError, self._fetch(), 'context', 'image',
                          self.path)
        self.assertFalse(os.path.exists(self.path))
        self.assertEqual(before, self._descriptors())

    def test_directories_cannot_be_synced_there(self):
        for number in (errno.EINVAL, errno.EOPNOTSUPP):
            self.failures[self.base] = number
            self._fetch()('context', 'image', self.path)
            os.unlink(self.path)

    def test_directory_is_lost(self):
        self.failures[self.base] = errno.EIO
        self.assertRaises(OSError, self._fetch(), 'context', 'image',
                          self.path)

    def test_no_file_was_made(self):
        image_fetch.fetch_once()(lambda *args: None)('context', 'image',
                                                     self.path)
        self.assertEqual([], self.synced)


class HookTest(CacheTestCase):
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
        with mock.patch.object(image_fetch.fileutils, 'delete_if_exists',
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
        with mock.patch.object(
                manager, '_list_running_instances', return_value={
                    'used_images': {}, 'instance_names': set(),
                    'used_swap_images': set(),
                    'used_ephemeral_images': set()}):
            manager.update('context', [])
        self.assertFalse(os.path.exists(orphan))


class ReclaimTest(CacheTestCase):

    LEFTOVERS = (NAME + '.part', NAME + '.converted', TEMPORARY % NAME,
                 TEMPORARY.replace('.part', '') % NAME)

    def _reclaim(self):
        image_fetch.reclaim_leftovers(self.base, self.locks)

    def _locks(self):
        return sorted(os.listdir(self.locks))

    def test_leftovers_of_any_age(self):
        for age in (0, 3600, 10 * 365 * 86400):
            for name in self.LEFTOVERS:
                path = self._write(self.base, name)
                os.utime(path, (time.time() - age,) * 2)
            self._reclaim()
            self.assertEqual([], os.listdir(self.base))
        # Nor is anything left of the work itself.
        self.assertEqual([], self._locks())

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

        fetch = self._fetch(seconds=1)
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
        with mock.patch.object(image_fetch.LOG, 'error') as log:
            self._reclaim()
        self.assertEqual([NAME + '.part'], os.listdir(self.base))
        self.assertIn(NAME + '.part', str(log.call_args.args))

    def test_locks_do_not_work(self):
        # As on NFS without a lock service.
        self._write(self.base, NAME + '.part')
        self._write(self.locks, 'nova-fetch-' + OTHER)
        failing = mock.patch.object(fcntl, 'lockf', side_effect=OSError(
            errno.ENOLCK, 'No locks available'))
        with failing, mock.patch.object(image_fetch.LOG, 'error') as log:
            self._reclaim()
        self.assertEqual([NAME + '.part'], os.listdir(self.base))
        self.assertIn('nova-fetch-' + OTHER, self._locks())
        self.assertGreaterEqual(log.call_count, 2)

    def test_finished_meanwhile(self):
        self._write(self.base, NAME + '.part')
        listed = os.listdir(self.base)
        os.unlink(os.path.join(self.base, NAME + '.part'))
        with mock.patch.object(image_fetch, '_entries',
                               side_effect=[listed, []]):
            with mock.patch.object(image_fetch.LOG, 'error') as log:
                self._reclaim()
        log.assert_not_called()

    def test_log(self):
        path = self._write(self.base, NAME + '.part', data='x' * 10000)
        size = os.stat(path).st_blocks * 512
        with mock.patch.object(image_fetch.LOG, 'info') as log:
            self._reclaim()
        self.assertEqual({'path': path, 'size': size}, log.call_args.args[1])
