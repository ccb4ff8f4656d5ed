# SPDX-License-Identifier: Apache-2.0

"""The snapshot of an image: what of it exists, and its bytes.

All functions here may block for as long as the timeouts allow.
"""

from __future__ import annotations

from collections.abc import Callable
import errno
import struct

from .errors import describe
from .errors import ExportError
from .errors import LIMIT_ERRNOS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rados
    import rbd

# Objects, or sets of them in a striped image, that are asked for between two
# signs of life where there is no map of them.
LISTED_AT_ONCE = 256

# The head of an encoded snapshot context.
_SNAPCONTEXT = struct.Struct('<QI')


# Options that limit reads, and whether they count bytes.
LIMITS = {'rbd_qos_bps_limit': True, 'rbd_qos_read_bps_limit': True,
          'rbd_qos_iops_limit': False, 'rbd_qos_read_iops_limit': False}

# With a limit on bytes, a read should not take more of it than this, in
# seconds, and it is no smaller than that, in bytes.
_LIMIT_STEP = 0.5
_SMALLEST_READ = 64 << 10


class Limit:
    """A limit that an operator has set for an image.

    :ivar option: its name
    :ivar value: a second
    :ivar read_size: bytes that are best read at once
    :ivar seconds: that one such read takes
    """

    def __init__(self, option: str, value: int, read_size: int) -> None:
        self.option = option
        self.value = value
        self.read_size = read_size
        if not LIMITS[option]:
            self.seconds = 1 / value
            return
        step = int(value * _LIMIT_STEP) // _SMALLEST_READ * _SMALLEST_READ
        self.read_size = max(_SMALLEST_READ, min(read_size, step))
        self.seconds = self.read_size / value


