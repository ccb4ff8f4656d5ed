# SPDX-License-Identifier: Apache-2.0

"""RBD images as disks of instances: what the libvirt driver does with them.

Every call into librados and librbd that may wait for the cluster leaves the
eventlet hub alone: under eventlet it runs on a native thread of eventlet's
pool, with native threads on the thread that asks.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import types
import typing as ty
import urllib.parse

from oslo_concurrency import processutils
from oslo_log import log as logging
from oslo_serialization import jsonutils
from oslo_service import loopingcall
from oslo_utils import encodeutils
from oslo_utils import importutils

import nova.conf
from nova import exception
from nova.i18n import _
from nova import release_compat

# None without the bindings: only those who make a driver need them.
rados: ty.Any = importutils.try_import('rados')
rbd: ty.Any = importutils.try_import('rbd')

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# The snapshot of a root disk to which a reverted resize returns.
RESIZE_SNAPSHOT_NAME = 'nova-resize'

URL_PREFIX = 'rbd://'

# How much longer than for a connection Nova waits for one request on it. Busy
# clusters serve some requests late while recovering: Ceph itself starts to
# call one slow after 30 s (osd_op_complaint_time). With the default
# rbd_connect_timeout of 5 s this makes a minute.
REQUEST_PATIENCE = 12

# Seconds that a command of the ceph tool gets beyond its own time limits.
COMMAND_GRACE = 5

# "host:port/nonce", the host of IPv6 in brackets.
_MON_ADDRESS = re.compile(r'(?P<host>.+):(?P<port>\d+)(?:/\d+)?')

_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


def time_limits(connect_timeout: int,
                read_only: bool = False) -> dict[str, int]:
    """Return the librados options that end the wait for a lost cluster.

    The argument of ``Rados.connect()`` does not, librados ignores it. Each
    limit is for one request to the cluster, not for what is made of many.

    A request that merely reads can be given up and made again. One that
    changes something may still be carried out after it was given up. So only
    connections that just read get a limit for requests to OSDs; on others
    flatten, removal and rollback wait for a cluster that recovers, unless its
    ceph.conf sets ``rados_osd_op_timeout`` for this client. Requests to
    monitors on such connections, as for the id of a snapshot, get time for
    the election of a new monitor.

    :param connect_timeout: seconds; 0 and less leave librados' own limits
        (300 s for a connection, none for requests)
    :param read_only: whether the connection will be used to read only
    :returns: seconds by name of option
    """
    if connect_timeout <= 0:
        return {}
    patience = connect_timeout * REQUEST_PATIENCE
    if read_only:
        return {'client_mount_timeout': connect_timeout,
                'rados_mon_op_timeout': connect_timeout,
                'rados_osd_op_timeout': patience}
    return {'client_mount_timeout': connect_timeout,
            'rados_mon_op_timeout': patience}


def _offload(function: ty.Callable, *args: ty.Any, **kwargs: ty.Any) -> ty.Any:
    """Call a function that may block; in eventlet mode, off the hub.

    It must not log: from a foreign native thread that can deadlock under
    eventlet (LP#1983863).
    """
    return release_compat.off_hub(function, *args, **kwargs)


def _has_limit(client: ty.Any, option: str) -> bool:
    """Tell whether the ceph.conf that a client has read sets a limit."""
    try:
        return float(client.conf_get(option)) > 0
    except (TypeError, ValueError):
        return False


def _open_pool(user: str | None, conf: str | None, pool: str,
               connect_timeout: int, read_only: bool) -> tuple:
    """Connect and open a pool, or raise and leave nothing open."""
    client = rados.Rados(rados_id=user, conffile=conf)
    try:
        for option, seconds in time_limits(connect_timeout,
                                           read_only).items():
            # How long to wait for a connection is Nova's option. The limits
            # for requests derive from it just for want of a better value.
            if (option == 'client_mount_timeout' or
                    not _has_limit(client, option)):
                client.conf_set(option, str(seconds))
        client.connect(timeout=connect_timeout)
        return client, client.open_ioctx(pool)
    except BaseException:
        client.shutdown()
        raise


def _close_pool(client: ty.Any, ioctx: ty.Any) -> None:
    """Undo :func:`_open_pool`."""
    try:
        ioctx.close()
    finally:
        client.shutdown()


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
            return _offload(rbd.Image, self.ioctx, name, snapshot=snapshot,
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


class RBDDriver:
    """Work on RBD images in one cluster.

    Options that are not given, or are empty, are those of ``[libvirt]``.

    :param pool: pool of all images for which a method is given none
    :param user: Ceph client name, without ``client.``
    :param ceph_conf: path of the ceph.conf, '' for librados' search path
    :param connect_timeout: seconds, see :func:`time_limits`
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
            return _offload(_open_pool, self.rbd_user, self.ceph_conf, pool,
                            self.rbd_connect_timeout, read_only)
        except rados.Error as exc:
            # librados names none of these.
            LOG.error('Cannot open Ceph pool %(pool)s as user %(user)s with '
                      '%(conf)s: %(exc)s',
                      {'pool': pool, 'user': self.rbd_user or 'admin',
                       'conf': self.ceph_conf or 'the default ceph.conf',
                       'exc': exc})
            raise

    def _disconnect_from_rados(self, client: ty.Any, ioctx: ty.Any) -> None:
        _offload(_close_pool, client, ioctx)

    # The command line tools

    def ceph_args(self) -> list[str]:
        """Return the options of the ceph and rbd tools for this cluster."""
        args = ['--id', self.rbd_user] if self.rbd_user else []
        return args + (['--conf', self.ceph_conf] if self.ceph_conf else [])

    def _tool_environment(self) -> dict[str, str]:
        """Return the environment in which the tools know our time limits.

        An operator's own CEPH_ARGS come last, so they win.
        """
        args = ['--%s=%d' % limit for limit in
                time_limits(self.rbd_connect_timeout).items()]
        args += os.environ.get('CEPH_ARGS', '').split()
        return dict(os.environ, CEPH_ARGS=' '.join(args))

    def _ceph(self, *command: str) -> ty.Any:
        """Run a command of the ceph tool.

        :returns: its answer, decoded from JSON
        :raises: nova.exception.StorageError
        """
        argv = ['ceph', *command, '--format=json', *self.ceph_args()]
        limits = time_limits(self.rbd_connect_timeout)
        if limits:
            # Ceph's own limits do not cover requests to the manager: without
            # one "ceph df" waits for ever. The timeout of processutils would
            # leave the process behind, and under eventlet raises a class that
            # cannot be named.
            argv = ['timeout', '--kill-after=%d' % COMMAND_GRACE,
                    str(sum(limits.values()) + COMMAND_GRACE)] + argv
        out = self._execute(*argv)
        # Old releases wrote a line of text before the object.
        return jsonutils.loads(out[max(out.find('{'), 0):])

    def _execute(self, *argv: str) -> str:
        """Run a tool of Ceph.

        :returns: what it writes
        :raises: nova.exception.StorageError, which names no path and no
            address: tenants may come to see it
        """
        try:
            return processutils.execute(
                *argv, env_variables=self._tool_environment())[0]
        except processutils.ProcessExecutionError as exc:
            LOG.error('The command "%(command)s" failed: %(exc)s',
                      {'command': ' '.join(argv), 'exc': exc})
            raise exception.StorageError(
                reason=_('A command of Ceph failed')) from exc

    def get_mon_addrs(
            self, strip_brackets: bool = True) -> tuple[list[str], list[str]]:
        """Return the addresses of the cluster's monitors.

        :param strip_brackets: give IPv6 addresses without brackets, as
            libvirt wants them
        :returns: the list of hosts and the list of their ports
        :raises: nova.exception.StorageError
        """
        hosts, ports = [], []
        for mon in self._ceph('mon', 'dump')['mons']:
            address = _MON_ADDRESS.fullmatch(mon['addr'])
            if address is None:
                raise exception.StorageError(
                    reason=_('Ceph monitor %s has no usable address')
                    % mon.get('name'))
            host = address['host']
            hosts.append(host.strip('[]') if strip_brackets else host)
            ports.append(address['port'])
        return hosts, ports

    def get_pool_info(self) -> dict[str, int]:
        """Return how much the driver's pool can hold.

        Asked of the ceph tool for the sake of MAX AVAIL, which allows for
        the copies that the pool keeps of everything; librados tells the raw
        space of all OSDs only.

        :returns: bytes: 'total' of the cluster, 'free' for new data in the
            pool and 'used' by the pool
        :raises: nova.exception.StorageError if the cluster does not tell,
            nova.exception.NotFound if it has no such pool
        """
        usage = self._ceph('df')
        for pool in usage['pools']:
            if pool['name'] == self.pool:
                return {'total': usage['stats']['total_bytes'],
                        'free': pool['stats']['max_avail'],
                        'used': pool['stats']['bytes_used']}
        raise exception.NotFound(_('Pool %s could not be found.') % self.pool)

    def import_image(self, base: str, name: str) -> None:
        """Make an image from a local file.

        The rbd tool does it, since it leaves out blocks of zeros.

        :param base: path of the file
        :param name: name of the new image
        :raises: nova.exception.StorageError
        """
        # Format 1, the default of old releases, allows no clones.
        self._execute('rbd', 'import', '--pool', self.pool, base, name,
                      '--image-format=2', *self.ceph_args())

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
        def unacceptable(reason: str) -> exception.ImageUnacceptable:
            return exception.ImageUnacceptable(image_id=url, reason=reason)

        if not isinstance(url, str) or not url.startswith(URL_PREFIX):
            raise unacceptable(_('Not stored in rbd'))
        try:
            parts = [urllib.parse.unquote(part, errors='strict')
                     for part in url[len(URL_PREFIX):].split('/')]
            ''.join(parts).encode('utf-8')
        except UnicodeError:
            raise unacceptable(_('Not valid UTF-8'))
        if not all(parts):
            raise unacceptable(_('Blank components'))
        if len(parts) != 4:
            raise unacceptable(_('Not an rbd snapshot'))
        if _CONTROL.search(''.join(parts)):
            # The bindings end a name at a null character; line feeds would
            # forge lines of the log.
            raise unacceptable(_('Control character in a name'))
        return parts

    def get_fsid(self) -> str:
        """Return the id of the cluster."""
        with RADOSClient(self) as client:
            return encodeutils.safe_decode(_offload(client.cluster.get_fsid))

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

    def remove_image(self, name: str) -> None:
        """Remove an image.

        One that is not there or has snapshots is left at a log line.

        :param name: name of the image
        """
        where = {'pool': self.pool, 'name': name}
        with RADOSClient(self, self.pool) as client:
            try:
                RbdProxy().remove(client.ioctx, name)
            except rbd.ImageNotFound:
                LOG.warning('The rbd image %(pool)s/%(name)s that was to be '
                            'removed does not exist.', where)
            except rbd.ImageHasSnapshots:
                LOG.error('The rbd image %(pool)s/%(name)s has snapshots, it '
                          'is not removed.', where)

    def cleanup_volumes(self, filter_fn: ty.Callable[[str], bool]) -> None:
        """Destroy images of the driver's pool.

        :param filter_fn: tells by its name whether to destroy an image
        """
        with RADOSClient(self, self.pool) as client:
            for volume in RbdProxy().list(client.ioctx):
                if filter_fn(volume):
                    self._destroy_volume(client, volume)

    def destroy_volume(self, volume: str, pool: str | None = None) -> None:
        """Destroy an image.

        While it is busy this is tried again, as often as ``[libvirt]``
        ``rbd_destroy_volume_retries`` says. If that does not help it is left
        at an error in the log.

        :param volume: name of the image
        :param pool: name of its pool, by default the driver's
        """
        with RADOSClient(self, pool) as client:
            self._destroy_volume(client, volume, pool)

    def _destroy_volume(self, client: RADOSClient, volume: str,
                        pool: str | None = None) -> None:
        timer = loopingcall.FixedIntervalLoopingCall(
            self._destroy_step, client.ioctx, volume,
            {'retries': CONF.libvirt.rbd_destroy_volume_retries}, pool)
        destroyed = timer.start(
            interval=CONF.libvirt.rbd_destroy_volume_retry_interval).wait()
        if not destroyed and not self._try_destroy(client.ioctx, volume, pool):
            LOG.error('The rbd image %(pool)s/%(name)s is still in use or '
                      'has snapshots, and is not removed. See "rbd status" '
                      'and "rbd snap ls" for what holds it.',
                      {'pool': pool or self.pool, 'name': volume})

    def _destroy_step(self, ioctx: ty.Any, volume: str,
                      left: dict[str, int], pool: str | None = None) -> None:
        """One turn of the loop in which an image is destroyed."""
        if self._try_destroy(ioctx, volume, pool):
            raise loopingcall.LoopingCallDone(retvalue=True)
        left['retries'] -= 1
        if left['retries'] <= 0:
            raise loopingcall.LoopingCallDone(retvalue=False)

    def _try_destroy(self, ioctx: ty.Any, volume: str,
                     pool: str | None) -> bool:
        """Destroy an image if nothing holds it; tell whether it is gone.

        A snapshot that a resize has left is removed for the next attempt.
        """
        try:
            RbdProxy().remove(ioctx, volume)
            return True
        except rbd.ImageHasSnapshots:
            holder = 'has snapshots'
        except rbd.ImageBusy:
            holder = 'is in use'
        LOG.warning('Cannot remove rbd image %(pool)s/%(name)s yet: it '
                    '%(holder)s', {'pool': pool or self.pool, 'name': volume,
                                   'holder': holder})
        if holder == 'has snapshots':
            try:
                self.remove_snap(volume, RESIZE_SNAPSHOT_NAME,
                                 ignore_errors=True, pool=pool)
            except rbd.ImageBusy as exc:
                LOG.warning('Cannot remove the snapshot %(snap)s of rbd '
                            'image %(name)s: %(exc)s',
                            {'snap': RESIZE_SNAPSHOT_NAME, 'name': volume,
                             'exc': exc})
        return False

    # Snapshots

    @staticmethod
    def _has_snapshot(image: RBDVolumeProxy, name: str) -> bool:
        # Going through them may ask the cluster too.
        return name in _offload(
            lambda: [snap.get('name') for snap in image.list_snaps()])

    def create_snap(self, volume: str, name: str, pool: str | None = None,
                    protect: bool = False) -> None:
        """Make a snapshot of an image.

        :param volume: name of the image
        :param name: name of the snapshot
        :param pool: name of the image's pool, by default the driver's
        :param protect: protect it, so that it can be cloned and not removed
        """
        LOG.debug('Making snapshot %(snap)s of rbd image %(name)s',
                  {'snap': name, 'name': volume})
        with RBDVolumeProxy(self, volume, pool=pool) as image:
            image.create_snap(name)
            if protect and not image.is_protected_snap(name):
                image.protect_snap(name)

    def remove_snap(self, volume: str, name: str, ignore_errors: bool = False,
                    pool: str | None = None, force: bool = False) -> None:
        """Remove a snapshot of an image.

        One that is not there, or is protected, is left at a warning.

        :param volume: name of the image
        :param name: name of the snapshot
        :param ignore_errors: do not warn; a protected snapshot is not spared
            then, but left to librbd to refuse (rbd.ImageBusy)
        :param pool: name of the image's pool, by default the driver's
        :param force: remove the protection first
        """
        what = {'snap': name, 'name': volume}
        with RBDVolumeProxy(self, volume, pool=pool) as image:
            if not self._has_snapshot(image, name):
                if not ignore_errors:
                    LOG.warning('There is no snapshot %(snap)s of rbd image '
                                '%(name)s to remove.', what)
                return
            if image.is_protected_snap(name):
                if force:
                    image.unprotect_snap(name)
                elif not ignore_errors:
                    LOG.warning('The snapshot %(snap)s of rbd image %(name)s '
                                'is protected, it is not removed.', what)
                    return
            LOG.debug('Removing snapshot %(snap)s of rbd image %(name)s',
                      what)
            image.remove_snap(name)

    def rollback_to_snap(self, volume: str, name: str) -> None:
        """Return an image to the state it had at a snapshot.

        :param volume: name of the image
        :param name: name of the snapshot
        :raises: nova.exception.SnapshotNotFound
        """
        with RBDVolumeProxy(self, volume) as image:
            if not self._has_snapshot(image, name):
                raise exception.SnapshotNotFound(snapshot_id=name)
            LOG.debug('Rolling rbd image %(name)s back to snapshot %(snap)s',
                      {'name': volume, 'snap': name})
            image.rollback_to_snap(name)
