# SPDX-License-Identifier: Apache-2.0

"""Bring an image from where Glance keeps it, without the Image API.

:func:`before_http` is the one thing that the Glance image API names. It calls
:func:`download`, which passes an image through the two gates, asks for its
locations, lets the policy choose among them, has the export engine copy the
first good one, and checks its signature. What cannot be had this way comes
over HTTP, and one line in the log says why.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
import typing as ty

from oslo_log import log as logging

import nova.conf
from nova import context as nova_context
from nova import exception
from nova.image import location_policy
from nova.image import locations
from nova.image import lock_wait
from nova.image import signature
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer
from nova.storage import watching

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Causes beside the kind NO_ANSWER that are the same for each location.
ENDING_CODES = frozenset(['bindings'])

# How many refused locations stand in the one line of a download.
MAX_REPORTED = 3


@dataclasses.dataclass(frozen=True)
class Downloaded:
    """An image that was read from RBD, for :mod:`nova.storage.watching`.

    :ivar image: id of the Glance image
    :ivar result: what the export engine did
    :ivar proofs: what the copy was verified by: the name of an algorithm,
        'signature', both, or nothing
    """

    image: str
    result: rbd_transfer.Result
    proofs: tuple[str, ...]


class Failure(ty.NamedTuple):
    """Why one location, or the whole image, could not be used.

    :ivar where: the location, '' if the failure is not about one
    :ivar error: what happened, and what to do
    """

    where: str
    error: rbd_transfer.TransferError

    def __str__(self) -> str:
        return ': '.join(filter(None, (self.where, str(self.error))))


def enabled() -> bool:
    """Return whether both gates are open."""
    return (CONF.glance.enable_rbd_download and
            'rbd' in CONF.glance.allowed_direct_url_schemes)


def before_http(over_http: ty.Callable) -> ty.Callable:
    """Make GlanceImageServiceV2.download try a direct download first.

    The first verifier is made before anything is asked or copied: an image
    whose signature has wrong metadata is refused, as it is over HTTP.
    """
    @functools.wraps(over_http)
    def wrapper(self, context, image_id, data=None, dst_path=None,
                trusted_certs=None):
        if dst_path is not None and enabled():
            self._get_verifier(context, image_id, trusted_certs)
            if download(self, context, image_id, dst_path, trusted_certs):
                return None
        return over_http(self, context, image_id, data, dst_path,
                         trusted_certs)
    return wrapper


def download(service: ty.Any, context: nova_context.RequestContext,
             image_id: str, dst_path: str | None,
             trusted_certs: ty.Any = None) -> bool:
    """Download an image without the Image API if that is possible.

    :param service: the GlanceImageServiceV2 that was asked for the image
    :param context: the user's request context
    :param image_id: of the image
    :param dst_path: path to write the image to, None if the caller wants
        the data in another form, which only HTTP can give
    :param trusted_certs: objects.TrustedCerts or None, for the signature
    :returns: True if the image is at dst_path, whole and verified; False if
        it has to come over HTTP, in which case nothing was changed
    :raises: :class:`nova.exception.CouldNotFetchImage` if the disk of this
        node is the cause, or if HTTP is forbidden by
        ``[glance]/rbd_download_fallback``; what ``show`` raises if the user
        may not see the image
    """
    if dst_path is None or not enabled():
        return False
    # The user's own view decides whether there is an image to download.
    image = service.show(context, image_id, include_locations=True,
                         show_deleted=False)
    if image.get('status') != 'active':
        # Not ours to judge: Glance refuses it or serves it, as it would to
        # a node without direct downloads.
        LOG.debug('Image %s is %s, leaving it to the Image API', image_id,
                  image.get('status'))
        return False
    failures: list[Failure] = []
    if _download(service, context, image, dst_path, trusted_certs, failures):
        # A bad location is reported although a good one was found.
        for failure in failures:
            LOG.warning('Skipped a bad location of image %(image)s: '
                        '%(failure)s.%(remedy)s',
                        {'image': image_id, 'failure': failure,
                         'remedy': _remedy([failure])})
        return True
    _fall_back(image_id, failures)
    return False


def _fall_back(image_id: str, failures: list[Failure]) -> None:
    """Log why HTTP is needed, and raise if it is forbidden."""
    facts = {'image': image_id, 'why': '; '.join(map(str, failures)),
             'remedy': _remedy(failures)}
    if not CONF.glance.rbd_download_fallback:
        LOG.error('Image %(image)s cannot be read from RBD and '
                  '[glance]/rbd_download_fallback forbids HTTP: %(why)s.'
                  '%(remedy)s', facts)
        # Without its cause, whose paths and addresses are not for an instance
        # fault.
        raise exception.CouldNotFetchImage(image_id=image_id) from None
    # An image in another store than RBD is no fault.
    expected = all(failure.error.code == 'not_in_rbd' for failure in failures)
    log = LOG.info if expected else LOG.warning
    log('Downloading image %(image)s over HTTP, not from RBD: %(why)s.'
        '%(remedy)s', facts)


def _remedy(failures: list[Failure]) -> str:
    """Return a sentence with what to do about failures, '' if nothing."""
    remedies = '; '.join(dict.fromkeys(
        failure.error.remedy for failure in failures if failure.error.remedy))
    return ' To fix this, %s.' % remedies if remedies else ''


def _download(service: ty.Any, context: nova_context.RequestContext,
              image: dict[str, ty.Any], dst_path: str, trusted_certs: ty.Any,
              failures: list[Failure]) -> bool:
    """Download an active image if one of its locations is good.

    :param failures: gets what went wrong, in its order
    :returns: whether the image is at dst_path
    :raises: :class:`nova.exception.CouldNotFetchImage` if the disk of this
        node is the cause
    """
    for location in _candidates(service, context, image, failures):
        try:
            _try_location(service, context, image, location, dst_path,
                          trusted_certs)
        except rbd_transfer.TransferError as exc:
            failure = Failure('RBD image %s' % _source(location), exc)
            if exc.kind == errors.DISK:
                _give_up_on_disk(image, dst_path, exc)
            failures.append(failure)
            if exc.kind == errors.NO_ANSWER or exc.code in ENDING_CODES:
                # It would be the same for the other locations.
                break
        else:
            return True
    return False


def _candidates(
    service: ty.Any, context: nova_context.RequestContext,
    image: dict[str, ty.Any], failures: list[Failure],
) -> tuple[locations.RBDLocation, ...]:
    """Return the locations to try.

    :param failures: gets why there are none
    """
    found = locations.find(service, context, image)
    if not found.urls:
        assert found.error is not None
        failures.append(Failure('', found.error))
        return ()
    in_rbd = [url for url in found.urls
              if url.startswith(locations.RBD_PREFIX)]
    if not in_rbd:
        failures.append(Failure('', rbd_transfer.TransferError(
            'not_in_rbd', 'Glance does not keep it in RBD')))
        return ()
    try:
        verdict = location_policy.judge(in_rbd, image['id'],
                                        cluster_fsid=rbd_transfer.fsid)
    except rbd_transfer.TransferError as exc:
        failures.append(Failure('', exc))
        return ()
    for refusal in verdict.refusals:
        LOG.debug('Not reading a location of image %(image)s, %(refusal)s',
                  {'image': image['id'], 'refusal': refusal})
    if not verdict.candidates:
        failures.extend(Failure('location %s' % refusal.url, refusal.error)
                        for refusal in verdict.refusals[:MAX_REPORTED])
    return verdict.candidates


def _source(location: locations.RBDLocation) -> rbd_transfer.Source:
    return rbd_transfer.Source(location.pool, location.image,
                               location.snapshot)


def _expected_digest(image: dict[str, ty.Any]) -> str | None:
    """Return 'algorithm:hex' of what Glance recorded, None if nothing."""
    if not CONF.glance.rbd_download_verify_hash:
        return None
    if (image.get('os_hash_value') and
            image.get('os_hash_algo') in hashlib.algorithms_available):
        return '%(os_hash_algo)s:%(os_hash_value)s' % image
    # Images from before the multihash, Glance 17, have an MD5 only; and
    # Glance may know algorithms that this Python does not.
    if image.get('checksum'):
        return 'md5:%s' % image['checksum']
    return None


def _try_location(service: ty.Any, context: nova_context.RequestContext,
                  image: dict[str, ty.Any], location: locations.RBDLocation,
                  dst_path: str, trusted_certs: ty.Any) -> None:
    """Copy one location to dst_path and verify it.

    :raises: :class:`rbd_transfer.TransferError`, with nothing at dst_path
    """
    started = time.monotonic()
    # This line and the beginning of the one below are greped for by CI jobs
    # of other projects (whitebox-tempest-plugin, test_rbd_direct_download).
    LOG.debug('Attempting to export RBD image: [pool_name: %s] '
              '[image_uuid: %s] [snapshot_name: %s] [dst_path: %s]',
              location.pool, location.image, location.snapshot, dst_path)
    digest = _expected_digest(image)
    # A direct snapshot of an RBD-backed instance has no size in Glance, which
    # the image service translates to 0. An empty image has 0 as well, but
    # also a hash.
    size = image.get('size') or None
    if size is None and (image.get('os_hash_value') or image.get('checksum')):
        size = 0
    result = rbd_transfer.export(_source(location), dst_path, size=size,
                                 digest=digest, fsid=location.fsid)
    proofs = [digest.partition(':')[0]] if digest else []
    if signature.check(service, context, image['id'], dst_path,
                       trusted_certs):
        proofs.append('signature')
    _report(image['id'], location, result, proofs,
            max(time.monotonic() - started, 1e-6))


def _report(image_id: str, location: locations.RBDLocation,
            result: rbd_transfer.Result, proofs: list[str],
            seconds: float) -> None:
    """Log that an image was read from RBD, and announce it."""
    facts = {'image': image_id, 'pool': location.pool, 'fsid': location.fsid,
             'size': result.size, 'data': result.data_bytes,
             'seconds': seconds, 'rate': result.size / seconds / (1 << 20),
             'proofs': ('verified by ' + ' and '.join(proofs) if proofs
                        else 'unverified'),
             'wait': ''}
    if lock_wait.seconds():
        facts['wait'] = (', after %.1f s of waiting while another process '
                         'fetched it' % lock_wait.seconds())
    LOG.info('Successfully transferred using rbd: image %(image)s from '
             '%(pool)s of cluster %(fsid)s, %(size)d bytes of which '
             '%(data)d are data, in %(seconds).1f s (%(rate).0f MiB/s), '
             '%(proofs)s%(wait)s', facts)
    watching.announce(Downloaded(image_id, result, tuple(proofs)))


def _give_up_on_disk(image: dict[str, ty.Any], dst_path: str,
                     error: rbd_transfer.TransferError) -> ty.NoReturn:
    """Raise without trying HTTP, which would write to the same disk."""
    LOG.error('Image %(image)s cannot be stored on this node: %(error)s. It '
              'was to be written to %(path)s and has %(size)s. HTTP is not '
              'tried, since it would meet the same disk. To fix this, '
              '%(remedy)s.',
              {'image': image['id'], 'error': error, 'path': dst_path,
               'size': ('%d bytes' % image['size'] if image.get('size')
                        else 'an unknown size'), 'remedy': error.remedy})
    raise exception.CouldNotFetchImage(image_id=image['id']) from None
