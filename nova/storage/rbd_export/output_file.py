# SPDX-License-Identifier: Apache-2.0

"""The file that is made: invisible until it is whole.

Where the file system has files without a name (O_TMPFILE), the data goes into
one and gets its name in the end: a crash, of the program or of the host,
leaves nothing behind. Elsewhere, on NFS for example, it goes into a file with
a private name, which only a crash leaves behind. Such a leftover is known by
its name, see TEMPORARY_NAME, and by the lock (flock) that its maker holds as
long as it lives.

A program that only opens, writes and renames gets by with fewer rights than
that, and security policies are written for such programs. So whatever else is
used here may be refused, with any error but those of the disk itself.
"""

from __future__ import annotations

import os
import stat

from . import disk_writer
from .errors import DISK_ERRNOS
from .errors import ExportError
from .errors import local_error

# The private name of a file that is being made: a dot, the first part of the
# name it is to have, this, 16 hexadecimal digits, the suffix. A regular
# expression for all of them, to find what a crash left behind.
TEMPORARY_MARK = '.rbd-export-'
TEMPORARY_SUFFIX = '.tmp'
TEMPORARY_NAME = r'^\..*\.rbd-export-[0-9a-f]{16}\.tmp$'

# Bytes of file name that file systems allow, less the private name's own.
_NAME_PART = 200


class OutputFile:
    """A file in the making.

    :param path: the name it is to have. A regular file of that name will be
        replaced.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        directory, self._name = os.path.split(path)
        self._directory = directory or '.'
        self._fd = self._dirfd = -1
        self._temporary = ''

    def open_directory(self) -> None:
        """Open the directory, and check that the name may be used there.

        :raises: ExportError if it may not
        """
        try:
            self._dirfd = self._open_directory()
        except OSError as exc:
            raise self._failed('cannot open the directory %s'
                               % self._directory, exc)
        self._check_name()

    def _open_directory(self) -> int:
        try:
            return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:
            # To write there it need not be readable.
            return os.open(self._directory, os.O_PATH | os.O_DIRECTORY)

    def _failed(self, what: str, exc: OSError) -> ExportError:
        error = local_error(what, exc, path=self.path)
        if error.code == 'no_space':
            try:
                error.facts['available_bytes'] = self._available()
            except OSError:
                pass
        return error

    def _check_name(self) -> bool:
        """Return whether the name is in use.

        :raises: ExportError if it is, by something else than a plain file
        """
        if self._name in ('', '.', '..'):
            raise ExportError('not_writable', '%s is a directory' % self.path,
                              'name a file', path=self.path)
        try:
            mode = os.lstat(self._name, dir_fd=self._dirfd).st_mode
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise self._failed('cannot look at %s' % self.path, exc)
        if not stat.S_ISREG(mode):
            raise ExportError(
                'not_writable', '%s exists and is not a regular file'
                % self.path, 'remove it or name another file', path=self.path)
        return True

    def _available(self) -> int:
        """Return how many bytes may still be written there."""
        found = os.fstatvfs(self._dirfd)
        return found.f_bavail * found.f_frsize

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
        # All get the mode that open(path, 'wb') would have given.
        try:
            self._fd = self._open_unnamed()
            return self._fd
        except OSError as exc:
            if exc.errno in DISK_ERRNOS:
                raise
        name = self._private_name()
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

    def _open_unnamed(self) -> int:
        """Return a file without a name that can be given one.

        Whether it can is tried with an empty one, as a file that was linked
        and unlinked cannot be linked again. That may be refused by a file
        system, by a security policy, and where there is no /proc; after the
        copy it would be too late.

        :raises: OSError
        """
        trial = self._fd = self._unnamed()
        try:
            name = self._private_name()
            self._link(name)
            try:
                os.unlink(name, dir_fd=self._dirfd)
            except FileNotFoundError:
                # Taken for a leftover.
                pass
        finally:
            self._fd = -1
            os.close(trial)
        return self._unnamed()

    def _unnamed(self) -> int:
        return os.open('.', os.O_TMPFILE | os.O_WRONLY, 0o666,
                       dir_fd=self._dirfd)

    def _private_name(self) -> str:
        return '.%s%s%s%s' % (
            os.fsdecode(os.fsencode(self._name)[:_NAME_PART]), TEMPORARY_MARK,
            os.urandom(8).hex(), TEMPORARY_SUFFIX)

    def _magic_link(self) -> str:
        return '/proc/self/fd/%d' % self._fd

    def publish(self) -> None:
        """Give the file its name, for good.

        :raises: ExportError
        """
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
                    name = self._private_name()
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
            # Not every file system can do that to a directory, and not every
            # directory may be opened for it.
            if exc.errno in DISK_ERRNOS:
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
