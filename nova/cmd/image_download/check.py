# SPDX-License-Identifier: Apache-2.0

"""Whether this node would read images from RBD, and if not, why.

:func:`run` goes through everything that a download needs in the order in
which a download needs it. Where it can it asks the code that downloads rather
than judging by itself, so that the answer is the one a boot would get. A
problem does not end it: the operator who sets up a node wants to see all of
them.
"""

from __future__ import annotations

import dataclasses
import typing as ty

from nova.cmd.image_download.check_item import Item
from nova.cmd.image_download.check_item import NOT_APPLICABLE
from nova.cmd.image_download.check_item import PROBLEM
from nova.cmd.image_download.check_item import UNKNOWN
from nova.cmd.image_download import cluster_checks
from nova.cmd.image_download import glance_checks
from nova.cmd.image_download import node_checks
from nova.storage import rbd_transfer


# What is decided by the rights of the user of nova-compute.
OF_THE_USER = frozenset(['Ceph bindings', 'ceph.conf', 'keyring', 'cluster',
                         'pools', 'other pools', 'location', 'disk space',
                         'sample read'])


def over_rbd(items: ty.Iterable[Item]) -> bool | None:
    """Return whether a boot would read the image from RBD, by these items.

    :returns: None if that could not be found out
    """
    states = {item.state for item in items}
    if PROBLEM in states:
        return False
    return None if UNKNOWN in states else True


def run(image: str | None = None) -> ty.Iterator[Item]:
    """Check everything, and yield an :class:`Item` for each as it is known.

    :param image: id or name of a Glance image; without one the newest images
        stand for what a boot would meet
    """
    user = node_checks.user()
    yield user
    for item in _run(image):
        if (user.state == UNKNOWN and item.state == PROBLEM and
                item.topic in OF_THE_USER):
            # nova-compute may have rights that this process has not.
            item = dataclasses.replace(item, state=UNKNOWN)
        yield item


def _run(image: str | None) -> ty.Iterator[Item]:
    yield from node_checks.gates()
    cluster = rbd_transfer.Cluster.of_glance()
    facts, items = cluster_checks.survey(cluster)
    yield from items
    glance = glance_checks.Glance(image)
    yield from glance.items()
    if glance.image is None:
        for topic in ('image', 'location', 'integrity', 'disk space',
                      'sample read'):
            yield Item(topic, NOT_APPLICABLE, 'there is no image to look at')
        return
    yield glance_checks.image_item(glance.image)
    location, items = glance_checks.location_items(
        glance.image, glance.urls, facts, cluster)
    yield from items
    yield glance_checks.integrity(glance.image)
    sample = cluster_checks.take_sample(location, cluster)
    yield node_checks.disk_space(glance.image, sample)
    yield cluster_checks.judge_sample(glance.image, location, sample, facts)
