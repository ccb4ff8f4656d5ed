# SPDX-License-Identifier: Apache-2.0

"""Which locations of an image may be read directly, and why not the others.

A location comes from Glance's database, where under some policies a tenant
may have written it, while the key that reads it is Nova's. So nothing is
asked of the cluster on behalf of a location before it has passed here.
"""

import dataclasses
import typing as ty

import nova.conf
from nova.image import locations
from nova.storage import rbd_transfer

CONF = nova.conf.CONF

# The snapshot that glance_store and Nova's direct snapshots make (Nova:
# nova/virt/libvirt/imagebackend.py, glance_store: DEFAULT_SNAPNAME).
SNAPSHOT_NAME = 'snap'

# More copies of one image than this exist in no deployment. Each that is
# missing costs a look into the cluster.
MAX_CANDIDATES = 8

# How much of a refused URL goes into the log.
MAX_LOGGED_URL = 120


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A location that is not read.

    :ivar url: the location, shortened and free of control characters
    :ivar error: why
    """

    url: str
    error: rbd_transfer.TransferError

    def __str__(self) -> str:
        return '%s: %s' % (self.url, self.error)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What may be read of an image.

    :ivar candidates: in the order in which to try them
    :ivar refusals: the locations that may not be read
    """

    candidates: tuple[locations.RBDLocation, ...]
    refusals: tuple[Refusal, ...]


def allowed_pools() -> frozenset[str]:
    """Return the pools of ``[glance]/rbd_pool``, empty if any is allowed."""
    return frozenset(
        pool for pool in map(str.strip, CONF.glance.rbd_pool.split(','))
        if pool)


def judge(urls: ty.Iterable[str], image_id: str,
          cluster_fsid: ty.Callable[[], str]) -> Verdict:
    """Decide which locations of an image may be read from RBD.

    :param urls: what Glance gave as locations, in its order
    :param image_id: of the Glance image
    :param cluster_fsid: returns the fsid of the cluster that would be read;
        called only if there is a location that passes everything else. What
        it raises is passed on.
    :returns: a :class:`Verdict`
    """
    refusals = []
    hopeful: list[tuple[str, locations.RBDLocation]] = []
    for url in urls:
        try:
            location = locations.parse_rbd_url(url)
            _check_names(location, image_id)
        except rbd_transfer.TransferError as exc:
            refusals.append(Refusal(_loggable(url), exc))
        else:
            hopeful.append((url, location))

    candidates: list[locations.RBDLocation] = []
    fsid = cluster_fsid() if hopeful else ''
    for url, location in hopeful:
        if location.fsid != fsid:
            refusals.append(Refusal(_loggable(url), rbd_transfer.TransferError(
                'wrong_cluster', 'it is in another cluster, this node reads '
                'cluster %s' % fsid)))
        elif len(candidates) == MAX_CANDIDATES:
            refusals.append(Refusal(_loggable(url), rbd_transfer.TransferError(
                'too_many_locations', 'it comes after %d others'
                % MAX_CANDIDATES)))
        elif location not in candidates:
            candidates.append(location)
    return Verdict(tuple(candidates), tuple(refusals))


def _check_names(location: locations.RBDLocation, image_id: str) -> None:
    pools = allowed_pools()
    if pools and location.pool not in pools:
        raise rbd_transfer.TransferError(
            'pool_not_allowed', 'its pool is not in [glance]/rbd_pool (%s)'
            % ', '.join(sorted(pools)))
    if not CONF.glance.rbd_download_require_image_id:
        return
    if (location.image, location.snapshot) != (image_id, SNAPSHOT_NAME):
        raise rbd_transfer.TransferError(
            'location_refused', 'it is not %s@%s as Glance would name it; '
            '[glance]/rbd_download_require_image_id forbids others'
            % (image_id, SNAPSHOT_NAME))


def _loggable(url: str) -> str:
    text = url if len(url) <= MAX_LOGGED_URL else (
        url[:MAX_LOGGED_URL] + '...')
    return ''.join(c if c.isprintable() else '?' for c in text)
