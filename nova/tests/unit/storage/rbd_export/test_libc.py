# SPDX-License-Identifier: Apache-2.0

"""What the C library adds, where it is glibc."""

import errno
import os
import sys
from unittest import mock

from nova.storage.rbd_export import libc
from nova import test


class LibcTestCase(test.NoDBTestCase):

    def test_without_ctypes(self):
        with mock.patch.dict(sys.modules, {'ctypes': None}):
            libc.limit_memory()
            writeback = libc.Writeback(3)
        self.assertFalse(writeback.by_range)
        writeback.start(0, 1)
        with mock.patch.object(os, 'fdatasync') as fdatasync:
            writeback.wait([(0, 1), (1, 1)])
        fdatasync.assert_called_once_with(3)

    def _writeback(self, number):
        library = mock.Mock()
        library.sync_file_range.return_value = -1
        with mock.patch.object(libc, '_library', return_value=(
                mock.Mock(get_errno=lambda: number), library)):
            return libc.Writeback(3), library.sync_file_range

    def test_error_of_the_disk(self):
        # The file's fsync will not tell it again.
        for number in (errno.EIO, errno.ENOSPC):
            writeback, _call = self._writeback(number)
            writeback.start(0, 1)
            exc = self.assertRaises(OSError, writeback.wait, [(0, 1), (1, 1)])
            self.assertEqual(number, exc.errno)

    def test_not_by_range(self):
        for number in (errno.EINVAL, errno.ESPIPE, errno.ENOSYS,
                       errno.EPERM, errno.EACCES):
            writeback, call = self._writeback(number)
            self.assertTrue(writeback.by_range)
            with mock.patch.object(os, 'fdatasync') as fdatasync:
                writeback.wait([(0, 1), (1, 1)])
                self.assertFalse(writeback.by_range)
                writeback.wait([(0, 1), (1, 1)])
            self.assertEqual(1, call.call_count)
            self.assertEqual(2 * [mock.call(3)], fdatasync.call_args_list)

    def test_another_c_library(self):
        with mock.patch.object(libc, '_library',
                               return_value=(mock.Mock(), object())):
            libc.limit_memory()
            self.assertFalse(libc.Writeback(-1).by_range)
