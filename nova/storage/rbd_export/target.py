# SPDX-License-Identifier: Apache-2.0

"""The file that is made: invisible until it is whole.

Where the file system has files without a name (O_TMPFILE), the data goes into
one and gets its name in the end: a crash, of the program or of the host,
leaves nothing behind. Elsewhere, on NFS for example, it goes into a file with
a private name, which only a crash leaves behind. Such a leftover is known by
its name, see TEMPORARY_NAME, and by the lock (flock) that its maker holds as
long as it lives.
"""

from __future__ import annotations

import collections
import errno
import mmap
import os
import stat
import threading

from . import libc
from .errors import describe
from .errors import ExportError
from .errors import is_no_space

# The private name of a file that is being made: a dot, the first part of the
# name it is to have, this, 16 hexadecimal digits, the suffix. A regular
# expression for all of them, to find what a crash left behind.
TEMPORARY_MARK = '.rbd-export-'
TEMPORARY_SUFFIX = '.tmp'
TEMPORARY_NAME = r'^\..*\.rbd-export-[0-9a-f]{16}\.tmp$'

# Bytes of file name that file systems allow, less the private name's own.
_NAME_PART = 200

# What open says where there are no files without a name. Kernels that know
# nothing of O_TMPFILE see an attempt to write to a directory.
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)

# Runs of data of at least so many bytes go past the page cache. It would cost
# a copy and more memory management than that, and an image's first reader
# is rarely there before its pages have gone again. Shorter ones are better
# gathered by the system.
DIRECT_RUN = 128 << 10

# What such writes have to be aligned to, in the file and in memory. No file
# system needs more.
_ALIGNMENT = 4096

# Bytes of aligned memory that each thread has for them.
_BUFFER = 1 << 20

# Written bytes that may wait to reach the disk. Past that the copy goes at
# the disk's pace, so that the last sync is short on any disk.
MAX_DIRTY = 256 << 20

# Without sync_file_range, all data is synchronised each time so much has been
# written.
_SYNC_STEP = 64 << 20

# Bytes to wait for at once, in the end.
_FLUSH_STEP = 16 << 20


