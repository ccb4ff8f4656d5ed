#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

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

from collections.abc import Callable
from collections.abc import Iterator
import itertools
import threading
import time

from . import extents as extents_
from . import zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash

    from .cluster import Snapshot
    from .pacing import Pace
    from .target import Target

# Bytes read at once. Larger reads cost memory, smaller ones requests.
READ_SIZE = 1 << 20

# Reads at a time, if the caller does not say.
INFLIGHT = 6

# A reader for each so many pieces, at most.
PIECES_PER_READER = 4

# With a digest, pieces in memory beyond the number of reads at a time: the one
# that is being hashed.
HASH_BACKLOG = 1

# Without a map of the objects each read of a hole is a request. It is then
# better to ask for more at once.
READ_SIZE_UNMAPPED = 4 << 20

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
    :param target: where to write
    :param parts: what of it to read, as pairs of offset and length in order;
        the rest is known to be zeros
    :param hasher: takes the bytes of the image in order, None for no digest
    :param inflight: reads at a time
    :param read_size: bytes of a read
    :param pace: limit on the rate, None for none
    :param touch: called when bytes were moved
    """

    def __init__(self, snapshot: Snapshot, target: Target,
                 parts: list[tuple[int, int]], hasher: _Hash | None,
                 inflight: int, read_size: int, pace: Pace | None,
                 touch: Callable[[], None]) -> None:
        self._snapshot = snapshot
        self._target = target
        self._parts = parts
        self._hasher = hasher
        self._pace = pace
        self._touch = touch
        self._lock = threading.Lock()
        self._read_size = read_size
        self._pieces = extents_.pieces(parts, read_size)
        # A small image is not worth many threads and their memory.
        few = itertools.islice(extents_.pieces(parts, read_size),
                               PIECES_PER_READER * inflight)
        pieces = sum(1 for _ in few)
        self._readers = min(inflight, -(-pieces // PIECES_PER_READER))
        self._failure: BaseException | None = None
        self._stop = False
        self.counters = Counters()
        # What was read and is not hashed yet, by offset.
        self._read: dict[int, bytes] = {}
        self._arrived = threading.Condition()
        self._room = threading.Semaphore(self._readers + HASH_BACKLOG)

    def run(self) -> None:
        """Copy everything, and return when that is done.

        :raises: ExportError, or what else the first thread that failed did
        """
        threads = [threading.Thread(target=self._guard, args=(self._reader,),
                                    daemon=True)
                   for _ in range(self._readers)]
        if self._hasher is not None:
            threads.append(threading.Thread(
                target=self._guard, args=(self._hash_all,), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as exc:
            with self._arrived:
                if self._failure is None:
                    self._failure = exc
                self._stop = True
                self._arrived.notify_all()
            # Wake those who wait for room.
            for _ in range(self._readers):
                self._room.release()

    def _reader(self) -> None:
        snapshot, target, touch = self._snapshot, self._target, self._touch
        hashing = self._hasher is not None
        counters = self.counters
        while True:
            if hashing:
                self._room.acquire()
            with self._lock:
                piece = next(self._pieces, None)
            if piece is None or self._stop:
                # For the next reader, to find the same.
                self._room.release()
                return
            offset, length = piece
            if self._pace is not None:
                self._wait(self._pace.reserve(length))
            data = snapshot.read(offset, length)
            touch()
            if hashing:
                with self._arrived:
                    self._read[offset] = data
                    self._arrived.notify()
            runs = list(zeros.data_runs(data))
            written = 0
            if runs:
                target.write(data, runs, offset)
                written = sum(end - start for start, end in runs)
                touch()
            # Only now may the memory go, if it was hashed already.
            data = b''
            with self._lock:
                counters.read_bytes += length
                counters.data_bytes += written
                if not hashing:
                    counters.done_bytes += length

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            if self._stop:
                raise Stopped()
            nap = min(seconds, _NAP)
            time.sleep(nap)
            seconds -= nap
            # Waiting for one's turn is no stall.
            self._touch()

    def _hash_all(self) -> None:
        position = 0
        for offset, length in self._stream():
            self._hash_zeros(offset - position)
            with self._arrived:
                while offset not in self._read:
                    if self._stop:
                        raise Stopped()
                    self._arrived.wait()
                data = self._read.pop(offset)
            self._hasher.update(data)  # type: ignore[union-attr]
            data = b''
            self._room.release()
            self.counters.done_bytes += length
            position = offset + length
            self._touch()
        self._hash_zeros(self._snapshot.size - position)

    def _stream(self) -> Iterator[tuple[int, int]]:
        return extents_.pieces(self._parts, self._read_size)

    def _hash_zeros(self, length: int) -> None:
        if length <= 0:
            return
        block = memoryview(bytes(min(ZEROS, length)))
        while length > 0:
            if self._stop:
                raise Stopped()
            step = min(length, len(block))
            self._hasher.update(block[:step])  # type: ignore[union-attr]
            length -= step
            self.counters.done_bytes += step
            self._touch()
