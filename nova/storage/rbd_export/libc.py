# SPDX-License-Identifier: Apache-2.0

"""What the C library can do and Python's standard library does not offer.

All of it is of use and none of it is needed: without ctypes, or with another
C library than glibc, the export works all the same.
"""

from __future__ import annotations

from collections.abc import Callable
import errno
import os

from .errors import DISK_ERRNOS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Of mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

# Blocks of more bytes come from the kernel and go back to it: among blocks of
# other sizes they would leave gaps that fit nothing.
LARGE_BLOCK = 1280 << 10

# Free memory, in bytes, that is kept for the next block.
KEPT = 16 << 20

# Flags of sync_file_range(2).
_WAIT_BEFORE = 1
_WRITE = 2
_WAIT_AFTER = 4

# Ways to say that a file or a process cannot have its data synchronised, which
# says nothing of the data. Programs that only write do not meet them.
CANNOT_SYNC = frozenset([errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS,
                         errno.EPERM, errno.EACCES])


def _library() -> tuple[Any, Any]:
    try:
        import ctypes
        return ctypes, ctypes.CDLL(None, use_errno=True)
    except (ImportError, OSError):
        return None, None


def limit_memory() -> None:
    """Let threads share the memory that is free.

    By default each gets an arena of its own, with its own share of free
    memory. Here megabytes are taken in one thread and given back in another,
    and the free memory of ten arenas is more than what is in use. To be called
    before there is any thread.
    """
    library = _library()[1]
    try:
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT)
    except AttributeError:
        pass


def sync(call: Callable[[int], None], fd: int) -> None:
    """Wait until data is on the disk, where that can be waited for.

    :param call: os.fsync or os.fdatasync
    :raises: OSError
    """
    try:
        call(fd)
    except OSError as exc:
        if exc.errno not in CANNOT_SYNC:
            raise


class Writeback:
    """Ways to bring a file's data to the disk before it is all there.

    :param fd: descriptor of the file
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._call: Callable[..., int] | None = None
        ctypes, library = _library()
        try:
            call = library.sync_file_range
            self._errno = ctypes.get_errno
        except AttributeError:
            return
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64,
                         ctypes.c_uint)
        self._call = call

    @property
    def by_range(self) -> bool:
        """Whether start and wait work on parts of the file."""
        return self._call is not None

    def start(self, offset: int, length: int) -> None:
        """Let data begin its way to the disk."""
        if self._call is not None:
            # An error that comes up later is returned by wait.
            self._call(self._fd, offset, length, _WRITE)

    def wait(self, ranges: list[tuple[int, int]]) -> None:
        """Wait until data is on the disk.

        :param ranges: of the file, as pairs of offset and length
        :raises: OSError
        """
        call = self._call
        if call is not None:
            # An error of the disk is told once for each open file, here or by
            # fsync (linux, file_check_and_advance_wb_err): it must not get
            # lost.
            for offset, length in ranges:
                if not call(self._fd, offset, length,
                            _WAIT_BEFORE | _WRITE | _WAIT_AFTER):
                    continue
                number = self._errno()
                if number in DISK_ERRNOS:
                    raise OSError(number, os.strerror(number))
                # Of use, but not needed.
                self._call = None
                break
            else:
                return
        sync(os.fdatasync, self._fd)
