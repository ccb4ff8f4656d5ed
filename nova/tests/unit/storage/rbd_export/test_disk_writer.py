# SPDX-License-Identifier: Apache-2.0

"""Writing to the file that is made."""

import errno
import os
from unittest import mock

from nova.storage.rbd_export import disk_writer
from nova.storage.rbd_export import libc
from nova.tests.unit.storage.rbd_export import made_file

_open = os.open


class DiskWriterTestCase(made_file.FileTestCase):

    def test_runs_only(self):
        made, writer = self.create(20000)
        writer.write(b'abcdefgh', [(1, 3), (6, 8)], 10000)
        self.finish(made, writer)
        data = bytearray(20000)
        data[10001:10003] = b'bc'
        data[10006:10008] = b'gh'
        self.assertEqual(bytes(data), self.read())

    def test_past_the_page_cache(self):
        run = disk_writer.DIRECT_RUN
        for size in (run - 1, run, run + 1, 2 * run - 4096, 2 * run + 5):
            data = os.urandom(size)
            made, writer = self.create(size)
            if writer._direct_fd < 0:
                self.skipTest('no direct writes in %s' % self.dir)
            fds = []
            pwrite = os.pwrite

            def spy(fd, view, offset):
                fds.append(fd)
                return pwrite(fd, view, offset)

            with mock.patch.object(os, 'pwrite', spy):
                writer.write(data, [(0, size)], 0)
            self.assertEqual(
                [writer._direct_fd if size >= run else writer._fd], fds)
            self.assertEqual(size < run, bool(writer._dirty))
            self.finish(made, writer)
            self.assertEqual(data, self.read())

    def test_long_and_short_runs(self):
        block = os.urandom(4096)
        data = (block * 64 + bytes(4096) + block + bytes(4096) + block * 40 +
                b'end')
        made, writer = self.create(8192 + len(data))
        end = len(data)
        writer.write(data, [(0, 64 * 4096), (65 * 4096, 66 * 4096),
                            (67 * 4096, end)], 8192)
        self.finish(made, writer)
        self.assertEqual(bytes(8192) + data, self.read())

    def test_no_direct_writes_after_all(self):
        data = os.urandom(disk_writer.DIRECT_RUN)
        made, writer = self.create(len(data))
        writer._direct_fd = writer._direct_fd if writer._direct_fd >= 0 else 99
        direct, pwrite = writer._direct_fd, os.pwrite

        def refuse(fd, view, offset):
            if fd == direct:
                raise OSError(errno.EPERM, 'x')
            return pwrite(fd, view, offset)

        with mock.patch.object(os, 'pwrite', refuse):
            writer.write(data, [(0, len(data))], 0)
        self.assertEqual(-1, writer._direct_fd)
        self.finish(made, writer)
        self.assertEqual(data, self.read())

    def test_short_writes(self):
        pwrite = os.pwrite
        made, writer = self.create(10)
        with mock.patch.object(os, 'pwrite', lambda fd, data, offset: pwrite(
                fd, data[:3], offset)):
            writer.write(b'0123456789', [(0, 10)], 0)
        self.finish(made, writer)
        self.assertEqual(b'0123456789', self.read())

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
        made, writer = self.create(0)
        step = disk_writer.MAX_DIRTY // 2
        for n in range(3):
            writer._start_writeback(n * step, step)
        self.assertEqual(
            [('start', 0, step), ('start', step, step),
             ('start', 2 * step, step), ('wait', [(0, step)])], calls)
        self.assertTrue(writer.flush_some())
        self.assertEqual(('wait', [(step, step)]), calls[-1])
        self.assertFalse(writer.flush_some())
        self.assertEqual(('wait', [(2 * step, step)]), calls[-1])
        self.assertFalse(writer.flush_some())
        self.assertEqual(6, len(calls))

    def test_only_so_much_is_waited_for_at_once(self):
        calls = self._writeback(True)
        made, writer = self.create(0)
        step = disk_writer._FLUSH_STEP // 4
        for n in range(10):
            writer._start_writeback(n * step, step)
        while writer.flush_some():
            pass
        self.assertEqual([4, 4, 2], [len(call[1]) for call in calls
                                     if call[0] == 'wait'])

    def test_only_so_much_waits_without_ranges(self):
        calls = self._writeback(False)
        made, writer = self.create(0)
        for n in range(3):
            writer._start_writeback(n, disk_writer._SYNC_STEP // 2)
        self.assertEqual(1, len([c for c in calls if c[0] == 'wait']))
        writer._start_writeback(9, 1)
        self.assertFalse(writer.flush_some())
        self.assertEqual(2, len([c for c in calls if c[0] == 'wait']))

    def test_others_found_that_it_is_not_direct(self):
        size = 4 << 20
        made, writer = self.create(size)
        data = os.urandom(size)
        write = disk_writer.DiskWriter._write_all

        def give_up(fd, view, offset):
            # As another thread may at this moment.
            writer._direct_fd = -1
            write(fd, view, offset)

        if writer._direct_fd < 0:
            writer._direct_fd = os.dup(writer._fd)
        with mock.patch.object(writer, '_write_all', give_up):
            writer.write(data, [(0, size)], 0)
        self.finish(made, writer)
        self.assertEqual(data, self.read())

    def test_file_system_without_direct_writes(self):
        def refuse(path, flags, *args, **kwargs):
            if flags & os.O_DIRECT and flags & os.O_TMPFILE != os.O_TMPFILE:
                raise OSError(errno.EINVAL, 'x')
            return _open(path, flags, *args, **kwargs)

        data = os.urandom(disk_writer.DIRECT_RUN)
        with mock.patch.object(os, 'open', refuse):
            self.finish(*self.make(data))
        self.assertEqual(data, self.read())

    def test_disk_full(self):
        made, writer = self.make()
        for name, call in (('pwrite', lambda: writer.write(b'x', [(0, 1)], 0)),
                           ('fsync', writer.sync)):
            for number, code in ((errno.ENOSPC, 'no_space'),
                                 (errno.EDQUOT, 'no_space'),
                                 (errno.EIO, 'local_file'),
                                 (errno.EROFS, 'local_file'),
                                 (errno.ENOMEM, 'limits'),
                                 (errno.ESTALE, 'not_writable')):
                with mock.patch.object(os, name,
                                       side_effect=OSError(number, 'x')):
                    exc = self.assert_refused(code, call)
                self.assertIn(self.dir, str(exc))
                self.assertIn(errno.errorcode[number], str(exc))
                self.assertEqual(code == 'no_space',
                                 'available_bytes' in exc.facts)

    def test_what_cannot_be_synchronised(self):
        for number in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS,
                       errno.EPERM, errno.EACCES):
            made, writer = self.make()
            with mock.patch.object(os, 'fsync',
                                   side_effect=OSError(number, 'x')):
                self.finish(made, writer)
            self.assertEqual(b'x' * 5000, self.read())

    def test_size_that_cannot_be_set(self):
        data = os.urandom(disk_writer.DIRECT_RUN + 5)
        with mock.patch.object(os, 'ftruncate', side_effect=OSError(
                errno.EPERM, 'x')):
            made, writer = self.make(data)
            self.finish(made, writer)
            self.assertEqual(data, self.read())
            made, writer = self.create(9000)
            writer.write(b'x', [(0, 1)], 0)
            self.finish(made, writer)
        self.assertEqual(b'x' + bytes(8999), self.read())
        with mock.patch.object(os, 'ftruncate', side_effect=OSError(
                errno.EIO, 'x')):
            self.assert_refused('local_file', self.create, 5)
