# SPDX-License-Identifier: Apache-2.0

"""What Glance says about an image, and whether it may be read from RBD."""

from __future__ import annotations

import typing as ty

from nova.cmd.image_download.check_item import Item
from nova.cmd.image_download.check_item import NOT_APPLICABLE
from nova.cmd.image_download.check_item import OK
from nova.cmd.image_download.check_item import PROBLEM
from nova.cmd.image_download.check_item import WARNING
from nova.cmd.image_download import cluster_checks
from nova.cmd.image_download import image_names
from nova.cmd.image_download import service_user
from nova.cmd.image_download import units
import nova.conf
from nova.image import digests
from nova.image import location_policy
from nova.image import locations
from nova.storage import rbd_transfer

CONF = nova.conf.CONF

# Why the locations API was not asked. The message of such an error also says
# that users are shown none, which is looked at here by itself.
NOT_OFFERED = {
    'no_locations_api': 'Glance has no locations API',
    'no_service_user': 'nova.conf has no [service_user] for the locations API',
    'glanceclient_too_old': 'python-glanceclient is too old for the locations '
                            'API',
}

# How many images are looked at to find one in RBD if none is named.
NEWEST = 10


class Glance:
    """What Glance says.

    :param wanted: id or name of an image, None for any
    :ivar image: the image, None if there is none to look at
    :ivar urls: its locations
    """

    def __init__(self, wanted: str | None) -> None:
        self._wanted = wanted
        self.image: dict[str, ty.Any] | None = None
        self.urls: tuple[str, ...] = ()

    def items(self) -> ty.Iterator[Item]:
        """Ask, and yield what came of it."""
        topics = ['credentials', 'roles', 'Glance', 'locations']
        try:
            self._context = service_user.context()
            identity = self._identity = service_user.identity(self._context)
            yield Item(topics.pop(0), OK, 'user %s in project %s'
                       % (identity.user, identity.project))
            topics.pop(0)
            yield self._roles()
            self._service = service_user.service()
            newest = service_user.newest(self._service, self._context, NEWEST)
            found = '%s answers' % self._service._client.api_server
            version = self._api_version()
            yield Item(topics.pop(0), OK, found + (
                ', Images API %s' % version if version else ''))
            yield self._find(newest)
        except service_user.OperatorError as exc:
            yield Item(topics.pop(0), PROBLEM, exc.found, exc.remedy)
            for topic in topics:
                yield Item(topic, NOT_APPLICABLE, 'Glance cannot be asked')

    def _roles(self) -> Item:
        identity = self._identity
        roles = ', '.join(identity.roles) or 'none'
        lacking = identity.lacking('service', 'admin')
        if not lacking:
            return Item('roles', OK, 'user %s has %s'
                        % (identity.user, roles))
        reasons = {'service': 'Glance 29 to 31 return locations to no other '
                              'role',
                   'admin': 'private images of other projects are hidden from '
                            'it'}
        return Item('roles', WARNING, 'user %s has not %s, only %s: %s' % (
            identity.user, ' and '.join(lacking), roles,
            ', and '.join(reasons[role] for role in lacking)),
            identity.grant(lacking))

    def _api_version(self) -> str:
        """Return the newest version of the Images API, '' if unknown."""
        try:
            client = self._service._client._create_onetime_client(
                self._context, 2)
            versions = client.http_client.get('/versions')[1]['versions']
            return '.'.join(map(str, max(
                tuple(map(int, version['id'].lstrip('v').split('.')))
                for version in versions
                if version['status'] in ('CURRENT', 'SUPPORTED'))))
        except Exception:
            # It is no more than a detail.
            return ''

    def _find(self, newest: tuple[str, ...]) -> Item:
        """Choose the image, and say by which way its locations are known."""
        if self._wanted is not None:
            self._take(self._wanted)
        for image_id in newest if self._wanted is None else ():
            self._take(image_id)
            if not self.urls or any(url.startswith(locations.RBD_PREFIX)
                                    for url in self.urls):
                # The next one would not be told either, or is not needed.
                break
        if self.image is None:
            return Item('locations', PROBLEM,
                        'Glance has no active image to ask about',
                        'upload one, to its RBD store')
        return self._way()

    def _take(self, image: str) -> None:
        self.image = image_names.show(self._service, self._context, image,
                                      self._identity.project_id)
        self._told = locations.find(self._service, self._context, self.image)
        self.urls = self._told.urls

    def _way(self) -> Item:
        topic = 'locations'
        assert self.image is not None
        error = self._told.error
        if error is None:
            return Item(topic, OK, 'told to services by the locations API')
        found = NOT_OFFERED.get(error.code) or str(error)
        remedy = error.remedy
        lacking = self._identity.lacking('service', 'admin')
        if error.code in ('locations_refused', 'locations_hidden'):
            found = 'the locations API refuses user %s: %s' % (
                self._identity.user, error)
            if lacking:
                remedy = self._identity.grant(lacking)
        if self.urls:
            return Item(topic, WARNING, '%s; those that Glance shows to '
                        'users are used, with the risks of OSSN-0090' % found,
                        remedy)
        return Item(topic, PROBLEM, '%s, and Glance shows none in image %s'
                    % (found, self.image['id']), remedy)


