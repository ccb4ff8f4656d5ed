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

import cryptography.exceptions
from oslo_log import log as logging
from oslo_utils import fileutils

import nova.conf
from nova import context as nova_context
from nova import exception
from nova.image import location_policy
from nova.image import locations
from nova.image import signature
from nova.storage import rbd_transfer
from nova.virt import image_fetch

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# What an operator can do about each of the engine's error codes, unless its
# message says so already.
CURES = {
    'connect': 'see whether this node reaches the monitors named in the '
               'ceph.conf of [glance]/rbd_ceph_conf',
    'stalled': 'see whether the OSDs are up, with "ceph health detail"',
    'permission': 'give the key of [glance]/rbd_user the caps mon \'allow r\' '
                  'osd \'profile rbd-read-only pool=POOL\'',
    'wrong_cluster': 'point [glance]/rbd_ceph_conf at the cluster that '
                     'Glance stores its images in',
    'wrong_size': 'upload the image again, its copy in RBD is damaged',
    'wrong_digest': 'upload the image again, its copy in RBD is damaged',
    'signature': 'upload the image again, its copy in RBD is not what was '
                 'signed',
    'not_found': 'see whether the image was deleted from the pool',
    'read': 'see "ceph health detail"',
}


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why one location, or all of them, could not be used.

    :ivar where: the location, '' if the failure is not about one
    :ivar code: the engine's error code or one of our own
    :ivar message: the cause, for the operator
    """

    where: str
    code: str
    message: str

    def __str__(self) -> str:
        return ': '.join(filter(None, (self.where, self.message)))


class _CannotDownload(Exception):
    """No location was good; holds the failures in their order."""

    def __init__(self, failures: list[Failure], hint: str = '',
                 expected: bool = False) -> None:
        super().__init__('; '.join(map(str, failures)))
        self.hint = hint or '; '.join(dict.fromkeys(
            CURES[failure.code] for failure in failures
            if failure.code in CURES))
        # Whether this is how the image is kept rather than a fault.
        self.expected = expected


def enabled() -> bool:
    """Whether both gates are open."""
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
    try:
        _download(service, context, image, dst_path, trusted_certs)
    except _CannotDownload as exc:
        _fall_back(image_id, exc)
        return False
    return True


def _fall_back(image_id: str, why: _CannotDownload) -> None:
    """Tell the operator why, and raise if HTTP is forbidden."""
    allowed = CONF.glance.rbd_download_fallback
    if not allowed:
        LOG.error('Image %(image)s cannot be read from RBD and '
                  '[glance]/rbd_download_fallback forbids HTTP: %(why)s.'
                  '%(hint)s', {'image': image_id, 'why': why,
                               'hint': _sentence(why.hint)})
        # Without its cause, whose paths and addresses are not for an instance
        # fault.
        raise exception.CouldNotFetchImage(image_id=image_id) from None
    # An image in another store than RBD is no fault of anybody.
    log = LOG.info if why.expected else LOG.warning
    log('Downloading image %(image)s over HTTP, not from RBD: %(why)s.'
        '%(hint)s', {'image': image_id, 'why': why,
                     'hint': _sentence(why.hint)})


def _sentence(hint: str) -> str:
    return ' To mend it: %s.' % hint if hint else ''


def _download(service: ty.Any, context: nova_context.RequestContext,
              image: dict[str, ty.Any], dst_path: str,
              trusted_certs: ty.Any) -> None:
    """Download an active image or raise _CannotDownload."""
    candidates = _candidates(service, context, image)
    failures: list[Failure] = []
    for location in candidates:
        try:
            _try_location(service, context, image, location, dst_path,
                          trusted_certs)
        except rbd_transfer.TransferError as exc:
            failure = Failure('RBD image %s' % _source(location), exc.code,
                              str(exc))
            if exc.local:
                _give_up_on_disk(image, dst_path, failure)
            failures.append(failure)
            if exc.unreachable or exc.code == 'bindings':
                # It would be the same for the other locations.
                break
        else:
            _warn_of(image['id'], failures)
            return
    raise _CannotDownload(failures)


def _warn_of(image_id: str, failures: list[Failure]) -> None:
    """Tell of bad locations although a good one was found in the end."""
    for failure in failures:
        LOG.warning('A location of image %(image)s is bad, %(failure)s.'
                    '%(hint)s',
                    {'image': image_id, 'failure': failure,
                     'hint': _sentence(CURES.get(failure.code, ''))})


def _candidates(
    service: ty.Any, context: nova_context.RequestContext,
    image: dict[str, ty.Any],
) -> tuple[locations.RBDLocation, ...]:
    """Return the locations to try, at least one."""
    found = locations.find(service, context, image)
    if not found.urls:
        raise _CannotDownload(
            [Failure('', 'hidden', 'no location of it is known' + (
                ' (%s)' % found.fault if found.fault else ''))],
            hint=found.hint)
    in_rbd = [url for url in found.urls
              if url.startswith(locations.RBD_PREFIX)]
    if not in_rbd:
        raise _CannotDownload(
            [Failure('', 'elsewhere', 'Glance does not keep it in RBD')],
            expected=True)
    try:
        verdict = location_policy.judge(in_rbd, image['id'],
                                        cluster_fsid=rbd_transfer.fsid)
    except rbd_transfer.TransferError as exc:
        raise _CannotDownload([Failure('', exc.code, str(exc))])
    if not verdict.candidates:
        raise _CannotDownload(
            [Failure('location %s' % refusal.url, 'refused', refusal.reason)
             for refusal in verdict.refusals[:3]],
            hint='see whether its locations were changed, and whether this '
                 'node is configured for the cluster and pool of Glance')
    for refusal in verdict.refusals:
        LOG.debug('Not reading a location of image %(image)s, %(refusal)s',
                  {'image': image['id'], 'refusal': refusal})
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
    if _verify_signature(service, context, image['id'], dst_path,
                         trusted_certs):
        proofs.append('signature')
    seconds = max(time.monotonic() - started, 1e-6)
    LOG.info('Successfully transferred using rbd: image %(image)s from '
             '%(pool)s of cluster %(fsid)s, %(size)d bytes of which '
             '%(data)d are data, in %(seconds).1f s (%(rate).0f MiB/s), '
             '%(proofs)s%(wait)s',
             {'image': image['id'], 'pool': location.pool,
              'fsid': location.fsid, 'size': result.size,
              'data': result.data_bytes, 'seconds': seconds,
              'rate': result.size / seconds / (1 << 20),
              'proofs': ('verified by ' + ' and '.join(proofs) if proofs
                         else 'unverified'),
              'wait': _wait()})


def _wait() -> str:
    """Say how long the download had to wait for others of the image."""
    seconds = image_fetch.waited()
    return (', after a wait of %.1f s for another one' % seconds if seconds
            else '')


def _verify_signature(service: ty.Any, context: nova_context.RequestContext,
                      image_id: str, path: str, trusted_certs: ty.Any) -> bool:
    """Check the signature of a copy, and remove the copy if it is wrong.

    :returns: whether there was one to check
    :raises: :class:`rbd_transfer.TransferError` if it does not match
    """
    with fileutils.remove_path_on_error(path):
        try:
            # A fresh one: Nova's own is kept for HTTP, and none can verify
            # twice.
            verifier = service._get_verifier(context, image_id,
                                             trusted_certs)
            if verifier is None:
                return False
            _verify_file(verifier, path)
        except rbd_transfer.TransferError:
            raise
        except cryptography.exceptions.InvalidSignature:
            raise rbd_transfer.TransferError(
                'signature', 'the signature of the image does not match '
                'these bytes')
        except Exception as exc:
            raise rbd_transfer.TransferError(
                'unexpected', 'the signature could not be checked, %s: %s'
                % (type(exc).__name__, exc)) from exc
    LOG.info('Image signature verification succeeded for image %s', image_id)
    return True


def _verify_file(verifier: ty.Any, path: str) -> None:
    try:
        signature.verify_file(verifier, path)
    except OSError as exc:
        raise rbd_transfer.TransferError(
            'local_file', 'cannot read %s again to check its signature: %s'
            % (path, exc)) from exc


def _give_up_on_disk(image: dict[str, ty.Any], dst_path: str,
                     failure: Failure) -> ty.NoReturn:
    """HTTP would write to the same disk, so do not even try it."""
    LOG.error('Image %(image)s cannot be stored on this node: %(message)s. '
              'It was to be written to %(path)s and has %(size)s. HTTP is '
              'not tried, since it would meet the same disk.',
              {'image': image['id'], 'message': failure.message,
               'path': dst_path,
               'size': ('%d bytes' % image['size'] if image.get('size')
                        else 'an unknown size')})
    raise exception.CouldNotFetchImage(image_id=image['id']) from None
