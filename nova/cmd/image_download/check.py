# SPDX-License-Identifier: Apache-2.0

"""Whether this node would read images from RBD, and if not, why.

:func:`run` goes through everything that a download needs in the order in
which a download needs it. Where it can it asks the code that downloads rather
than judging by itself, so that the answer is the one a boot would get. A
problem does not end it: whoever sets up a node wants to see all of them.
"""

import os
import typing as ty

from nova.cmd.image_download.check_item import Item
from nova.cmd.image_download.check_item import NOT_APPLICABLE
from nova.cmd.image_download.check_item import OK
from nova.cmd.image_download.check_item import PROBLEM
from nova.cmd.image_download.check_item import size
from nova.cmd.image_download.check_item import WARNING
from nova.cmd.image_download import cluster_checks
from nova.cmd.image_download import service_user
import nova.conf
from nova.image import direct_download
from nova.image import location_policy
from nova.image import locations
from nova.storage import rbd_transfer

CONF = nova.conf.CONF

# How many images are looked at to find one in RBD if none is named.
NEWEST = 10

# Bytes of the image that are read to see how fast that is.
SAMPLE = 64 << 20


def over_rbd(items: ty.Iterable[Item]) -> bool:
    """Whether a boot would read the image from RBD, by these items."""
    return all(item.state != PROBLEM for item in items)


def run(image: str | None = None) -> ty.Iterator[Item]:
    """Look at everything, and yield an :class:`Item` for each as it is known.

    :param image: id or name of a Glance image; without one the newest images
        stand for what a boot would meet
    """
    yield _user()
    yield from _gates()
    cluster = rbd_transfer.Cluster.of_glance()
    facts, items = cluster_checks.survey(cluster)
    yield from items
    glance = _Glance(image)
    yield from glance.items()
    if glance.image is None:
        for topic in ('image', 'location', 'integrity', 'disk space',
                      'sample read'):
            yield Item(topic, NOT_APPLICABLE, 'there is no image to look at')
        return
    yield _image(glance.image)
    location, items = _locations(glance.image, glance.urls, facts, cluster)
    yield from items
    yield _integrity(glance.image)
    sample = _take_sample(location, facts, cluster)
    yield _disk_space(glance.image, sample)
    yield _judge_sample(glance.image, location, sample, facts)


def _user() -> Item:
    """The files that only nova-compute may read decide; so does who asks."""
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


def _gates() -> ty.Iterator[Item]:
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


# Glance