class Snapshot:
    """A snapshot of an image, open for reading.

    :param client: a connection
    :param pool: its name
    :param image: its name
    :param snap: its name
    :param touch: called when the cluster has answered
    :ivar size: in bytes
    :ivar object_size: in bytes
    :ivar mapped: whether there is a map of the objects that can be relied upon
    :raises: ExportError
    """

    def __init__(self, client: rados.Rados, pool: str, image: str, snap: str,
                 touch: Callable[[], None] = lambda: None) -> None:
        # Loaded by now, see the module connection.
        global rados
        global rbd
        import rados
        import rbd
        self._name = '%s/%s@%s' % (pool, image, snap)
        self._image_name = image
        self._snap_name = snap
        self._touch = touch
        self._client = client
        self._pool = pool
        self._image: rbd.Image | None = None
        try:
            self._ioctx = client.open_ioctx(pool)
        except rados.Error as exc:
            if getattr(exc, 'errno', None) == errno.ENOENT:
                raise ExportError(
                    'not_found', 'there is no pool %s in the cluster, or none '
                    'that this client may see' % pool, missing='pool')
            raise self.failed(exc)
        touch()
        try:
            self._image = self._open(snap)
        except rbd.ImageNotFound:
            raise self._missing()
        except (rbd.Error, rados.Error) as exc:
            raise self.failed(exc)
        touch()
        try:
            self.size: int = self._image.size()
            self.object_size: int = self._image.stat()['obj_size']
            self._stripes: int = self._image.stripe_count()
            self.mapped: bool = self._has_map()
            self._id: int = self._snap_id(self._image)
        except (rbd.Error, rados.Error) as exc:
            raise self.failed(exc)

    def _open(self, snap: str | None) -> rbd.Image:
        # Anything but read_only would register a watch, which a client that
        # may only read is not allowed to.
        return rbd.Image(self._ioctx, self._image_name, snapshot=snap,
                         read_only=True)

    def _missing(self) -> ExportError:
        try:
            self._open(None).close()
        except rbd.ImageNotFound:
            return ExportError('not_found', 'there is no image for %s'
                               % self._name, missing='image')
        except (rbd.Error, rados.Error) as exc:
            return self.failed(exc)
        return ExportError('not_found', 'the image of %s has no such snapshot'
                           % self._name, missing='snapshot')

    def _snap_id(self, image: rbd.Image) -> int:
        for snap in image.list_snaps():
            if snap['name'] == self._snap_name:
                return snap['id']
        raise rbd.ImageNotFound('no snapshot')

    def failed(self, exc: Exception) -> ExportError:
        """Say what went wrong with a request."""
        number = abs(getattr(exc, 'errno', None) or 0)
        if number in (errno.EACCES, errno.EPERM):
            pool = self._data_pool()
            if pool:
                return ExportError(
                    'permission', 'this client may not read %s, or the pool '
                    '%s that holds its data: %s' % (self._name, pool,
                                                    describe(exc)),
                    'give the key the caps mon "profile rbd" osd "profile '
                    'rbd-read-only pool=%s, profile rbd-read-only pool=%s"'
                    % (self._pool, pool), pool=self._pool, data_pool=pool)
            return ExportError(
                'permission', 'this client may not read %s: %s'
                % (self._name, describe(exc)), pool=self._pool)
        if number == errno.ESHUTDOWN:
            return ExportError(
                'blocklisted', 'the cluster has fenced this client, it is on '
                'the blocklist of the OSDs: %s' % describe(exc))
        if number == errno.ETIMEDOUT:
            return ExportError(
                'stalled', 'the cluster did not answer a request about %s in '
                'time' % self._name, pool=self._pool)
        if number in LIMIT_ERRNOS:
            return ExportError('limits', 'cannot read %s: %s'
                               % (self._name, describe(exc)))
        if isinstance(exc, rbd.ImageNotFound):
            return ExportError('not_found', '%s does not exist' % self._name,
                               missing='image')
        return ExportError('read', 'cannot read %s: %s'
                           % (self._name, describe(exc)))

    def _data_pool(self) -> str | None:
        """Return the pool that holds the image's data, if it is another."""
        try:
            if self._image is None:
                return None
            number = self._image.data_pool_id()
            if number == self._ioctx.get_pool_id():
                return None
            return self._client.pool_reverse_lookup(number)
        except (rbd.Error, rados.Error):
            return None

    def slowest_limit(self, read_size: int) -> Limit | None:
        """Return the limit of librbd's that slows down reads the most.

        Operators set such limits for a cluster, a pool or an image.

        :param read_size: bytes of a read
        """
        slowest = None
        try:
            options = list(self._image.config_list())
        except (rbd.Error, rados.Error, AttributeError):
            return None
        for option in options:
            if option['name'] not in LIMITS or option['value'] in ('', '0'):
                continue
            limit = Limit(option['name'], int(option['value']), read_size)
            if slowest is None or limit.seconds > slowest.seconds:
                slowest = limit
        return slowest

    def extents(self, ask_each: bool = True) -> list[tuple[int, int]] | None:
        """Ask which parts of the image hold data.

        With a map of the objects that is a matter of milliseconds. Without
        one, the cluster is asked for each object whether it exists: as many
        requests as there would be for reading holes, but nobody has to fill
        memory with zeros and find them there.

        :param ask_each: whether to do that, if there is no map
        :returns: hints, as pairs of offset and length; None if the cluster
            cannot tell
        :raises: ExportError
        """
        if not self.size or not (self.mapped or ask_each):
            return None
        found: list[tuple[int, int]] = []

        def take(offset: int, length: int, exists: bool) -> None:
            if exists:
                found.append((offset, length))

        step = self.size if self.mapped else self.unit * LISTED_AT_ONCE
        try:
            for offset in range(0, self.size, step):
                # librbd uses the map for whole objects only (ceph,
                # src/librbd/api/DiffIterate.cc).
                self._image.diff_iterate(
                    offset, min(step, self.size - offset), None, take,
                    include_parent=True, whole_object=self.mapped)
                self._touch()
        except (rbd.Error, rados.Error) as exc:
            failure = self.failed(exc)
            if self.mapped or failure.code == 'stalled':
                raise failure
            # Whether that is serious is for the reads to tell.
            return None
        return found

    def _has_map(self) -> bool:
        if not self._image.features() & rbd.RBD_FEATURE_FAST_DIFF:
            return False
        return not self._image.flags() & (rbd.RBD_FLAG_FAST_DIFF_INVALID |
                                          rbd.RBD_FLAG_OBJECT_MAP_INVALID)

    @property
    def unit(self) -> int:
        """Bytes of the image that objects hold together."""
        return self.object_size * max(1, self._stripes)

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes.

        :raises: ExportError, also if there are fewer
        """
        try:
            data = self._image.read(offset, length)
        except (rbd.Error, rados.Error) as exc:
            raise self.failed(exc)
        if len(data) != length:
            raise ExportError(
                'read', '%s has %d bytes at %d where %d were expected'
                % (self._name, len(data), offset, length))
        return data

    def _is_listed(self) -> bool:
        """Whether the image's header still lists the snapshot.

        One request, where opening the image again takes a dozen. librbd asks
        the same when it opens one: the answer is a sequence number, a count
        and the ids of the snapshots (ceph, src/cls/rbd/cls_rbd.cc,
        get_snapcontext).

        :returns: False also if the answer is not understood
        """
        try:
            answer = self._ioctx.execute(
                'rbd_header.' + self._image.id(), 'rbd', 'get_snapcontext',
                b'', 65536)[1]
            if len(answer) < _SNAPCONTEXT.size:
                return False
            count = _SNAPCONTEXT.unpack_from(answer)[1]
            return self._id in struct.unpack_from('<%dQ' % count, answer,
                                                  _SNAPCONTEXT.size)
        except (rbd.Error, rados.Error, struct.error):
            return False

    def check_still_there(self) -> None:
        """See that the snapshot was not removed meanwhile.

        From a snapshot that was removed, zeros are read without any error.

        :raises: ExportError
        """
        try:
            if self._is_listed():
                return
            # Perhaps a format that is not known here.
            image = self._open(self._snap_name)
            if self._snap_id(image) == self._id:
                return
        except rbd.ImageNotFound:
            pass
        except (rbd.Error, rados.Error) as exc:
            raise self.failed(exc)
        raise ExportError('snapshot_removed', '%s was removed while it was '
                          'read' % self._name, missing='snapshot')
