# SPDX-License-Identifier: Apache-2.0

"""Reclaim what fetches that were cut off left in the image cache.

The one place that knows the names of files on the way to a cache file.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
import typing as ty

from oslo_concurrency import lockutils
from oslo_log import log as logging
from oslo_utils import fileutils

import nova.conf
from nova.virt import image_locks

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Seconds for which no file of an image must have changed. A writer changes its
# file all the time, and waits no longer than its stall timeout.
QUIET = 600

# What images.fetch_to_raw adds to the name of a cache file for the download
# and for its conversion to raw.
PART = '.part'
CONVERTED = '.converted'

# Directories in which nova-image-download works: what their names begin with,
# the file whose lock shows that one is in use, and the age in seconds at which
# one without that file, as earlier versions made them, is left over.
WORKSPACE = '.nova-image-download-'
WORKSPACE_LOCK = 'lock'
WORKSPACE_AGE = 24 * 3600

# Files that are written on the way to a cache file: those above, and that of
# the export engine on a file system that cannot make nameless files (tested
# against the engine's own naming).
NAMES = (
    re.compile(r'([0-9a-f]{40})(?:%s|%s)\Z'
               % (re.escape(PART), re.escape(CONVERTED))),
    re.compile(r'\.([0-9a-f]{40})(?:%s)?\.rbd-export-[0-9a-f]{16}\.tmp\Z'
               % re.escape(PART)),
)


def discard(path: str) -> None:
    """Remove a file if it is there and can be removed.

    Used where another error is under way, which has to remain the one that
    is reported, and before work that shows by itself what is in its way.
    """
    try:
        fileutils.delete_if_exists(path)
    except OSError as exc:
        # A file system that is read-only says so of any name.
        LOG.debug('Could not remove %(path)s: %(reason)s',
                  {'path': path, 'reason': exc})


def reclaim(base_dir: str, lock_path: str) -> None:
    """Remove what fetches that were cut off left in the image cache.

    A file is left over if no process holds a lock under which such files are
    written, nor one on the file itself, and if it and the other files of the
    same image have not changed for a while. No single sign is enough: Nova
    without this module precaches under no lock at all, and on some shared
    file systems the locks of one host do not count for another one. The lock
    files of images that are gone are removed as well. What cannot be removed
    stays until the next time.

    :param base_dir: directory of the image cache
    :param lock_path: directory of the locks
    """
    found: dict[str, list[str]] = {}
    for entry in _entries(base_dir):
        for pattern in NAMES:
            match = pattern.match(entry)
            if match is not None:
                found.setdefault(match.group(1), []).append(
                    os.path.join(base_dir, entry))
    for name, paths in found.items():
        if _is_quiet(base_dir, paths):
            for path in paths:
                _reclaim_file(path, name, lock_path)
    in_use = {name for name, paths in found.items()
              if any(map(os.path.lexists, paths))}
    for entry in _entries(lock_path):
        name = entry.removeprefix(image_locks.PREFIX + image_locks.FETCH)
        if (name != entry and image_locks.CACHE_NAME.match(name) and
                name not in in_use and
                not os.path.exists(os.path.join(base_dir, name))):
            _reclaim_lock(os.path.join(lock_path, entry), name, lock_path)
    reclaim_workspaces(os.path.dirname(os.path.abspath(base_dir)))


def _is_quiet(base_dir: str, paths: list[str]) -> bool:
    """Return whether no process writes to the files of one image.

    Their times are compared with that of a file that is made now, since the
    clock of the file server may be another one than that of this host.
    """
    try:
        with tempfile.TemporaryFile(dir=base_dir) as new:
            now = os.fstat(new.fileno()).st_mtime
        newest = max(os.lstat(path).st_mtime for path in paths)
    except OSError as exc:
        # It has just been finished, or the file system is full or read-only:
        # the next time will do.
        LOG.debug('Could not look for leftovers in %(path)s: %(reason)s',
                  {'path': base_dir, 'reason': exc})
        return False
    return now - newest > _least_age()


def _least_age() -> float:
    return max(QUIET, 2 * CONF.glance.rbd_download_stall_timeout)


@contextlib.contextmanager
def _hold_file(path: str) -> ty.Iterator[None]:
    """Hold the lock of a file itself, which the export engine holds.

    What cannot be locked, as a link, or on a file system without such locks,
    is judged by the other signs.

    :raises: BlockingIOError if another process has it
    """
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(
                path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as exc:
            LOG.debug('Could not lock %(path)s: %(reason)s',
                      {'path': path, 'reason': exc})
        yield


def _entries(directory: str) -> list[str]:
    # Nothing may ever have been locked here.
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def _reclaim_file(path: str, name: str, lock_path: str) -> None:
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(image_locks.hold_if_free(
                image_locks.FETCH + name, lock_path))
            # Hosts of the same instances path that run Nova without this
            # module hold this one only. It is not created only to be free.
            if os.path.exists(os.path.join(lock_path,
                                           image_locks.PREFIX + name)):
                stack.enter_context(image_locks.hold_if_free(name, lock_path))
            stack.enter_context(_hold_file(path))
            size = os.lstat(path).st_blocks * 512
            os.unlink(path)
    except (lockutils.AcquireLockFailedException, FileNotFoundError,
            BlockingIOError):
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
        with image_locks.hold_if_free(image_locks.FETCH + name, lock_path):
            os.unlink(path)
    except (lockutils.AcquireLockFailedException, FileNotFoundError):
        return
    except Exception as exc:
        LOG.error('Could not remove the lock file %(path)s: %(reason)s',
                  {'path': path, 'reason': exc})


@contextlib.contextmanager
def workspace(directory: str) -> ty.Iterator[str]:
    """Make a directory for one command, and remove it at the end.

    If the process is killed, the next one of these, or the image cache
    manager, removes it.

    :param directory: where to make it
    :returns: its path
    """
    reclaim_workspaces(directory)
    while True:
        path = tempfile.mkdtemp(prefix=WORKSPACE, dir=directory)
        lock = os.path.join(path, WORKSPACE_LOCK)
        try:
            file = open(lock, 'w')
        except FileNotFoundError:
            # It was empty, and was taken for a leftover.
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # It is being removed.
                continue
            except OSError:
                # Where there are no locks, none is ever taken for a leftover.
                pass
            if not os.path.exists(lock):
                continue
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
            return


def reclaim_workspaces(directory: str) -> None:
    """Remove the directories that commands which were killed left.

    :param directory: where they were made
    """
    for entry in _entries(directory):
        path = os.path.join(directory, entry)
        if entry.startswith(WORKSPACE) and os.path.isdir(path) and (
                not os.path.islink(path)):
            _reclaim_workspace(path)


def _reclaim_workspace(path: str) -> None:
    try:
        try:
            with open(os.path.join(path, WORKSPACE_LOCK), 'r+') as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
        except FileNotFoundError:
            if time.time() - os.stat(path).st_mtime > WORKSPACE_AGE:
                shutil.rmtree(path)
            else:
                # If it is not empty, it may be in use.
                with contextlib.suppress(OSError):
                    os.rmdir(path)
    except (BlockingIOError, FileNotFoundError):
        return
    except OSError as exc:
        LOG.error('Could not remove %(path)s, left by an interrupted '
                  'download: %(reason)s', {'path': path, 'reason': exc})
    else:
        LOG.debug('Looked after %s of a command that is gone', path)
