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

import errno
import os
import stat

from . import disk_writer
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


class OutputFile:
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
        self._temporary = ''
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

    def create(self, size: int) -> disk_writer.DiskWriter:
        """Make the file, all of it one hole.

        :param size: in bytes
        :returns: what writes to it
        :raises: ExportError
        """
        try:
            writer = disk_writer.DiskWriter(self._open(), size, self._failed,
                                            self._directory)
            if not self._temporary:
                writer.open_direct(self._magic_link())
            writer.reserve()
            return writer
        except OSError as exc:
            raise self._failed('cannot create a file in %s' % self._directory,
                               exc)

    def _open(self) -> int:
        # Both get the mode that open(path, 'wb') would have given.
        try:
            self._fd = os.open(
                '.', os.O_TMPFILE | os.O_WRONLY, 0o666, dir_fd=self._dirfd)
            # Without /proc it could not be given its name.
            if os.path.exists(self._magic_link()):
                return self._fd
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
        return self._fd

    def _magic_link(self) -> str:
        return '/proc/self/fd/%d' % self._fd

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
