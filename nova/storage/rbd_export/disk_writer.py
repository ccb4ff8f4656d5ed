# SPDX-License-Identifier: Apache-2.0

"""Writing to the file that is made, and bringing its data to the disk."""

from __future__ import annotations

import collections
from collections.abc import Callable
import mmap
import os
import threading

from . import libc
from .errors import DISK_ERRNOS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import ExportError

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


class DiskWriter:
    """What writes to one file.

    :param fd: descriptor of the file
    :param size: bytes that it will have in the end
    :param failed: makes an ExportError of what failed and an OSError
    :param directory: of the file, for messages
    """

    def __init__(self, fd: int, size: int,
                 failed: Callable[[str, OSError], ExportError],
                 directory: str) -> None:
        self._fd = fd
        # The same file, past the page cache; -1 if that cannot be.
        self._direct_fd = -1
        self._size = size
        self._failed = failed
        self._directory = directory
        self._local = threading.local()
        self._lock = threading.Lock()
        self._writeback: libc.Writeback | None = None
        # Written and perhaps not on the disk yet, in the order of writing.
        self._dirty: collections.deque[tuple[int, int]] = collections.deque()
        self._dirty_bytes = 0
        # Whether the file system lets the size of a file be set.
        self._truncates = True

    def open_direct(self, path: str) -> None:
        """Open the file a second time, for writes past the page cache.

        :param path: names it
        """
        # Only where there are files without a name: those are the local file
        # systems. On NFS each write past the cache would wait for the server's
        # disk.
        try:
            self._direct_fd = os.open(path, os.O_WRONLY | os.O_DIRECT)
        except OSError:
            pass

    def reserve(self) -> None:
        """Let the file be one hole, whole blocks long.

        :raises: OSError
        """
        try:
            # Whole blocks are written, also at the end.
            os.ftruncate(self._fd, self._size + -self._size % _ALIGNMENT)
        except OSError as exc:
            if exc.errno in DISK_ERRNOS:
                raise
            # It grows as it is written, and nothing past its end is.
            self._direct_fd = -1
            self._truncates = False

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
                    if exc.errno in DISK_ERRNOS:
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
            if self._truncates:
                os.ftruncate(self._fd, self._size)
            elif os.fstat(self._fd).st_size < self._size:
                os.pwrite(self._fd, b'\0', self._size - 1)
            libc.sync(os.fsync, self._fd)
            return os.fstat(self._fd).st_blocks * 512
        except OSError as exc:
            raise self._failed('cannot write to the disk below %s'
                               % self._directory, exc)
