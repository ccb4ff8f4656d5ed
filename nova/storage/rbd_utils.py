# SPDX-License-Identifier: Apache-2.0

"""RBD images as disks of instances: what the libvirt driver does with them.

The name and what it offers are upstream's. Parts of it are in modules beside
this one: rbd_connection, rbd_tools, rbd_snapshots, rbd_removal, rbd_url.
"""

from __future__ import annotations

import contextlib
import importlib
import types
import typing as ty

from oslo_log import log as logging
from oslo_utils import encodeutils
from oslo_utils import importutils

import nova.conf
from nova import exception
from nova.i18n import _
from nova import release_compat
from nova.storage import rbd_connection
from nova.storage import rbd_removal
from nova.storage import rbd_snapshots
from nova.storage import rbd_tools
from nova.storage import rbd_url

# None without the bindings: only those who make a driver need them.
rados: ty.Any = importutils.try_import('rados')
rbd: ty.Any = importutils.try_import('rbd')

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

RESIZE_SNAPSHOT_NAME = rbd_removal.RESIZE_SNAPSHOT_NAME


class RbdProxy:
    """An ``rbd.RBD`` whose methods do not block the eventlet hub."""

    def __init__(self) -> None:
        self._rbd = release_compat.proxy(rbd.RBD())

    def __getattr__(self, name: str) -> ty.Any:
        return getattr(self._rbd, name)


class RADOSClient:
    """A connection to the cluster, open in one pool, to use in ``with``.

    It connects when it is made.

    :param driver: the :class:`RBDDriver` that knows how to connect
    :param pool: name of the pool, by default the driver's
    :ivar cluster: the ``rados.Rados``
    :ivar ioctx: the ``rados.Ioctx`` of the pool
    """

    def __init__(self, driver: 'RBDDriver', pool: str | None = None) -> None:
        self.driver = driver
        self.cluster, self.ioctx = driver._connect_to_rados(pool)

    def __enter__(self) -> 'RADOSClient':
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 value: BaseException | None,
                 trace: types.TracebackType | None) -> None:
        self.driver._disconnect_from_rados(self.cluster, self.ioctx)

    @property
    def features(self) -> int:
        """The features for new images: what ceph.conf says, else layering.

        Layering is what a clone needs at least.
        """
        configured = int(self.cluster.conf_get('rbd_default_features') or 0)
        return configured or int(rbd.RBD_FEATURE_LAYERING)


class RBDVolumeProxy:
    """An open ``rbd.Image`` with a connection of its own, for ``with``.

    Its attributes are those of the image; the methods do not block the
    eventlet hub. It opens when it is made.

    :param driver: the :class:`RBDDriver` that knows how to connect
    :param name: name of the image
    :param pool: name of its pool, by default the driver's
    :param snapshot: name of a snapshot to read instead of the image
    :param read_only: do not lock the image nor watch it; the user needs no
        permission to write then
    :ivar volume: the image
    :ivar client: the ``rados.Rados`` it was opened on
    :ivar ioctx: the ``rados.Ioctx`` it was opened on
    """

    # For __getattr__ on an instance that could not be made.
    volume: ty.Any = None

    def __init__(self, driver: 'RBDDriver', name: str,
                 pool: str | None = None, snapshot: str | None = None,
                 read_only: bool = False) -> None:
        self.driver = driver
        if read_only:
            self.client, self.ioctx = driver._connect_to_rados(
                pool, read_only=True)
        else:
            self.client, self.ioctx = driver._connect_to_rados(pool)
        with contextlib.ExitStack() as stack:
            stack.callback(driver._disconnect_from_rados, self.client,
                           self.ioctx)
            self.volume = release_compat.proxy(self._open(
                name, pool or driver.pool, snapshot, read_only))
            stack.callback(self.volume.close)
            # The image is closed before its connection, which is ended
            # even if that fails.
            self._open_things = stack.pop_all()

    def _open(self, name: str, pool: str, snapshot: str | None,
              read_only: bool) -> ty.Any:
        try:
            return rbd_connection.offload(
                rbd.Image, self.ioctx, name, snapshot=snapshot,
                read_only=read_only)
        except rbd.ImageNotFound:
            LOG.debug('There is no rbd image %(pool)s/%(name)s, or no '
                      'snapshot %(snap)s of it.',
                      {'pool': pool, 'name': name, 'snap': snapshot})
            raise
        except rbd.Error as exc:
            LOG.error('Cannot open rbd image %(pool)s/%(name)s (snapshot '
                      '%(snap)s) as Ceph user %(user)s: %(exc)s',
                      {'pool': pool, 'name': name, 'snap': snapshot,
                       'user': self.driver.rbd_user or 'admin', 'exc': exc})
            raise

    def __enter__(self) -> 'RBDVolumeProxy':
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 value: BaseException | None,
                 trace: types.TracebackType | None) -> None:
        try:
            self._open_things.close()
        except Exception as exc:
            if value is None:
                raise
            # The first failure tells the cause; this one may follow from it.
            LOG.debug('Closing an rbd image failed too: %s', exc)

    def __getattr__(self, name: str) -> ty.Any:
        return getattr(self.volume, name)


