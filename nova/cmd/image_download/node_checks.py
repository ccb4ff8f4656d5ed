# SPDX-License-Identifier: Apache-2.0

"""Whether this node is set up for direct downloads: nova.conf and its disk."""

from __future__ import annotations

import os
import typing as ty

from nova.cmd.image_download.check_item import Item
from nova.cmd.image_download.check_item import OK
from nova.cmd.image_download.check_item import PROBLEM
from nova.cmd.image_download.check_item import UNKNOWN
from nova.cmd.image_download.check_item import WARNING
from nova.cmd.image_download import node_user
from nova.cmd.image_download import service_user
from nova.cmd.image_download import units
import nova.conf

CONF = nova.conf.CONF


def user() -> Item:
    """Return who runs this, and with which configuration.

    What only nova-compute may read decides about a download.
    """
    files = ', '.join(CONF.config_file or []) or 'no file'
    found = 'running as %s, configured by %s' % (node_user.name(), files)
    if not CONF.config_file:
        return Item('configuration', PROBLEM, found,
                    'name nova.conf with --config-file')
    reason, remedy = node_user.doubt()
    if reason:
        return Item('configuration', UNKNOWN, '%s, but %s: what this user '
                    'may read says little about nova-compute'
                    % (found, reason), remedy)
    return Item('configuration', OK, found)


def gates() -> ty.Iterator[Item]:
    """Return how the options are that let images come from RBD."""
    name = '[glance]/allowed_direct_url_schemes'
    schemes = ', '.join(CONF.glance.allowed_direct_url_schemes)
    if 'rbd' in CONF.glance.allowed_direct_url_schemes:
        yield Item('scheme gate', OK, '%s is %s' % (name, schemes))
    else:
        yield Item('scheme gate', PROBLEM, '%s has no rbd (%s)'
                   % (name, schemes or 'it is empty'),
                   'remove the option from nova.conf or set it to rbd, and '
                   'restart nova-compute')
    name = '[glance]/enable_rbd_download'
    if CONF.glance.enable_rbd_download:
        yield Item('switch', OK, '%s is True' % name)
    else:
        yield Item('switch', PROBLEM, '%s is False' % name,
                   'set %s = True in nova.conf and restart nova-compute'
                   % name)
    images_type = CONF.libvirt.images_type
    if images_type == 'rbd':
        yield Item('instance disks', PROBLEM, '[libvirt]/images_type is rbd: '
                   'disks are cloned inside the cluster and nothing is '
                   'downloaded', 'leave direct downloads off on this node')
    else:
        yield Item('instance disks', OK, '[libvirt]/images_type is %s, in %s'
                   % (images_type, CONF.instances_path))
    if CONF.glance.rbd_download_fallback:
        yield Item('fallback', OK, '[glance]/rbd_download_fallback is True: '
                   'what cannot be read from RBD comes over HTTP')
    else:
        yield Item('fallback', WARNING, '[glance]/rbd_download_fallback is '
                   'False: a boot fails if its image cannot be read from RBD',
                   'set it to True unless that is meant')


def disk_space(image: dict[str, ty.Any],
               sample: dict[str, ty.Any]) -> Item:
    """Return whether the image fits on the disk of the image cache."""
    topic = 'disk space'
    cache = path = os.path.dirname(service_user.cache_path(image['id']))
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    reason = node_user.why_not_writable(path)
    if reason:
        return Item(topic, PROBLEM, '%s cannot write to %s: %s'
                    % (node_user.name(), path, reason),
                    'make it writable for the user of nova-compute')
    cached = service_user.cache_path(image['id'])
    if os.path.exists(cached):
        return Item(topic, OK, '%s has the image already' % cached)
    stat = os.statvfs(path)
    free = stat.f_bavail * stat.f_frsize
    # What has holes in the cluster has them here.
    needed = sample.get('data_bytes')
    if needed is None:
        needed = image.get('size') or sample.get('size') or 0
    size = units.format_bytes
    found = '%s has %s free, the image needs %s' % (cache, size(free),
                                                    size(needed))
    if free < needed:
        # A boot may get by with less: zeros take nothing, and a file system
        # may compress. What was read in full is known to be no zeros.
        sure = sample.get('nonzero_bytes', needed)
        return Item(topic, PROBLEM if free < sure else UNKNOWN,
                    found if free < sure else '%s unless parts of it are '
                    'zeros' % found,
                    'free at least %s there' % size(needed - free))
    if image.get('disk_format') in ('raw', None) or not CONF.force_raw_images:
        return Item(topic, OK, found)
    return _conversion(image, found, free - needed)


def _conversion(image: dict[str, ty.Any], found: str, left: int) -> Item:
    """Return whether there is room for the raw copy beside the image.

    :param found: what is known of the image itself
    :param left: bytes that are free beside it
    """
    topic, size = 'disk space', units.format_bytes
    virtual = image.get('virtual_size')
    if not virtual:
        return Item(topic, WARNING, '%s; how large it is once it is converted '
                    'to raw is not known to Glance' % found,
                    'upload it as raw, or look with "qemu-img info"')
    if left < virtual:
        return Item(topic, WARNING, '%s, and up to %s more when it is '
                    'converted to raw: the boot fails if more than %s of it '
                    'are data' % (found, size(virtual), size(max(left, 0))),
                    'free at least %s there, unless most of it are holes'
                    % size(virtual - left))
    return Item(topic, OK, '%s, and up to %s more when it is converted to raw'
                % (found, size(virtual)))
