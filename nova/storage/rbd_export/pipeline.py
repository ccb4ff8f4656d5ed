# SPDX-License-Identifier: Apache-2.0

"""Reading, writing and hashing at the same time.

A number of threads each take the next piece of the image, read it, and write
what of it is not zero. Where a digest is wanted, one more thread hashes the
pieces and the holes between them in their order in the image. A piece that
was read stays in memory until it was written and hashed, and the number of
pieces in memory is bounded, so memory does not depend on the image's size.

Neither librbd nor the file system nor hashlib holds the interpreter's lock
while it works on a piece, so the threads do run at the same time.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
import os
import threading
import time

from . import extents as extents_
from . import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash

    from .disk_writer import DiskWriter
    from .rate_limit import RateLimit
    from .snapshot import Snapshot

# Bytes read at once. Larger reads cost memory: librbd holds each byte up to
# three times. Smaller ones cost requests.
READ_SIZE = 1 << 20

# Reads at a time, if the caller does not say.
INFLIGHT = 6

# Where a request costs much more than its bytes, fewer and larger ones are
# faster: on rotating disks and over long distances.
LARGE_READ_SIZE = 8 << 20

# A read that takes longer than this, in seconds for each MiB, is slow.
SLOW_READ = 0.05

# After so many slow reads, with no more than half as many others among them,
# reads are made as large as they may be. One object that hangs for a moment is
# no reason: it has eight reads, or four.
SLOW_READS = 12

# Bytes in memory, with larger reads; for others it is the number of reads at a
# time that counts.
LARGE_BUDGET = 16 << 20

# A reader for each so many pieces, at most.
PIECES_PER_READER = 4

# With a limited rate, a read should not take more of it than this, in seconds.
PACE_STEP = 0.125
SMALLEST_READ = 64 << 10

# Bytes of holes hashed at once, between two signs of life.
ZEROS = 1 << 20

# Longest sleep of a reader that has to wait for its turn, in seconds.
_NAP = 0.25


def paced_read_size(read_size: int, rate: int) -> int:
    """Return how many bytes to read at once with a limited rate.

    :param read_size: how many it would be without
    :param rate: bytes a second
    """
    step = int(rate * PACE_STEP) // SMALLEST_READ * SMALLEST_READ
    return max(SMALLEST_READ, min(read_size, step))


class Stopped(Exception):
    """Another thread failed."""


class Counters:
    """What happened so far. Each is written under the pipeline's lock."""

    read_bytes = 0
    data_bytes = 0
    done_bytes = 0