class Target:
    """A file in the making.

    :param path: the name it is to have. A regular file of that name will be
        replaced.
    :raises: ExportError if there can be no such file
    """

    def __init__(self, path: str) -> None:
        self.path = path
        directory, self._name = os.path.split(path)
        self._directory = directory or '.'
        self._fd = -1
        # The same file, past the page cache; -1 if that cannot be.
        self._direct_fd = -1
        self._size = 0
        self._local = threading.local()
        self._temporary = ''
        self._lock = threading.Lock()
        self._writeback: libc.Writeback | None = None
        # Written and perhaps not on the disk yet, in the order of writing.
        self._dirty: collections.deque[tuple[int, int]] = collections.deque()
        self._dirty_bytes = 0
        try:
            self._dirfd = os.open(self._directory,
                                  os.O_RDONLY | os.O_DIRECTORY)
        except OSError as exc:
            raise self._failed('cannot open the directory %s'
                               % self._directory, exc)
        self._check_name()

    def _failed(self, what: str, exc: OSError) -> ExportError:
        if is_no_space(exc):
            facts: dict[str, object] = {'path': self.path}
            try:
                facts['available_bytes'] = self.available()
            except OSError:
                pass
            return ExportError(
                'no_space', '%s: %s; free some space in %s, or raise the '
                'quota' % (what, describe(exc), self._directory), **facts)
        return ExportError('local_file', '%s: %s' % (what, describe(exc)),
                           path=self.path)

    def _check_name(self) -> bool:
        """See whether the name is in use, and by nothing but a plain file."""
        if self._name in ('', '.', '..'):
            raise ExportError('local_file', '%s is a directory; name a file'
                              % self.path, path=self.path)
        try:
            mode = os.lstat(self._name, dir_fd=self._dirfd).st_mode
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise self._failed('cannot look at %s' % self.path, exc)
        if not stat.S_ISREG(mode):
            raise ExportError(
                'local_file', '%s exists and is not a regular file; remove '
                'it or name another file' % self.path, path=self.path)
        return True

    def available(self) -> int:
        """Return how many bytes may still be written there."""
        found = os.fstatvfs(self._dirfd)
        return found.f_bavail * found.f_frsize

    def check_space(self, needed: int) -> None:
        """Refuse what cannot fit.

        :param needed: bytes that may have to be written
        :raises: ExportError
        """
        try:
            available = self.available()
        except OSError as exc:
            raise self._failed('cannot look at %s' % self._directory, exc)
        if needed > available:
            raise ExportError(
                'no_space', '%d bytes may be needed in %s and only %d are '
                'available; free some space' % (needed, self._directory,
                                                available),
                needed_bytes=needed, available_bytes=available,
                path=self.path)

    def create(self, size: int) -> None:
        """Make the file, all of it one hole.

        :param size: in bytes
        :raises: ExportError
        """
        self._size = size
        try:
            self._open()
            # Whole blocks are written, also at the end.
            os.ftruncate(self._fd, size + -size % _ALIGNMENT)
        except OSError as exc:
            raise self._failed('cannot create a file in %s' % self._directory,
                               exc)

    def _open(self) -> None:
        # Both get the mode that open(path, 'wb') would have given.
        try:
            self._fd = os.open(
                '.', os.O_TMPFILE | os.O_WRONLY, 0o666, dir_fd=self._dirfd)
            # Without /proc it could not be given its name.
            if os.path.exists(self._magic_link()):
                self._open_direct()
                return
            os.close(self._fd)
            self._fd = -1
        except OSError as exc:
            if exc.errno not in _NO_TMPFILE:
                raise
        name = '.%s%s%s%s' % (
            os.fsdecode(os.fsencode(self._name)[:_NAME_PART]), TEMPORARY_MARK,
            os.urandom(8).hex(), TEMPORARY_SUFFIX)
        self._fd = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666,
            dir_fd=self._dirfd)
        self._temporary = name
        import fcntl
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # A file system without locks. Then a leftover is known by its
            # age only.
            pass

    def _open_direct(self) -> None:
        # Only where there are files without a name: those are the local file
        # systems. On NFS each write past the cache would wait for the server's
        # disk.
        try:
            self._direct_fd = os.open(self._magic_link(),
                                      os.O_WRONLY | os.O_DIRECT)
        except OSError:
            pass

    def _magic_link(self) -> str:
        return '/proc/self/fd/%d' % self._fd

    def write(self, data: bytes, runs: list[tuple[int, int]],
              offset: int) -> None:
        """Write parts of a piece of data.

        :param data: the piece
        :param runs: parts of it, as pairs of start and end: whole blocks of
            4 KiB, but for the last of the file
        :param offset: of the piece in the file, in bytes
        :raises: ExportError
        """
        try:
            rest = runs
            if self._direct_fd >= 0:
                long = [run for run in runs if run[1] - run[0] >= DIRECT_RUN]
                if long and self._write_direct(data, long, offset):
                    if len(long) == len(runs):
                        return
                    rest = [run for run in runs if run not in long]
            view = memoryview(data)
            for start, end in rest:
                self._write_all(self._fd, view[start:end], offset + start)
        except OSError as exc:
            raise self._failed('cannot write to a file in %s'
                               % self._directory, exc)
        for start, end in rest:
            self._start_writeback(offset + start, end - start)

    @staticmethod
    def _write_all(fd: int, view: memoryview, offset: int) -> None:
        while view:
            written = os.pwrite(fd, view, offset)
            view = view[written:]
            offset += written

    def _write_direct(self, data: bytes, runs: list[tuple[int, int]],
                      offset: int) -> bool:
        """Write runs past the page cache.

        :returns: False if the file system does not do that after all
        """
        # Another thread may find out meanwhile that this does not work.
        fd = self._direct_fd
        if fd < 0:
            return False
        buffer = self._buffer()
        view = memoryview(data)
        for start, end in runs:
            while start < end:
                length = min(_BUFFER, end - start)
                buffer[:length] = view[start:start + length]
                padded = length + -length % _ALIGNMENT
                buffer[length:padded] = bytes(padded - length)
                try:
                    self._write_all(fd, buffer[:padded], offset + start)
                except OSError as exc:
                    if exc.errno != errno.EINVAL:
                        raise
                    self._direct_fd = -1
                    return False
                start += length
        return True

    def _buffer(self) -> memoryview:
        """Return memory of this thread, aligned as it must be."""
        buffer = getattr(self._local, 'buffer', None)
        if buffer is None:
            buffer = self._local.buffer = memoryview(mmap.mmap(-1, _BUFFER))
        return buffer

    def _start_writeback(self, offset: int, length: int) -> None:
        """Let written data begin its way to the disk.

        Waits when too much is under way.
        """
        with self._lock:
            if self._writeback is None:
                self._writeback = libc.Writeback(self._fd)
            by_range = self._writeback.by_range
            self._dirty.append((offset, length))
            self._dirty_bytes += length
            limit = MAX_DIRTY if by_range else _SYNC_STEP
            waiting: list[tuple[int, int]] = []
            while self._dirty and self._dirty_bytes > limit:
                oldest = self._dirty.popleft()
                self._dirty_bytes -= oldest[1]
                waiting.append(oldest)
            if waiting and not by_range:
                # They all go at once.
                self._dirty.clear()
                self._dirty_bytes = 0
        self._writeback.start(offset, length)
        self._wait_for(waiting)

    def _wait_for(self, ranges: list[tuple[int, int]]) -> None:
        if not ranges or self._writeback is None:
            return
        try:
            self._writeback.wait(ranges)
        except OSError as exc:
            raise self._failed('cannot write to the disk below %s'
                               % self._directory, exc)

    def flush_some(self) -> bool:
        """Wait for some of the written data to be on the disk.

        :returns: whether there is more
        """
        some: list[tuple[int, int]] = []
        length = 0
        while self._dirty and length < _FLUSH_STEP:
            some.append(self._dirty.popleft())
            length += some[-1][1]
        self._wait_for(some)
        return bool(self._dirty)

    def sync(self) -> int:
        """Wait until the file, all of it, is on the disk.

        :returns: bytes that it takes there
        """
        try:
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
            return os.fstat(self._fd).st_blocks * 512
        except OSError as exc:
            raise self._failed('cannot write to the disk below %s'
                               % self._directory, exc)

    def publish(self) -> None:
        """Give the file its name, for good."""
        try:
            if not self._temporary:
                exists = self._check_name()
                if not exists:
                    try:
                        self._link(self._name)
                    except FileExistsError:
                        self._check_name()
                        exists = True
                if exists:
                    name = '.%s%s%s%s' % (
                        os.fsdecode(os.fsencode(self._name)[:_NAME_PART]),
                        TEMPORARY_MARK, os.urandom(8).hex(), TEMPORARY_SUFFIX)
                    self._link(name)
                    self._temporary = name
            if self._temporary:
                self._check_name()
                os.rename(self._temporary, self._name,
                          src_dir_fd=self._dirfd, dst_dir_fd=self._dirfd)
                self._temporary = ''
            self._sync_directory()
        except OSError as exc:
            raise self._failed('cannot give the file its name %s' % self.path,
                               exc)

    def _link(self, name: str) -> None:
        # It takes a directory descriptor for Python to call linkat, which
        # alone can follow this kind of link.
        os.link(self._magic_link(), name, dst_dir_fd=self._dirfd,
                follow_symlinks=True)

    def _sync_directory(self) -> None:
        try:
            os.fsync(self._dirfd)
        except OSError as exc:
            # Not every file system can do that to a directory.
            if exc.errno != errno.EINVAL:
                raise

    def abandon(self) -> None:
        """Remove what there is, if it has no name yet.

        Safe to call at any time, from any thread.
        """
        name, self._temporary = self._temporary, ''
        if name:
            try:
                os.unlink(name, dir_fd=self._dirfd)
            except OSError:
                pass
