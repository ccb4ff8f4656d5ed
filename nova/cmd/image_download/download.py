# SPDX-License-Identifier: Apache-2.0

"""Downloads that somebody watches: by which way, how far, how fast.

What downloads is Nova's own code, unchanged; this sees what it reports. The
way that was taken is read from the line "Successfully transferred using rbd"
in the log, which other projects rely on too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import secrets
import threading
import time
import typing as ty

from nova.cmd.image_download import service_user
import nova.conf
from nova import context as nova_context
from nova.image import direct_download
from nova.image import glance
from nova.storage import rbd_transfer
from nova.virt import images

CONF = nova.conf.CONF

# Seconds between two looks at a file that grows.
INTERVAL = 0.2

# What the line in the log begins with that tells of a download over RBD.
SUCCESS = 'Successfully transferred using rbd'


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
        self._facts: dict[str, ty.Any] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._started = 0.0
        self.progress: list[tuple[float, int]] = []

    def __enter__(self) -> 'Watch':
        log = logging.getLogger(direct_download.__name__)
        self._level = log.level
        log.setLevel(min(logging.INFO, log.getEffectiveLevel()))
        # A handler would have a lock, which under eventlet is an open file.
        log.addFilter(self)
        self._watching = rbd_transfer.watching(self._observe)
        self._watching.__enter__()
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()
        self._watching.__exit__(None, None, None)
        log = logging.getLogger(direct_download.__name__)
        log.removeFilter(self)
        log.setLevel(self._level)

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at a line of the log, and let it pass."""
        facts: ty.Any = record.args
        if str(record.msg).startswith(SUCCESS) and isinstance(facts, dict):
            self._facts = facts
        return True

    def _observe(self, happening: object) -> None:
        if isinstance(happening, rbd_transfer.Progress) and happening.total:
            self._note(happening.done, happening.total)

    def _poll(self) -> None:
        while not self._ended.wait(INTERVAL):
            with contextlib.suppress(OSError):
                # With RBD the file has no name before it is whole.
                self._note(os.stat(self._path).st_size, self._total)

    def _note(self, done: int, total: int) -> None:
        self.progress.append((time.monotonic() - self._started, done))
        self._show(done, total)

    def outcome(self, path: str) -> Outcome:
        """Say what came of it.

        :param path: the file
        """
        seconds = time.monotonic() - self._started
        stat = os.stat(path)
        size, data, method = stat.st_size, None, 'http'
        verified = self._verified_by_http()
        if self._facts is not None:
            # The file may have been converted since.
            method, size = 'rbd', self._facts['size']
            data = self._facts['data']
            verified = self._facts['proofs'].removeprefix('verified by ')
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
    """See that a file can be written.

    :returns: its directory and its name
    :raises: OperatorError
    """
    directory, name = os.path.split(os.path.abspath(path))
    if os.path.lexists(path) and not os.path.isfile(path):
        raise service_user.OperatorError('%s is no regular file' % path,
                                         'name another')
    if not os.access(directory, os.W_OK | os.X_OK):
        raise service_user.OperatorError('cannot write to the directory %s'
                                         % directory, 'name another file')
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
    directory, name = check_target(path)
    part = os.path.join(directory, '.%s.nova-image-download-%s'
                        % (name[:100], secrets.token_hex(8)))
    try:
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
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
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
    _check_owner()
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with Watch(image, path + '.part', show) as watch:
            # It may have waited for somebody else who fetched it.
            if images.fetch_to_raw(context, image['id'], path) is not False:
                return watch.outcome(path)
    # Else it would be removed as if nobody had asked for it. It may belong to
    # QEMU's user, while it is in use; it is not removed then.
    with contextlib.suppress(PermissionError):
        os.utime(path)
    stat = os.stat(path)
    return Outcome('', stat.st_size, None, stat.st_blocks * 512, 0.0, '')


def _check_owner() -> None:
    try:
        stat = os.stat(CONF.instances_path)
    except OSError as exc:
        raise service_user.OperatorError(
            'cannot use [DEFAULT]/instances_path: %s' % exc,
            'run this on a compute node, with the nova.conf of nova-compute')
    if stat.st_uid != os.geteuid():
        owner = service_user.user_name(stat.st_uid)
        raise service_user.OperatorError(
            '%s belongs to %s: files of another user there would be in the '
            'way of nova-compute' % (CONF.instances_path, owner),
            'run it with "sudo -u %s"' % owner)
