# SPDX-License-Identifier: Apache-2.0

"""Remove RBD images that were disks of instances."""

from __future__ import annotations

import typing as ty

from oslo_log import log as logging
from oslo_service import loopingcall

import nova.conf
from nova.storage import rbd_connection

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# The snapshot of a root disk to which a reverted resize returns.
RESIZE_SNAPSHOT_NAME = 'nova-resize'


class Removal:
    """The part of the RBD driver that removes images."""

    # Attributes of the driver.
    pool: str
    remove_snap: ty.Callable[..., None]
    _open_client: ty.Callable[..., ty.Any]
    _rbd_proxy: ty.Callable[[], ty.Any]
    _bindings: ty.Callable[[], ty.Any]

    def remove_image(self, name: str) -> None:
        """Remove an image.

        One that is not there or has snapshots is left at a log line.

        :param name: name of the image
        """
        where = {'pool': self.pool, 'name': name}
        with self._open_client(self.pool) as client:
            try:
                self._rbd_proxy().remove(client.ioctx, name)
            except self._bindings().ImageNotFound:
                LOG.warning('The rbd image %(pool)s/%(name)s that was to be '
                            'removed does not exist.', where)
            except self._bindings().ImageHasSnapshots:
                LOG.error('The rbd image %(pool)s/%(name)s has snapshots, it '
                          'is not removed.', where)

    def cleanup_volumes(self, filter_fn: ty.Callable[[str], bool]) -> None:
        """Destroy images of the driver's pool.

        :param filter_fn: tells by its name whether to destroy an image
        """
        with self._open_client(self.pool) as client:
            failure: Exception | None = None
            for volume in self._rbd_proxy().list(client.ioctx):
                if not filter_fn(volume):
                    continue
                try:
                    self._destroy_volume(client, volume)
                except Exception as exc:
                    # The others are removed nevertheless.
                    LOG.debug('Cannot remove rbd image %(name)s: %(exc)s',
                              {'name': volume, 'exc': exc})
                    failure = failure or exc
            if failure is not None:
                raise failure

    def destroy_volume(self, volume: str, pool: str | None = None) -> None:
        """Destroy an image.

        While it is busy this is tried again, as often as ``[libvirt]``
        ``rbd_destroy_volume_retries`` says. If that does not help it is left
        at an error in the log.

        :param volume: name of the image
        :param pool: name of its pool, by default the driver's
        """
        with self._open_client(pool) as client:
            self._destroy_volume(client, volume, pool)

    def _destroy_volume(self, client: ty.Any, volume: str,
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
            self._rbd_proxy().remove(ioctx, volume)
            return True
        except self._bindings().ImageHasSnapshots:
            holder = 'has snapshots'
        except self._bindings().ImageBusy:
            holder = 'is in use'
        except Exception as exc:
            if not rbd_connection.is_gone(exc):
                raise
            LOG.debug('The rbd image %(pool)s/%(name)s that was to be removed '
                      'is gone already.',
                      {'pool': pool or self.pool, 'name': volume})
            return True
        LOG.warning('Cannot remove rbd image %(pool)s/%(name)s yet: it '
                    '%(holder)s', {'pool': pool or self.pool, 'name': volume,
                                   'holder': holder})
        if holder == 'has snapshots':
            try:
                self.remove_snap(volume, RESIZE_SNAPSHOT_NAME,
                                 ignore_errors=True, pool=pool)
            except self._bindings().ImageBusy as exc:
                LOG.warning('Cannot remove the snapshot %(snap)s of rbd '
                            'image %(name)s: %(exc)s',
                            {'snap': RESIZE_SNAPSHOT_NAME, 'name': volume,
                             'exc': exc})
        return False