class RBDDriver(rbd_removal.Removal, rbd_snapshots.Snapshots,
                rbd_tools.CephTools):
    """Work on RBD images in one cluster.

    Options that are not given, or are empty, are those of ``[libvirt]``.

    :param pool: pool of all images for which a method is given none
    :param user: Ceph client name, without ``client.``
    :param ceph_conf: path of the ceph.conf, '' for librados' search path
    :param connect_timeout: seconds, see
        :func:`nova.storage.rbd_connection.time_limits`
    :raises: RuntimeError if the Ceph bindings are missing
    """

    def __init__(self, pool: str | None = None, user: str | None = None,
                 ceph_conf: str | None = None,
                 connect_timeout: int | None = None) -> None:
        # When the module is loaded it is not known whether the deployment
        # uses Ceph at all, so that the bindings may well be missing.
        self._check_for_import_failure()

        self.pool: str = pool or CONF.libvirt.images_rbd_pool
        self.rbd_user: str | None = user or CONF.libvirt.rbd_user
        self.ceph_conf: str | None = (
            ceph_conf or CONF.libvirt.images_rbd_ceph_conf)
        self.rbd_connect_timeout: int = (
            CONF.libvirt.rbd_connect_timeout if connect_timeout is None
            else connect_timeout)
        self._connect_limit = rbd_connection.connect_limit(
            connect_timeout, CONF.libvirt.rbd_connect_timeout)

    def _check_for_import_failure(self) -> None:
        if rados is not None and rbd is not None:
            return
        for name in ('rados', 'rbd'):
            try:
                importlib.import_module(name)
            except ImportError:
                LOG.exception('The Python module %s cannot be imported. '
                              'Install python3-%s for the Python that runs '
                              'Nova.', name, name)
        raise RuntimeError(_('rbd python libraries not found'))

    # What the parts of this class in other modules reach it by. Replaced
    # here, RADOSClient and the bindings are replaced there too.

    def _open_client(self, pool: str | None = None) -> RADOSClient:
        return RADOSClient(self, pool)

    def _open_image(self, name: str, **kwargs: ty.Any) -> RBDVolumeProxy:
        return RBDVolumeProxy(self, name, **kwargs)

    @staticmethod
    def _rbd_proxy() -> RbdProxy:
        return RbdProxy()

    @staticmethod
    def _bindings() -> ty.Any:
        return rbd

    # Connections

    def _connect_to_rados(self, pool: str | None = None,
                          read_only: bool = False) -> tuple:
        """Connect to the cluster.

        :param pool: name of the pool to open, by default the driver's
        :param read_only: whether the connection will be used to read only
        :returns: the ``rados.Rados`` and the pool's ``rados.Ioctx``
        :raises: rados.Error if the cluster does not answer in time, refuses
            the user or has no such pool; nothing is left open then
        """
        pool = pool or self.pool
        try:
            return rbd_connection.offload(
                rbd_connection.open_pool, rados, self.rbd_user, self.ceph_conf,
                pool, self.rbd_connect_timeout, self._connect_limit, read_only)
        except rados.Error as exc:
            # librados names none of these.
            LOG.error('Cannot open Ceph pool %(pool)s as user %(user)s with '
                      '%(conf)s: %(exc)s',
                      {'pool': pool, 'user': self.rbd_user or 'admin',
                       'conf': self.ceph_conf or 'the default ceph.conf',
                       'exc': exc})
            raise

    def _disconnect_from_rados(self, client: ty.Any, ioctx: ty.Any) -> None:
        rbd_connection.offload(rbd_connection.close_pool, client, ioctx)

    def export_image(self, base: str, name: str, snap: str,
                     pool: str | None = None) -> None:
        """Copy a snapshot to a local file, see nova.storage.rbd_transfer.

        :param base: path of the file, which appears whole or not at all
        :param name: name of the image
        :param snap: name of its snapshot
        :param pool: name of its pool, by default the driver's
        :raises: nova.exception.StorageError
        """
        # Only here: most users of the driver never need it.
        from nova.storage import rbd_transfer

        source = rbd_transfer.Source(pool=pool or self.pool, image=name,
                                     snapshot=snap)
        cluster = rbd_transfer.Cluster(
            user=self.rbd_user or '', conf=self.ceph_conf or '',
            connect_timeout=self.rbd_connect_timeout)
        try:
            rbd_transfer.export(source, base, cluster=cluster)
        except rbd_transfer.TransferError as exc:
            LOG.error('The export of rbd snapshot %(source)s to %(path)s '
                      'failed: %(exc)s',
                      {'source': source, 'path': base, 'exc': exc})
            # Tenants may come to see this one: no paths, no addresses.
            raise exception.StorageError(
                reason=_('RBD export failed: %s') % exc.code) from exc

    # Glance's locations

    def parse_url(self, url: str) -> list[str]:
        """Split a location as Glance gives it.

        :param url: ``rbd://<fsid>/<pool>/<image>/<snapshot>``, each part
            quoted
        :returns: these four, unquoted
        :raises: nova.exception.ImageUnacceptable for anything else
        """
        return rbd_url.parse(url)

    def get_fsid(self) -> str:
        """Return the id of the cluster."""
        with RADOSClient(self) as client:
            return encodeutils.safe_decode(
                rbd_connection.offload(client.cluster.get_fsid))

    def is_cloneable(self, image_location: ty.Mapping[str, ty.Any],
                     image_meta: ty.Mapping[str, ty.Any]) -> bool:
        """Tell whether a disk can be a clone of a Glance image.

        :param image_location: one of the image's locations, with its 'url'
        :param image_meta: the image as Glance describes it, with its
            'disk_format'
        :returns: True if it is a raw image in this cluster that we may read
        :raises: rados.Error if the cluster cannot be reached
        """
        url = image_location.get('url')
        try:
            fsid, pool, image, snapshot = self.parse_url(url)  # type: ignore
        except exception.ImageUnacceptable as exc:
            LOG.debug('No clone of %(url)r: %(reason)s',
                      {'url': url, 'reason': exc.kwargs.get('reason')})
            return False

        ours = self.get_fsid()
        if fsid != ours:
            LOG.debug('No clone of %(url)r: it is in another cluster than '
                      '%(fsid)s', {'url': url, 'fsid': ours})
            return False

        disk_format = image_meta.get('disk_format')
        if disk_format != 'raw':
            LOG.debug('No clone of %(url)r: its format is %(format)s and '
                      'must be raw', {'url': url, 'format': disk_format})
            return False

        try:
            return self.exists(image, pool=pool, snapshot=snapshot)
        except (rbd.Error, rados.Error) as exc:
            LOG.debug('No clone of %(url)r: it cannot be opened: %(exc)s',
                      {'url': url, 'exc': exc})
            return False

    # Images

    def clone(self, image_location: ty.Mapping[str, ty.Any], dest_name: str,
              dest_pool: str | None = None) -> None:
        """Make a clone of a Glance image.

        :param image_location: location of the image, with its 'url'
        :param dest_name: name of the clone
        :param dest_pool: name of its pool, by default the driver's
        :raises: nova.exception.ImageUnacceptable for a location that is not
            an RBD snapshot, nova.exception.Forbidden without permission to
            write to the pool
        """
        parts = self.parse_url(image_location['url'])
        pool, image, snapshot = parts[1:]
        LOG.debug('Making rbd image %(dest_pool)s/%(dest)s, a clone of '
                  '%(pool)s/%(image)s@%(snap)s',
                  {'dest_pool': dest_pool or self.pool, 'dest': dest_name,
                   'pool': pool, 'image': image, 'snap': snapshot})
        with RADOSClient(self, pool) as source, \
                RADOSClient(self, dest_pool) as dest:
            try:
                RbdProxy().clone(source.ioctx, image, snapshot, dest.ioctx,
                                 dest_name, features=source.features)
            except rbd.PermissionError:
                raise exception.Forbidden(
                    _('no write permission on storage pool %s')
                    % (dest_pool or self.pool))

    def flatten(self, volume: str, pool: str | None = None) -> None:
        """Copy into a clone what it still shares with its parent.

        :param volume: name of the image
        :param pool: name of its pool, by default the driver's
        """
        LOG.debug('Flattening rbd image %(pool)s/%(name)s',
                  {'pool': pool or self.pool, 'name': volume})
        with RBDVolumeProxy(self, volume, pool=pool) as image:
            image.flatten()

    def parent_info(self, volume: str,
                    pool: str | None = None) -> tuple[str, str, str]:
        """Return pool, image and snapshot of which an image is a clone.

        :param volume: name of the image
        :param pool: name of its pool, by default the driver's
        :raises: nova.exception.ImageUnacceptable if there is no such image
            or it is no clone
        """
        try:
            with RBDVolumeProxy(self, volume, pool=pool,
                                read_only=True) as image:
                return image.parent_info()
        except rbd.ImageNotFound:
            raise exception.ImageUnacceptable(
                _('no usable parent snapshot for volume %s') % volume)

    def size(self, name: str) -> int:
        """Return the size of an image in bytes."""
        with RBDVolumeProxy(self, name, read_only=True) as image:
            return image.size()

    def resize(self, name: str, size: int) -> None:
        """Resize an image.

        :param name: name of the image
        :param size: the new size in bytes
        """
        LOG.debug('Resizing rbd image %(name)s to %(size)d bytes',
                  {'name': name, 'size': size})
        with RBDVolumeProxy(self, name) as image:
            image.resize(size)

    def exists(self, name: str, pool: str | None = None,
               snapshot: str | None = None) -> bool:
        """Tell whether there is such an image, or such a snapshot of it.

        :param name: name of the image
        :param pool: name of its pool, by default the driver's
        :param snapshot: name of the snapshot, None for the image itself
        """
        try:
            with RBDVolumeProxy(self, name, pool=pool, snapshot=snapshot,
                                read_only=True):
                return True
        except rbd.ImageNotFound:
            return False