class _Glance:
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
            yield Item(topics.pop(0), PROBLEM, exc.found, exc.cure)
            for topic in topics:
                yield Item(topic, NOT_APPLICABLE, 'Glance cannot be asked')

    def _roles(self) -> Item:
        identity = self._identity
        roles = ', '.join(identity.roles) or 'none'
        lacking = identity.lacking('service', 'admin')
        if not lacking:
            return Item('roles', OK, 'user %s has %s'
                        % (identity.user, roles))
        reasons = {'service': 'Glance 29 to 31 tell locations to nobody else',
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
        self.image = service_user.show(self._service, self._context, image)
        # Without those that the record has, only the first way is left.
        self._told = locations.find(self._service, self._context,
                                    dict(self.image, locations=[]))
        self.urls = self._told.urls or tuple(dict.fromkeys(
            entry['url'] for entry in self.image.get('locations') or []
            if entry.get('url')))

    def _way(self) -> Item:
        topic = 'locations'
        assert self.image is not None
        if self._told.urls:
            return Item(topic, OK, 'told to services by the locations API')
        fault = self._told.fault or (
            'Glance has no locations API' if 'Glance 29' in self._told.hint
            else 'the locations API tells none')
        if 'Glance answered 40' in fault:
            fault = 'the locations API refuses user %s: %s' % (
                self._identity.user, fault)
        lacking = self._identity.lacking('service', 'admin')
        cure = self._told.hint or 'look at the image, it may have no data'
        if lacking and self._told.fault:
            cure = self._identity.grant(lacking)
        if self.urls:
            return Item(topic, WARNING, '%s; those that Glance shows to '
                        'users are used, with the risks of OSSN-0090' % fault,
                        cure)
        return Item(topic, PROBLEM, '%s, and Glance shows none in image %s'
                    % (fault, self.image['id']), cure)


# One image

def _image(image: dict[str, ty.Any]) -> Item:
    topic = 'image'
    found = '%s (%s), %s in %s, %s' % (
        image['id'], image.get('name') or 'no name',
        image.get('disk_format'), image.get('container_format'),
        size(image.get('size') or 0))
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


def _locations(image: dict[str, ty.Any], urls: tuple[str, ...],
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
        found = '%s is not read: %s' % (refusal.url, refusal.reason)
        if state == PROBLEM and _is_of_wrong_pools(refusal, facts):
            # The cure of that is in its own line.
            items.append(Item(topic, NOT_APPLICABLE, found))
        else:
            items.append(Item(topic, state, found, _refusal_cure(
                refusal, image, fsid, cluster)))
    chosen = verdict.candidates[0] if verdict.candidates else None
    return (chosen if facts.get('fsid') else None), items


def _is_of_wrong_pools(refusal: location_policy.Refusal,
                       facts: dict[str, ty.Any]) -> bool:
    """Whether a location is refused for pools that do not even exist."""
    allowed = location_policy.allowed_pools()
    return '[glance]/rbd_pool' in refusal.reason and allowed <= {
        pool for pool, right in _rights(facts).items() if right == 'missing'}


def _rights(facts: dict[str, ty.Any]) -> dict[str, str]:
    """Return what the key may read, by pool."""
    return {entry['pool']: entry['read'] for entry in facts.get('pools', [])}


def _fsid_of(url: str) -> str:
    try:
        return locations.parse_rbd_url(url).fsid
    except locations.InvalidLocation:
        return ''


def _refusal_cure(refusal: location_policy.Refusal, image: dict[str, ty.Any],
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


def _integrity(image: dict[str, ty.Any]) -> Item:
    topic = 'integrity'
    digest = direct_download._expected_digest(image)
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


def _disk_space(image: dict[str, ty.Any],
                sample: dict[str, ty.Any]) -> Item:
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
    found = '%s has %s free, the image needs %s' % (cache, size(free),
                                                    size(needed))
    if free < needed:
        return Item(topic, PROBLEM, found,
                    'free at least %s there' % size(needed - free))
    return Item(topic, OK, found)


def _take_sample(location: locations.RBDLocation | None,
                 facts: dict[str, ty.Any], cluster: rbd_transfer.Cluster
                 ) -> dict[str, ty.Any]:
    if location is None:
        return {}
    source = rbd_transfer.Source(location.pool, location.image,
                                 location.snapshot)
    try:
        return rbd_transfer.survey(cluster, [location.pool], source,
                                   SAMPLE)['sample']
    except rbd_transfer.TransferError as exc:
        return {'code': exc.code, 'message': str(exc)}


def _judge_sample(image: dict[str, ty.Any],
                  location: locations.RBDLocation | None,
                  sample: dict[str, ty.Any],
                  facts: dict[str, ty.Any]) -> Item:
    topic = 'sample read'
    if location is None:
        return Item(topic, NOT_APPLICABLE, 'there is nothing to read')
    if 'code' in sample:
        if (_rights(facts).get(location.pool) == 'no' and
                location.pool in location_policy.allowed_pools()):
            # The cure of that is in the line about the pools.
            return Item(topic, NOT_APPLICABLE, 'pool %s may not be read'
                        % location.pool)
        cure = direct_download.CURES.get(sample['code'],
                                         'see "ceph health detail"')
        if sample['code'] == 'permission':
            cure = '"ceph auth caps %s %s"' % (
                facts['client'], cluster_checks.caps([location.pool]))
        return Item(topic, PROBLEM, sample['message'].partition(';')[0], cure)
    if image.get('size') and image['size'] != sample['size']:
        return Item(topic, PROBLEM, 'it has %d bytes in RBD and %d in Glance'
                    % (sample['size'], image['size']),
                    direct_download.CURES['wrong_size'])
    rate = sample['bytes'] / max(sample['seconds'], 1e-6)
    data = ('%s of data' % size(sample['data_bytes'])
            if sample['data_bytes'] is not None else
            'holes not known without the features object-map and fast-diff')
    return Item(topic, OK, '%s in %.2f s (%s/s, %d reads at a time, without '
                'hash and disk); %s in all, %s'
                % (size(sample['bytes']), sample['seconds'], size(rate),
                   sample['reads'], size(sample['size']), data))
