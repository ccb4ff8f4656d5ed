# SPDX-License-Identifier: Apache-2.0

"""Fetch each image into the shared cache once, and clear up after crashes.

A server's build and a request to precache may want the same image at the same
time, in several processes, and on several hosts if they share the instances
path. All of them go through :func:`fetch_once`.
"""

import contextlib
import contextvars
import errno
import functools
import os
import re
import time
import typing as ty

from oslo_concurrency import lockutils
from oslo_log import log as logging
from oslo_utils import fileutils

import nova.conf
from nova import release_compat

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# The prefix of the files of Nova's locks, see nova.utils.synchronized. The
# image backends hold a lock with the name of the cache file around a fetch.
LOCK_PREFIX = 'nova-'

# Ours needs a name of its own: theirs covers other work too, and one thread
# cannot take a lock twice.
LOCK_NAME = 'fetch-'

# Cache files are named by the SHA-1 of the image id, see
# nova.virt.imagecache.get_cache_fname.
CACHE_NAME = re.compile(r'[0-9a-f]{40}\Z')

# Files that are written on the way to a cache file: by images.fetch_to_raw,
# and by the export engine on a file system that cannot make nameless files
# (see TEMPORARY_NAME in nova.storage.rbd_export.output_file).
LEFTOVER_NAMES = (
    re.compile(r'([0-9a-f]{40})\.(?:part|converted)\Z'),
    re.compile(r'\.([0-9a-f]{40})(?:\.part)?\.rbd-export-[0-9a-f]{16}\.tmp\Z'),
)


# Seconds that the fetch under way in this thread, or greenthread, has waited
# for its lock.
_waited: contextvars.ContextVar[float] = contextvars.ContextVar(
    'waited', default=0.0)

# Whoever waited no longer than so many seconds has not waited for a download.
SHORT_WAIT = 1.0


def waited() -> float:
    """Return the seconds that the fetch under way has waited for others.

    0.0 if it had not to wait, or if nothing is fetched.
    """
    seconds = _waited.get()
    return seconds if seconds > SHORT_WAIT else 0.0


def fetch_once(staged: bool = False) -> ty.Callable:
    """Make a function fetch an image into the cache only if it is missing.

    The decorated function is called as ``(context, image_href, path,
    trusted_certs=None)``. If path is a file of the image cache it runs under
    a lock that is shared by all hosts of a shared instances path and that is
    freed when its holder dies. Whoever waited finds the file and returns.
    Other paths are none of our business and are passed through. What is
    returned for a file of the cache is whether it was fetched here.

    :param staged: whether the function writes to path itself, so that it is
        to be given another one that is renamed afterwards
    """
    def decorator(fetch: ty.Callable) -> ty.Callable:
        @functools.wraps(fetch)
        def wrapper(context, image_href, path, *args, **kwargs):
            if not _is_cache_file(path):
                return fetch(context, image_href, path, *args, **kwargs)
            with _lock(os.path.basename(path)):
                if os.path.exists(path):
                    log = LOG.info if waited() else LOG.debug
                    log('Image %(image)s was fetched by someone else, after '
                        'a wait of %(seconds).1f s',
                        {'image': image_href, 'seconds': _waited.get()})
                    return False
                # A conversion may outlive the process that wanted it, with a
                # lock on its file.
                discard(path + '.converted')
                if not staged:
                    fetch(context, image_href, path, *args, **kwargs)
                else:
                    part = path + '.part'
                    with fileutils.remove_path_on_error(part, discard):
                        fetch(context, image_href, part, *args, **kwargs)
                        sync_file(part)
                        os.rename(part, path)
                _make_durable(path)
            return True
        return wrapper
    return decorator


def discard(path: str) -> None:
    """Remove a file if it is there and can be removed.

    Used where another error is under way, which has to remain the one that
    is told, and before work that shows by itself what is in its way.
    """
    try:
        fileutils.delete_if_exists(path)
    except OSError as exc:
        # A file system that is read-only says so of any name.
        LOG.debug('Could not remove %(path)s: %(reason)s',
                  {'path': path, 'reason': exc})


def reclaim_leftovers(base_dir: str, lock_path: str) -> None:
    """Remove what fetches that were cut off left in the image cache.

    A file is left over if nobody holds the locks under which such files are
    written. The lock files of images that are gone are removed as well. What
    cannot be removed stays until the next time.

    :param base_dir: directory of the image cache
    :param lock_path: directory of the locks
    """
    for entry in _entries(base_dir):
        for pattern in LEFTOVER_NAMES:
            match = pattern.match(entry)
            if match is not None:
                _reclaim(os.path.join(base_dir, entry), match.group(1),
                         lock_path)
    for entry in _entries(lock_path):
        name = entry.removeprefix(LOCK_PREFIX + LOCK_NAME)
        if (name != entry and CACHE_NAME.match(name) and
                not os.path.exists(os.path.join(base_dir, name))):
            _reclaim_lock(os.path.join(lock_path, entry), name, lock_path)