class Pipeline:
    """The copy of an image to a file.

    :param snapshot: what to read
    :param writer: where to write
    :param parts: what of it to read, as pairs of offset and length in order;
        the rest is known to be zeros
    :param hasher: takes the bytes of the image in order, None for no digest
    :param inflight: reads at a time
    :param read_size: bytes of a read, at first
    :param largest: bytes of a read, at most
    :param rate_limit: limit on the rate, None for none
    :param touch: called when bytes were moved
    :param patience: seconds in which something has to move: larger reads are
        not made if they would take longer
    """

    def __init__(self, snapshot: Snapshot, writer: DiskWriter,
                 parts: list[tuple[int, int]], hasher: _Hash | None,
                 inflight: int, read_size: int, largest: int,
                 rate_limit: RateLimit | None, touch: Callable[[], None],
                 patience: float) -> None:
        self._snapshot = snapshot
        self._writer = writer
        self._hasher = hasher
        self._rate_limit = rate_limit
        self._touch = touch
        self._patience = patience
        self._read_size = read_size
        self._smallest = min(read_size, READ_SIZE)
        self._largest = max(read_size, largest)
        pieces = -(-extents_.total(parts) // read_size)
        # A small image is not worth many threads and their memory.
        self._readers = min(inflight, -(-pieces // PIECES_PER_READER))
        self._base_budget = inflight * self._smallest
        self._slow = 0
        self.counters = Counters()
        # Guards all below, and the counters.
        self._lock = threading.Lock()
        # For readers that wait for room, and for the hasher. To wake up more
        # threads than one at a time costs a tenth of the speed.
        self._room = threading.Condition(self._lock)
        self._next = threading.Condition(self._lock)
        self._ended = threading.Event()
        if hasher is None:
            # A digest needs them in order.
            parts = extents_.rotated(
                parts, snapshot.unit,
                int.from_bytes(os.urandom(4), 'big') / (1 << 32))
        self._cursor = extents_.Cursor(parts)
        self._exhausted = False
        self._failure: BaseException | None = None
        # Bytes of the pieces that are being read, written or hashed.
        self._held = 0
        # Threads that read and that write at the moment, and all there are.
        self._reading = self._writing = self._running = 0
        # Pieces that were written and not hashed, or the other way round.
        self._half_done: set[int] = set()
        # What there is to hash, in order, and what of it was read.
        self._order: collections.deque[tuple[int, int]] = collections.deque()
        self._read: dict[int, bytes] = {}

    def run(self) -> None:
        """Copy everything, and return when that is done.

        :raises: ExportError, or what else the first thread that failed did
        """
        threads = [threading.Thread(target=self._guard, args=(self._reader,),
                                    daemon=True)
                   for _ in range(self._readers)]
        if self._hasher is not None:
            self._exhausted = not self._readers
            threads.append(threading.Thread(
                target=self._guard, args=(self._hash_all,), daemon=True))
        self._running = len(threads)
        for thread in threads:
            thread.start()
        # Not for all of them if one has failed: another may hang for long.
        if threads:
            self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def waits_for_disk(self) -> bool:
        """Whether nothing is asked of the cluster, and the disk is busy."""
        return self._writing > 0 and not self._reading

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as exc:
            with self._lock:
                if self._failure is None:
                    self._failure = exc
                self._room.notify_all()
                self._next.notify_all()
                self._ended.set()
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._ended.set()

    def _reader(self) -> None:
        snapshot, writer, touch = self._snapshot, self._writer, self._touch
        hashing = self._hasher is not None
        counters = self.counters
        while True:
            piece = self._take()
            if piece is None:
                return
            offset, length = piece
            if self._rate_limit is not None:
                self._wait(self._rate_limit.reserve(length))
            started = time.monotonic()
            data = snapshot.read(offset, length)
            touch()
            self._note_time(length, time.monotonic() - started)
            with self._lock:
                self._reading -= 1
                self._writing += 1
                if hashing:
                    self._read[offset] = data
                    self._next.notify()
            runs = list(zeros.data_runs(data))
            if runs:
                writer.write(data, runs, offset)
                touch()
            # Only now may the memory go, if it was hashed already.
            data = b''
            with self._lock:
                self._writing -= 1
                counters.read_bytes += length
                counters.data_bytes += sum(end - start for start, end in runs)
                if not hashing:
                    counters.done_bytes += length
                self._let_go(offset, length)

    def _take(self) -> tuple[int, int] | None:
        """Take the next piece, when there is room for it.

        :returns: its offset and length; None if there is no more
        """
        with self._lock:
            while True:
                self._check()
                length = self._cursor.next_length(self._read_size)
                if not length:
                    self._exhausted = True
                    self._room.notify_all()
                    self._next.notify()
                    return None
                if not self._held or self._held + length <= self._budget():
                    break
                self._room.wait()
            piece = self._cursor.take(length)
            self._held += length
            self._reading += 1
            if self._hasher is not None:
                self._order.append(piece)
            return piece

    def _let_go(self, offset: int, length: int) -> None:
        """Note that a piece was written, or hashed: the lock is held."""
        if self._hasher is not None and offset not in self._half_done:
            self._half_done.add(offset)
            return
        self._half_done.discard(offset)
        self._held -= length
        self._room.notify()

    def _budget(self) -> int:
        budget = self._base_budget
        large = self._read_size > READ_SIZE
        if large:
            budget = max(budget, LARGE_BUDGET)
        if self._hasher is not None:
            # For the one that is being hashed, and one that is written.
            budget += 2 * min(self._read_size, READ_SIZE)
        elif large:
            # For the one that is being written.
            budget += self._read_size
        return budget

    def _check(self) -> None:
        if self._failure is not None:
            raise Stopped()

    def _note_time(self, length: int, seconds: float) -> None:
        """Read more at once where reads are slow, but not where it stalls."""
        if self._read_size > self._smallest:
            if seconds > self._patience:
                self._read_size = self._smallest
            return
        if self._read_size >= self._largest or length < self._read_size:
            return
        # All that is in memory then may come at once.
        if seconds * LARGE_BUDGET > self._patience * self._base_budget:
            return
        if seconds * (1 << 20) > SLOW_READ * length:
            self._slow += 1
        else:
            self._slow = max(0, self._slow - 2)
        if self._slow >= SLOW_READS:
            self._slow = 0
            self._read_size = self._largest

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._check()
            nap = min(seconds, _NAP)
            time.sleep(nap)
            seconds -= nap
            # Waiting for one's turn is no stall.
            self._touch()

    def _hash_all(self) -> None:
        position = 0
        while True:
            with self._lock:
                while not (self._order and self._order[0][0] in self._read):
                    self._check()
                    if self._exhausted and not self._order:
                        break
                    self._next.wait()
                if not self._order:
                    break
                offset, length = self._order.popleft()
                data = self._read.pop(offset)
            self._hash_zeros(offset - position)
            self._hasher.update(data)  # type: ignore[union-attr]
            data = b''
            with self._lock:
                self._let_go(offset, length)
            self.counters.done_bytes += length
            position = offset + length
            self._touch()
        self._hash_zeros(self._snapshot.size - position)

    def _hash_zeros(self, length: int) -> None:
        if length <= 0:
            return
        block = memoryview(bytes(min(ZEROS, length)))
        while length > 0:
            self._check()
            step = min(length, len(block))
            self._hasher.update(block[:step])  # type: ignore[union-attr]
            length -= step
            self.counters.done_bytes += step
            self._touch()
