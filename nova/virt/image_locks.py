# SPDX-License-Identifier: Apache-2.0

"""The locks under which files of the image cache are written.

They are POSIX locks on files in ``locks`` below the instances path: shared by
all processes of a host, by all hosts of a shared instances path, and free
again when their holder dies.
"""

import contextlib
import errno
import os
import re
import time
import typing as ty

from oslo_concurrency import lockutils

import nova.conf
from nova.image import lock_wait

CONF = nova.conf.CONF

# The prefix of the files of Nova's locks, see nova.utils.synchronized. The
# image backends hold a lock with the name of the cache file around a fetch.
PREFIX = 'nova-'

# Ours needs a name of its own: theirs covers other work too, and one thread
# cannot take a lock twice.
FETCH = 'fetch-'

# Cache files are named by the SHA-1 of the image id, see
# nova.virt.libvirt.imagecache.get_cache_fname.
CACHE_NAME = re.compile(r'[0-9a-f]{40}\Z')


def directory() -> str:
    """Return the directory of the locks."""
    # Beside the cache on the same, possibly shared, file system: where the
    # image backends keep theirs.
    return os.path.join(CONF.instances_path, 'locks')


@contextlib.contextmanager
def hold(name: str) -> ty.Iterator[None]:
    """Hold the lock of a cache file, waiting for it as long as it takes.

    The wait is as long as the download of the process that has it, which has
    its own timeouts. :mod:`nova.image.lock_wait` knows it while the lock is
    held.

    :param name: of the cache file
    """
    started = time.monotonic()
    while True:
        with lockutils.lock(FETCH + name, lock_file_prefix=PREFIX,
                            external=True, lock_path=directory()) as lock:
            # The file may have been reclaimed while we waited for it. A lock
            # on a file without a name keeps no process out.
            if not _is_current(lock):
                continue
            token = lock_wait.begin(time.monotonic() - started)
            try:
                yield
            finally:
                lock_wait.end(token)
            return


@contextlib.contextmanager
def hold_if_free(name: str, lock_path: str) -> ty.Iterator[None]:
    """Hold a lock if it is free.

    :param name: of the lock
    :param lock_path: directory of the locks
    :raises: AcquireLockFailedException if it is not
    """
    with lockutils.lock(name, lock_file_prefix=PREFIX, external=True,
                        lock_path=lock_path, blocking=False) as lock:
        if not _is_current(lock):
            raise lockutils.AcquireLockFailedException(name)
        yield


def _is_current(lock: ty.Any) -> bool:
    """Return whether the file of a lock is still the one that has its name."""
    lockfile = getattr(lock, 'lockfile', None)
    if lockfile is None:
        # External locks are disabled, or replaced in a unit test.
        return True
    try:
        return os.path.samestat(os.fstat(lockfile.fileno()),
                                os.stat(lock.path))
    except OSError as exc:
        # NFS says the latter of a file that another host has removed.
        if exc.errno in (errno.ENOENT, errno.ESTALE):
            return False
        raise