def _entries(directory: str) -> list[str]:
    # Nothing may ever have been locked here.
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def _reclaim(path: str, name: str, lock_path: str) -> None:
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_try_lock(LOCK_NAME + name, lock_path))
            # Hosts of the same instances path that run an older Nova hold
            # this one only. It is not created for nobody to hold.
            if os.path.exists(os.path.join(lock_path, LOCK_PREFIX + name)):
                stack.enter_context(_try_lock(name, lock_path))
            size = os.stat(path).st_blocks * 512
            os.unlink(path)
    except (lockutils.AcquireLockFailedException, FileNotFoundError):
        # It is being written, or its writer has just finished.
        return
    except Exception as exc:
        # Whatever it is, it must not end the care for the rest of the cache.
        LOG.error('Could not remove %(path)s, left by an interrupted '
                  'download: %(reason)s', {'path': path, 'reason': exc})
    else:
        LOG.info('Removed %(path)s, left by an interrupted download, and '
                 'freed %(size)d bytes', {'path': path, 'size': size})


def _reclaim_lock(path: str, name: str, lock_path: str) -> None:
    try:
        with _try_lock(LOCK_NAME + name, lock_path):
            os.unlink(path)
    except (lockutils.AcquireLockFailedException, FileNotFoundError):
        return
    except Exception as exc:
        LOG.error('Could not remove the lock file %(path)s: %(reason)s',
                  {'path': path, 'reason': exc})


def _is_cache_file(path: str) -> bool:
    directory, name = os.path.split(path)
    cache = os.path.join(CONF.instances_path,
                         CONF.image_cache.subdirectory_name)
    return (bool(CACHE_NAME.match(name)) and
            os.path.normpath(directory) == os.path.normpath(cache))


def _lock_path() -> str:
    # Beside the cache on the same, possibly shared, file system: where the
    # image backends keep theirs.
    return os.path.join(CONF.instances_path, 'locks')


@contextlib.contextmanager
def _lock(name: str) -> ty.Iterator[None]:
    """Hold the lock of a cache file, waiting for it as long as it takes.

    The wait is as long as the other's download, which has its own timeouts.
    """
    started = time.monotonic()
    while True:
        with lockutils.lock(LOCK_NAME + name, lock_file_prefix=LOCK_PREFIX,
                            external=True, lock_path=_lock_path()) as lock:
            # The file may have been reclaimed while we waited for it. A lock
            # on a file without a name keeps nobody out.
            if not _is_current(lock):
                continue
            token = _waited.set(time.monotonic() - started)
            try:
                yield
            finally:
                _waited.reset(token)
            return


@contextlib.contextmanager
def _try_lock(name: str, lock_path: str) -> ty.Iterator[None]:
    """Hold a lock if it is free.

    :raises: AcquireLockFailedException if it is not
    """
    with lockutils.lock(name, lock_file_prefix=LOCK_PREFIX, external=True,
                        lock_path=lock_path, blocking=False) as lock:
        if not _is_current(lock):
            raise lockutils.AcquireLockFailedException(name)
        yield


def _is_current(lock: ty.Any) -> bool:
    """Whether the file of a lock is still the one that has its name."""
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


def sync_file(path: str) -> None:
    """Put the content of a file on stable storage before it gets its name.

    A host that loses power must not find a corrupt backing file later.

    :param path: of the file; one that a unit test did not make is none
    :raises: OSError if the disk lost data of the file, which is removed then
    """
    if os.path.exists(path):
        with fileutils.remove_path_on_error(path, discard):
            _sync(path)


def _make_durable(path: str) -> None:
    """Put a finished cache file and its name on stable storage.

    :raises: OSError if the disk lost data of the file, which is removed then
    """
    if not os.path.exists(path):
        # A fetch that a unit test replaced makes no file.
        return
    sync_file(path)
    try:
        _sync(os.path.dirname(path))
    except OSError as exc:
        # Some network file systems cannot do this for a directory.
        if exc.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # It may take as long as the disk needs for gigabytes.
        release_compat.off_hub(os.fsync, descriptor)
    finally:
        os.close(descriptor)
