# SPDX-License-Identifier: Apache-2.0

"""Whether this node is set up for direct downloads: nova.conf and its disk."""

from __future__ import annotations

import os
import typing as ty

from nova.cmd.image_download.check_item import Item
from nova.cmd.image_download.check_item import OK
from nova.cmd.image_download.check_item import PROBLEM
from nova.cmd.image_download.check_item import WARNING
from nova.cmd.image_download import service_user
from nova.cmd.image_download import units
import nova.conf

CONF = nova.conf.CONF


def user() -> Item:
    """Return who runs this, and with which configuration.

    What only nova-compute may read decides about a download.
    """
    name = service_user.user_name(os.geteuid())
    files = ', '.join(CONF.config_file or []) or 'no file'
    found = 'running as %s, configured by %s' % (name, files)
    if not CONF.config_file:
        return Item('configuration', PROBLEM, found,
                    'name nova.conf with --config-file')
    try:
        owner = os.stat(CONF.instances_path).st_uid
    except OSError:
        return Item('configuration', OK, found)
    if owner != os.geteuid():
        theirs = service_user.user_name(owner)
        return Item('configuration', WARNING,
                    '%s, but %s belongs to %s: what %s may read says little '
                    'about nova-compute' % (found, CONF.instances_path,
                                            theirs, name),
                    'run it as the user of nova-compute, with "sudo -u %s"'
                    % theirs)
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
    if not os.access(path, os.W_OK | os.X_OK):
        return Item(topic, PROBLEM, '%s cannot be written by %s'
                    % (path, service_user.user_name(os.geteuid())),
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
    if image.get('disk_format') != 'raw' and CONF.force_raw_images:
        # The raw one is beside it when it is converted, and no smaller.
        needed *= 2
    size = units.format_bytes
    found = '%s has %s free, the image needs %s' % (cache, size(free),
                                                    size(needed))
    if free < needed:
        return Item(topic, PROBLEM, found,
                    'free at least %s there' % size(needed - free))
    return Item(topic, OK, found)
