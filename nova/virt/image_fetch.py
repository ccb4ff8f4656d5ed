# SPDX-License-Identifier: Apache-2.0

"""Fetch each image into the shared cache once, and durably.

A server's build and a request to precache may want the same image at the same
time, in several processes, and on several hosts if they share the instances
path. All of them go through :func:`fetch_once`.
"""

import errno
import functools
import os
import typing as ty

from oslo_log import log as logging
from oslo_utils import fileutils

import nova.conf
from nova.image import lock_wait
from nova import release_compat
from nova.virt import image_leftovers
from nova.virt import image_locks

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

discard = image_leftovers.discard


def fetch_once(staged: bool = False) -> ty.Callable:
    """Make a function fetch an image into the cache only if it is missing.

    The decorated function is called as ``(context, image_href, path,
    trusted_certs=None)``. If path is a file of the image cache it runs under
    the lock of :func:`nova.virt.image_locks.hold`. A caller that waited finds
    the file and returns. Other paths are passed through. What is returned for
    a file of the cache is whether it was fetched here.

    :param staged: whether the function writes to path itself, so that it is
        to be given another one that is renamed afterwards
    """
    def decorator(fetch: ty.Callable) -> ty.Callable:
        @functools.wraps(fetch)
        def wrapper(context, image_href, path, *args, **kwargs):
            if not _is_cache_file(path):
                return fetch(context, image_href, path, *args, **kwargs)
            with image_locks.hold(os.path.basename(path)):
                if os.path.exists(path):
                    if lock_wait.seconds():
                        LOG.info('Waited %(seconds).1f s while another '
                                 'process fetched image %(image)s',
                                 {'image': image_href,
                                  'seconds': lock_wait.seconds()})
                    return False
                # A conversion may outlive the process that wanted it, with a
                # lock on its file.
                discard(path + image_leftovers.CONVERTED)
                part = path + image_leftovers.PART
                if os.path.islink(part):
                    # HTTP would write to the file that it leads to.
                    discard(part)
                if not staged:
                    fetch(context, image_href, path, *args, **kwargs)
                else:
                    with fileutils.remove_path_on_error(part, discard):
                        fetch(context, image_href, part, *args, **kwargs)
                        sync_file(part)
                        os.rename(part, path)
                _make_durable(path)
            return True
        return wrapper
    return decorator


def _is_cache_file(path: str) -> bool:
    directory, name = os.path.split(path)
    cache = os.path.join(CONF.instances_path,
                         CONF.image_cache.subdirectory_name)
    return (bool(image_locks.CACHE_NAME.match(name)) and
            os.path.normpath(directory) == os.path.normpath(cache))


def sync_file(path: str) -> None:
    """Put the content of a file on stable storage before it gets its name.

    A host that loses power must not find a corrupt backing file later.

    :param path: of the file; one that a unit test did not make is passed over
    :raises: OSError if the disk lost data of the file, which is removed then
    """
    if os.path.exists(path):
        with fileutils.remove_path_on_error(path, discard):
            _sync(path)


def _make_durable(path: str) -> None:
    """Put the name of a finished cache file on stable storage.

    Its content was put there before it got the name. From then on servers may
    use the file, without our lock, so that it is not removed whatever happens
    here.
    """
    if not os.path.exists(path):
        # A fetch that a unit test replaced makes no file.
        return
    directory = os.path.dirname(path)
    try:
        _sync(directory)
    except OSError as exc:
        # Some network file systems cannot do this for a directory.
        if exc.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            LOG.warning('Could not write the directory %(directory)s to '
                        'stable storage: %(error)s. The image %(path)s is '
                        'there, but may be lost if the host loses power. To '
                        'fix this, check its file system.',
                        {'directory': directory, 'error': exc, 'path': path})


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # It may take as long as the disk needs for gigabytes.
        release_compat.off_hub(os.fsync, descriptor)
    finally:
        os.close(descriptor)
