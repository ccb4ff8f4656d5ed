# SPDX-License-Identifier: Apache-2.0

"""The file that the export engine makes."""

import errno
import fcntl
import os
import re
from unittest import mock

import fixtures

from nova.storage.rbd_export import errors
from nova.storage.rbd_export import libc
from nova.storage.rbd_export import target
from nova import test

_open = os.open


def _no_tmpfile(number):
    """Stand in for os.open on a file system without unnamed files."""
    def fake(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        return _open(path, flags, *args, **kwargs)
    return mock.patch.object(os, 'open', fake)


class TargetTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.dir, 'image')

    def make(self, data=b'x' * 5000, path=None):
        made = target.Target(path or self.path)
        made.create(len(data))
        made.write(data, [(0, len(data))], 0)
        return made

    def finish(self, made):
        while made.flush_some():
            pass
        made.sync()
        made.publish()

    def read(self, path=None):
        with open(path or self.path, 'rb') as f:
            return f.read()

    def assert_refused(self, code, call, *args):
        exc = self.assertRaises(errors.ExportError, call, *args)
        self.assertEqual(code, exc.code)
        return exc

    def test_invisible_until_published(self):
        made = self.make()
        self.assertEqual([], os.listdir(self.dir))
        self.finish(made)
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_relative_path(self):
        old = os.getcwd()
        os.chdir(self.dir)
        self.addCleanup(os.chdir, old)
        self.finish(self.make(path='image'))
        self.assertEqual(b'x' * 5000, self.read())

    def test_replaces_a_file(self):
        with open(self.path, 'w') as f:
            f.write('old')
        self.finish(self.make())
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_replaces_a_file_that_came_meanwhile(self):
        made = self.make()
        link = os.link

        def race(src, dst, **kwargs):
            if dst == 'image':
                with open(self.path, 'w') as f:
                    f.write('faster')
            return link(src, dst, **kwargs)

        with mock.patch.object(os, 'link', race):
            self.finish(made)
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_no_replacing_a_directory_that_came_meanwhile(self):
        made = self.make()
        os.mkdir(self.path)
        self.assert_refused('local_file', made.publish)
        made.abandon()
        self.assertEqual(['image'], os.listdir(self.dir))

    def test_runs_only(self):
        made = target.Target(self.path)
        made.create(20000)
        made.write(b'abcdefgh', [(1, 3), (6, 8)], 10000)
        self.finish(made)
        data = bytearray(20000)
        data[10001:10003] = b'bc'
        data[10006:10008] = b'gh'
        self.assertEqual(bytes(data), self.read())

    def test_past_the_page_cache(self):
        for size in (target.DIRECT_RUN - 1, target.DIRECT_RUN,
                     target.DIRECT_RUN + 1, 2 * target.DIRECT_RUN - 4096,
                     2 * target.DIRECT_RUN + 5):
            data = os.urandom(size)
            made = target.Target(self.path)
            made.create(size)
            if made._direct_fd < 0:
                self.skipTest('no direct writes in %s' % self.dir)
            fds = []
            pwrite = os.pwrite

            def spy(fd, view, offset):
                fds.append(fd)
                return pwrite(fd, view, offset)

            with mock.patch.object(os, 'pwrite', spy):
                made.write(data, [(0, size)], 0)
            self.assertEqual(
                [made._direct_fd if size >= target.DIRECT_RUN else made._fd],
                fds)
            self.assertEqual(size < target.DIRECT_RUN, bool(made._dirty))
            self.finish(made)
            self.assertEqual(data, self.read())

    def test_long_and_short_runs(self):
        block = os.urandom(4096)
        data = (block * 64 + bytes(4096) + block + bytes(4096) + block * 40 +
                b'end')
        made = target.Target(self.path)
        made.create(8192 + len(data))
        end = len(data)
        made.write(data, [(0, 64 * 4096), (65 * 4096, 66 * 4096),
                          (67 * 4096, end)], 8192)
        self.finish(made)
        self.assertEqual(bytes(8192) + data, self.read())

    def test_no_direct_writes_after_all(self):
        data = os.urandom(target.DIRECT_RUN)
        made = target.Target(self.path)
        made.create(len(data))
        made._direct_fd = made._direct_fd if made._direct_fd >= 0 else 99
        direct, pwrite = made._direct_fd, os.pwrite

        def refuse(fd, view, offset):
            if fd == direct:
                raise OSError(errno.EINVAL, 'x')
            return pwrite(fd, view, offset)

        with mock.patch.object(os, 'pwrite', refuse):
            made.write(data, [(0, len(data))], 0)
        self.assertEqual(-1, made._direct_fd)
        self.finish(made)
        self.assertEqual(data, self.read())

    def test_file_system_without_direct_writes(self):
        def refuse(path, flags, *args, **kwargs):
            if flags & os.O_DIRECT and flags & os.O_TMPFILE != os.O_TMPFILE:
                raise OSError(errno.EINVAL, 'x')
            return _open(path, flags, *args, **kwargs)

        data = os.urandom(target.DIRECT_RUN)
        with mock.patch.object(os, 'open', refuse):
            self.finish(self.make(data))
        self.assertEqual(data, self.read())

    def test_short_writes(self):
        pwrite = os.pwrite
        made = target.Target(self.path)
        made.create(10)
        with mock.patch.object(os, 'pwrite', lambda fd, data, offset: pwrite(
                fd, data[:3], offset)):
            made.write(b'0123456789', [(0, 10)], 0)
        self.finish(made)
        self.assertEqual(b'0123456789', self.read())

    def test_private_name_where_there_are_no_unnamed_files(self):
        for number in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            with _no_tmpfile(number):
                made = self.make()
            name, = os.listdir(self.dir)
            self.assertRegex(name, target.TEMPORARY_NAME)
            self.assertTrue(name.startswith('.image.'))
            # Whoever finds it can tell that its maker lives.
            with open(os.path.join(self.dir, name)) as found:
                self.assertRaises(BlockingIOError, fcntl.flock, found,
                                  fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.finish(made)
            self.assertEqual(['image'], os.listdir(self.dir))
            self.assertEqual(b'x' * 5000, self.read())
            made.abandon()
            self.assertEqual(['image'], os.listdir(self.dir))
            os.unlink(self.path)

    def test_private_name_without_proc(self):
        with mock.patch.object(os.path, 'exists', return_value=False):
            made = self.make()
        self.assertEqual(1, len(os.listdir(self.dir)))
        self.finish(made)
        self.assertEqual(['image'], os.listdir(self.dir))

    def test_private_name_is_removed_when_abandoned(self):
        with _no_tmpfile(errno.EOPNOTSUPP):
            made = self.make()
        made.abandon()
        self.assertEqual([], os.listdir(self.dir))
        made.abandon()

    def test_private_name_of_a_long_name(self):
        for name in ('a' * 255, '\u00e9' * 127):
            path = os.path.join(self.dir, name)
            with _no_tmpfile(errno.EOPNOTSUPP):
                made = self.make(path=path)
            self.assertTrue(re.match(target.TEMPORARY_NAME,
                                     os.listdir(self.dir)[0]))
            self.finish(made)
            self.assertEqual(b'x' * 5000, self.read(path))
            os.unlink(path)

    def test_other_errors_are_no_reason_for_a_private_name(self):
        made = target.Target(self.path)
        for number, code in ((errno.EACCES, 'local_file'),
                             (errno.EROFS, 'local_file'),
                             (errno.EIO, 'local_file'),
                             (errno.ENOSPC, 'no_space'),
                             (errno.EDQUOT, 'no_space')):
            with _no_tmpfile(number):
                exc = self.assert_refused(code, made.create, 5)
            self.assertIn(errno.errorcode[number], str(exc))
            self.assertEqual([], os.listdir(self.dir))

    def test_not_a_file(self):
        os.mkdir(self.path)
        os.symlink('nowhere', os.path.join(self.dir, 'link'))
        for path in (self.path, self.path + '/', self.dir + '/.',
                     self.dir + '/..', os.path.join(self.dir, 'link'),
                     '/dev/null'):
            self.assert_refused('local_file', target.Target, path)

    def test_no_directory(self):
        exc = self.assert_refused('local_file', target.Target,
                                  self.path + '/x/y')
        self.assertIn(self.path + '/x', str(exc))

    def test_space(self):
        made = target.Target(self.path)
        made.check_space(made.available())
        exc = self.assert_refused('no_space', made.check_space, 1 << 60)
        self.assertEqual(1 << 60, exc.facts['needed_bytes'])
        self.assertGreater(1 << 60, exc.facts['available_bytes'])

    def test_disk_full(self):
        made = self.make()
        for name, call in (('pwrite', lambda: made.write(b'x', [(0, 1)], 0)),
                           ('fsync', made.sync)):
            for number, code in ((errno.ENOSPC, 'no_space'),
                                 (errno.EDQUOT, 'no_space'),
                                 (errno.EIO, 'local_file')):
                with mock.patch.object(os, name,
                                       side_effect=OSError(number, 'x')):
                    exc = self.assert_refused(code, call)
                self.assertIn(self.dir, str(exc))
                self.assertEqual(code == 'no_space',
                                 'available_bytes' in exc.facts)

    def _writeback(self, by_range):
        calls = []
        fake = mock.Mock(by_range=by_range)
        fake.start.side_effect = lambda *a: calls.append(('start',) + a)
        fake.wait.side_effect = lambda r: calls.append(('wait', list(r)))
        patcher = mock.patch.object(libc, 'Writeback', return_value=fake)
        patcher.start()
        self.addCleanup(patcher.stop)
        return calls

    def test_only_so_much_waits_for_the_disk(self):
        calls = self._writeback(True)
        made = target.Target(self.path)
        made.create(0)
        step = target.MAX_DIRTY // 2
        for n in range(3):
            made._start_writeback(n * step, step)
        self.assertEqual(
            [('start', 0, step), ('start', step, step),
             ('start', 2 * step, step), ('wait', [(0, step)])], calls)
        self.assertTrue(made.flush_some())
        self.assertEqual(('wait', [(step, step)]), calls[-1])
        self.assertFalse(made.flush_some())
        self.assertEqual(('wait', [(2 * step, step)]), calls[-1])
        self.assertFalse(made.flush_some())
        self.assertEqual(6, len(calls))

    def test_only_so_much_is_waited_for_at_once(self):
        calls = self._writeback(True)
        made = target.Target(self.path)
        made.create(0)
        step = target._FLUSH_STEP // 4
        for n in range(10):
            made._start_writeback(n * step, step)
        while made.flush_some():
            pass
        self.assertEqual([4, 4, 2], [len(call[1]) for call in calls
                                     if call[0] == 'wait'])

    def test_only_so_much_waits_without_ranges(self):
        calls = self._writeback(False)
        made = target.Target(self.path)
        made.create(0)
        for n in range(3):
            made._start_writeback(n, target._SYNC_STEP // 2)
        self.assertEqual(1, len([c for c in calls if c[0] == 'wait']))
        made._start_writeback(9, 1)
        self.assertFalse(made.flush_some())
        self.assertEqual(2, len([c for c in calls if c[0] == 'wait']))

    def test_others_found_that_it_is_not_direct(self):
        size = 4 << 20
        made = target.Target(self.path)
        made.create(size)
        data = os.urandom(size)
        write = target.Target._write_all

        def give_up(fd, view, offset):
            # As another thread may at this moment.
            made._direct_fd = -1
            write(fd, view, offset)

        if made._direct_fd < 0:
            made._direct_fd = os.dup(made._fd)
        with mock.patch.object(made, '_write_all', give_up):
            made.write(data, [(0, size)], 0)
        self.finish(made)
        self.assertEqual(data, self.read())

    def test_name_that_comes_and_goes(self):
        made = self.make()
        made.sync()
        link = made._link

        def exists_once(name):
            made._link = link
            raise FileExistsError()

        made._link = exists_once
        made.publish()
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_directory_that_cannot_be_synchronised(self):
        made = self.make()
        made.sync()
        with mock.patch.object(os, 'fsync',
                               side_effect=OSError(errno.EINVAL, 'x')):
            made.publish()
        self.assertEqual(['image'], os.listdir(self.dir))
        made = self.make()
        made.sync()
        with mock.patch.object(os, 'fsync',
                               side_effect=OSError(errno.EIO, 'x')):
            self.assert_refused('local_file', made.publish)

    def test_no_descriptor_is_inherited(self):
        made = self.make()
        self.assertFalse(os.get_inheritable(made._fd))
        self.assertFalse(os.get_inheritable(made._dirfd))
