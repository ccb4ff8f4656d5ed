# SPDX-License-Identifier: Apache-2.0

"""Snapshots of RBD images that are disks of instances."""

from __future__ import annotations

import typing as ty

from oslo_log import log as logging

from nova import exception
from nova.storage import rbd_connection

LOG = logging.getLogger(__name__)


class Snapshots:
    """The part of the RBD driver that works on snapshots."""

    # Attributes of the driver.
    pool: str
    _open_image: ty.Callable[..., ty.Any]

    @staticmethod
    def _has_snapshot(image: ty.Any, name: str) -> bool:
        # Going through them may ask the cluster too.
        return name in rbd_connection.offload(
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
        with self._open_image(volume, pool=pool) as image:
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
        try:
            with self._open_image(volume, pool=pool) as image:
                self._remove_snap(image, what, ignore_errors, force)
        except Exception as exc:
            # Removed meanwhile, the snapshot or the whole image.
            if not rbd_connection.is_gone(exc):
                raise
            if not ignore_errors:
                LOG.warning('There is no snapshot %(snap)s of rbd image '
                            '%(name)s to remove.', what)

    def _remove_snap(self, image: ty.Any, what: dict[str, str],
                     ignore_errors: bool, force: bool) -> None:
        name = what['snap']
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
        LOG.debug('Removing snapshot %(snap)s of rbd image %(name)s', what)
        image.remove_snap(name)

    def rollback_to_snap(self, volume: str, name: str) -> None:
        """Return an image to the state it had at a snapshot.

        :param volume: name of the image
        :param name: name of the snapshot
        :raises: nova.exception.SnapshotNotFound
        """
        with self._open_image(volume) as image:
            if not self._has_snapshot(image, name):
                raise exception.SnapshotNotFound(snapshot_id=name)
            LOG.debug('Rolling rbd image %(name)s back to snapshot %(snap)s',
                      {'name': volume, 'snap': name})
            image.rollback_to_snap(name)
