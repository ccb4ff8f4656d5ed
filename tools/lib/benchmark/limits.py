# SPDX-License-Identifier: Apache-2.0

"""Two limits that no copy can beat, each a program of its own.

    limits.py reads CONF USER POOL IMAGE     read a snapshot to nowhere
    limits.py sha512 BYTES                   hash bytes of memory

It needs nothing but the Ceph bindings.
"""

import hashlib
import os
import random
import sys
import threading

MIB = 1 << 20

# Reads in flight and their size where they are thrown away.
LIMIT_READS, LIMIT_SIZE = 8, 2 * MIB


def reads(conf: str, user: str, pool: str, name: str) -> None:
    """Read all data of a snapshot and throw it away."""
    import rados
    import rbd
    client = rados.Rados(rados_id=user, conffile=conf)
    client.conf_set('rbd_cache', 'false')
    client.connect()
    image = rbd.Image(client.open_ioctx(pool), name, snapshot='snap',
                      read_only=True)
    size = image.size()
    parts = [(0, size)]
    if image.features() & rbd.RBD_FEATURE_FAST_DIFF:
        parts = []
        image.diff_iterate(0, size, None, lambda offset, length, exists:
                           parts.append((offset, length)) if exists else None,
                           include_parent=True, whole_object=True)
    pieces = ((start, min(LIMIT_SIZE, offset + length - start))
              for offset, length in parts
              for start in range(offset, offset + length, LIMIT_SIZE))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                piece = next(pieces, None)
            if piece is None:
                return
            image.read(*piece)

    threads = [threading.Thread(target=work) for _ in range(LIMIT_READS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # As quickly as the engine.
    os._exit(0)


def sha512(size: int) -> None:
    """Hash so many bytes of memory."""
    data = random.Random(0).randbytes(16 * MIB)
    hasher = hashlib.sha512()
    while size:
        step = min(size, len(data))
        hasher.update(memoryview(data)[:step])
        size -= step


if __name__ == '__main__':
    if sys.argv[1] == 'reads':
        reads(*sys.argv[2:])
    else:
        sha512(int(sys.argv[2]))
