# SPDX-License-Identifier: Apache-2.0

"""One download that is watched: by which way, how far, how fast.

What downloads is Nova's own code, unchanged; this sees what it announces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
import typing as ty

from nova.cmd.image_download import node_user
from nova.cmd.image_download import service_user
import nova.conf
from nova import context as nova_context
from nova.image import direct_download
from nova.image import glance
from nova.storage import rbd_transfer
from nova.virt import image_leftovers
from nova.virt import images

CONF = nova.conf.CONF

# Seconds between two looks at a file that grows.
INTERVAL = 0.2


@dataclasses.dataclass
class Outcome:
    """What came of a download.

    :ivar method: 'rbd', 'http', or '' if nothing had to be downloaded
    :ivar size: bytes of the file
    :ivar data_bytes: bytes of it that were read as data; None if unknown
    :ivar allocated: bytes that the file takes on the disk
    :ivar seconds: how long it took
    :ivar verified: by what the copy was verified
    :ivar progress: pairs of seconds and bytes
    """

    method: str
    size: int
    data_bytes: int | None
    allocated: int
    seconds: float
    verified: str
    progress: list[tuple[float, int]] = dataclasses.field(
        default_factory=list)

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.size / max(self.seconds, 1e-6)


class Watch:
    """Watches what Nova downloads while this context lasts.

    :param image: the image, as service_user.show gives it
    :param path: the file that a download over HTTP writes to
    :param show: called with the bytes that are there and those of the image
    """

    def __init__(self, image: dict[str, ty.Any], path: str,
                 show: ty.Callable[[int, int], object]) -> None:
        self._image = image
        self._path = path
        self._show = show
        self._total = image.get('size') or 0
        self._direct: direct_download.Downloaded | None = None
        self._context = contextlib.ExitStack()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._started = 0.0
        self.progress: list[tuple[float, int]] = []

    def __enter__(self) -> 'Watch':
        self._context.enter_context(rbd_transfer.watching(self._observe))
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()
        self._context.close()

    def _observe(self, happening: object) -> None:
        if isinstance(happening, rbd_transfer.Progress) and happening.total:
            self._note(happening.done, happening.total)
        elif isinstance(happening, direct_download.Downloaded):
            self._direct = happening

    def _poll(self) -> None:
        while not self._ended.wait(INTERVAL):
            with contextlib.suppress(OSError):
                # With RBD the file has no name before it is whole.
                self._note(os.stat(self._path).st_size, self._total)

    def _note(self, done: int, total: int) -> None:
        self.progress.append((time.monotonic() - self._started, done))
        self._show(done, total)

    def outcome(self, path: str) -> Outcome:
        """Return what came of it.

        :param path: the file
        """
        seconds = time.monotonic() - self._started
        stat = os.stat(path)
        size, data, method = stat.st_size, None, 'http'
        verified = self._verified_by_http()
        if self._direct is not None:
            # The file may have been converted since.
            method, size = 'rbd', self._direct.result.size
            data = self._direct.result.data_bytes
            verified = ' and '.join(self._direct.proofs) or 'unverified'
        return Outcome(method, size, data, stat.st_blocks * 512, seconds,
                       verified, [*self.progress, (seconds, size)])

    def _verified_by_http(self) -> str:
        # glanceclient compares these while it reads.
        proofs = []
        if self._image.get('os_hash_value'):
            proofs.append(self._image.get('os_hash_algo') or 'hash')
        elif self._image.get('checksum'):
            proofs.append('md5')
        if CONF.glance.verify_glance_signatures:
            proofs.append('signature')
        return ' and '.join(proofs) or 'unverified'


@contextlib.contextmanager
def by_way_of(method: str) -> ty.Iterator[None]:
    """Let downloads take one way while the context lasts.

    :param method: 'auto' as nova.conf says, 'rbd' or 'http'
    """
    ways: dict[str, dict[str, ty.Any]] = {
        'auto': {},
        'rbd': {'enable_rbd_download': True,
                'allowed_direct_url_schemes': ['rbd'],
                'rbd_download_fallback': False},
        'http': {'enable_rbd_download': False},
    }
    wanted = ways[method]
    before = {name: CONF.glance[name] for name in wanted}
    try:
        for name, value in wanted.items():
            CONF.set_override(name, value, 'glance')
        yield
    finally:
        for name, value in before.items():
            CONF.set_override(name, value, 'glance')


def check_target(path: str) -> tuple[str, str]:
    """Check that a file can be written.

    :returns: its directory and its name
    :raises: OperatorError
    """
    directory, name = os.path.split(os.path.abspath(path))
    if os.path.lexists(path) and not os.path.isfile(path):
        raise service_user.OperatorError('%s is not a regular file' % path,
                                         'name another')
    reason = node_user.why_not_writable(directory)
    if reason:
        raise service_user.OperatorError(
            '%s cannot write to %s: %s' % (node_user.name(), directory,
                                           reason),
            'name a file in another directory')
    return directory, name


def fetch(context: nova_context.RequestContext, image: dict[str, ty.Any],
          path: str, method: str,
          show: ty.Callable[[int, int], object] = lambda done, total: None
          ) -> Outcome:
    """Download an image to a file as nova-compute does.

    :param context: from service_user.context
    :param image: from service_user.show
    :param path: where to; a regular file there is replaced when the new one
        is whole and on the disk, and nothing else is left in any case
    :param method: one of arguments.METHODS
    :param show: see :class:`Watch`
    :raises: OperatorError if nothing can be written there; what the download
        raises
    """
    directory, _name = check_target(path)
    with image_leftovers.workspace(directory) as room:
        part = os.path.join(room, 'image')
        with by_way_of(method), Watch(image, part, show) as watch:
            glance.API().download(context, image['id'], dest_path=part)
            # nova-compute does so when it is in the cache.
            descriptor = os.open(part, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            outcome = watch.outcome(part)
        os.rename(part, path)
    return outcome


def precache(context: nova_context.RequestContext, image: dict[str, ty.Any],
             show: ty.Callable[[int, int], object] = lambda done, total: None
             ) -> Outcome:
    """Fetch an image into the image cache of this node unless it is there.

    With the function and the locks that nova-compute uses for that, so both
    may want it at the same time.

    :param context: from service_user.context
    :param image: from service_user.show
    :param show: see :class:`Watch`
    :raises: OperatorError if this user should not write there; what the
        download raises
    """
    path = service_user.cache_path(image['id'])
    check_user()
    image_leftovers.reclaim_workspaces(CONF.instances_path)
    if not os.path.exists(path):
        with _usual_modes(), Watch(image, path + '.part', show) as watch:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fetched = images.fetch_to_raw(context, image['id'], path)
            # Another process may have done it meanwhile.
            if fetched is not False:
                return watch.outcome(path)
    # Else it would be removed as if it had not been asked for. It may belong
    # to QEMU's user, while it is in use; it is not removed then.
    with contextlib.suppress(PermissionError):
        os.utime(path)
    stat = os.stat(path)
    return Outcome('', stat.st_size, None, stat.st_blocks * 512, 0.0, '')


@contextlib.contextmanager
def _usual_modes() -> ty.Iterator[None]:
    """Let new files be readable for QEMU, whatever the operator's shell has.

    Services have this umask; "sudo" keeps a stricter one.
    """
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def check_user() -> None:
    """Raise OperatorError if files of this user may disturb nova-compute."""
    try:
        os.stat(CONF.instances_path)
    except OSError as exc:
        raise service_user.OperatorError(
            'cannot use [DEFAULT]/instances_path: %s' % exc,
            'run this on a compute node, with the nova.conf of nova-compute')
    reason, remedy = node_user.doubt()
    if reason:
        raise service_user.OperatorError(
            '%s: files of %s would be in the way of nova-compute'
            % (reason, node_user.name()), remedy)