def image_item(image: dict[str, ty.Any]) -> Item:
    """Return what the image is."""
    topic = 'image'
    found = '%s, %s in %s, %s' % (
        image_names.describe(image).removeprefix('image '),
        image.get('disk_format'), image.get('container_format'),
        units.format_bytes(image.get('size') or 0))
    if image.get('status') != 'active':
        return Item(topic, PROBLEM, '%s, is %s' % (found,
                                                   image.get('status')),
                    'wait until it is active, or activate it; others are '
                    'left to the Image API')
    if image.get('disk_format') not in ('raw', None):
        return Item(topic, WARNING, '%s: has to be converted after the '
                    'download' % found,
                    'upload it as raw, sparse parts cost nothing then')
    return Item(topic, OK, found)


def location_items(image: dict[str, ty.Any], urls: tuple[str, ...],
                   facts: dict[str, ty.Any], cluster: rbd_transfer.Cluster
                   ) -> tuple[locations.RBDLocation | None, list[Item]]:
    """Ask the policy.

    :returns: the location that a boot would read, and an item each
    """
    topic = 'location'
    if not urls:
        return None, [Item(topic, NOT_APPLICABLE, 'none is known')]
    in_rbd = [url for url in urls if url.startswith(locations.RBD_PREFIX)]
    if not in_rbd:
        stores = ', '.join(sorted({url.partition(':')[0] for url in urls}))
        return None, [Item(topic, PROBLEM, 'Glance does not keep image %s in '
                           'RBD but in %s' % (image['id'], stores),
                           'copy it to the RBD store, with "glance '
                           'image-import --import-method copy-image"')]
    fsid = facts.get('fsid')
    if not fsid:
        # Everything else can be judged without the cluster.
        fsid = _fsid_of(in_rbd[0])
    verdict = location_policy.judge(in_rbd, image['id'],
                                    cluster_fsid=lambda: fsid)
    items = [Item(topic, OK if facts.get('fsid') else NOT_APPLICABLE,
                  'rbd://%s/%s/%s/%s %s'
                  % (location.fsid, location.pool, location.image,
                     location.snapshot, 'may be read' if facts.get('fsid')
                     else 'is not compared with the cluster, which cannot be '
                     'asked')) for location in verdict.candidates]
    state = WARNING if items else PROBLEM
    for refusal in verdict.refusals:
        found = '%s is not read: %s' % (refusal.url, refusal.error)
        if state == PROBLEM and _is_of_wrong_pools(refusal, facts):
            # The remedy of that is in its own line.
            items.append(Item(topic, NOT_APPLICABLE, found))
        else:
            items.append(Item(topic, state, found, _refusal_remedy(
                refusal, image, fsid, cluster)))
    chosen = verdict.candidates[0] if verdict.candidates else None
    return (chosen if facts.get('fsid') else None), items


def _is_of_wrong_pools(refusal: location_policy.Refusal,
                       facts: dict[str, ty.Any]) -> bool:
    """Whether a location is refused for pools that do not even exist."""
    allowed = location_policy.allowed_pools()
    return refusal.error.code == 'pool_not_allowed' and allowed <= {
        pool for pool, right in cluster_checks.rights(facts).items()
        if right == 'missing'}


def _fsid_of(url: str) -> str:
    try:
        return locations.parse_rbd_url(url).fsid
    except locations.InvalidLocation:
        return ''


def _refusal_remedy(refusal: location_policy.Refusal, image: dict[str, ty.Any],
                  fsid: str, cluster: rbd_transfer.Cluster) -> str:
    try:
        location = locations.parse_rbd_url(refusal.url)
    except locations.InvalidLocation:
        return 'see who changed the locations of the image, and upload it anew'
    pools = location_policy.allowed_pools()
    if pools and location.pool not in pools:
        return ('set [glance]/rbd_pool = %s, if that is the pool of Glance'
                % location.pool)
    if location.fsid != fsid and location.image == image['id']:
        return ('point %s at the cluster %s, in which Glance keeps it'
                % ('%s, which [glance]/rbd_ceph_conf names,' % cluster.conf
                   if cluster.conf else '[glance]/rbd_ceph_conf',
                   location.fsid))
    return ('see who changed the locations of the image; if they were made '
            'by hand, set [glance]/rbd_download_require_image_id = False')


def integrity(image: dict[str, ty.Any]) -> Item:
    """Return by what a copy is verified."""
    topic = 'integrity'
    digest = digests.expected(image)
    if not CONF.glance.rbd_download_verify_hash:
        return Item(topic, WARNING, '[glance]/rbd_download_verify_hash is '
                    'False: only the size of a copy is checked',
                    'set it to True unless the cluster is trusted more than '
                    'the time is worth')
    if digest is None:
        return Item(topic, WARNING, 'Glance has no hash of this image: a '
                    'copy cannot be verified',
                    'upload the image anew; snapshots made inside the '
                    'cluster have none')
    return Item(topic, OK, 'copies are verified by %s'
                % digest.partition(':')[0])
