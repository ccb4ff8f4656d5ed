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
import time
import typing as ty

from oslo_log import log as logging

import nova.conf
from nova import context as nova_context
from nova.image import digests
from nova.image import failed
from nova.image import http_stall
from nova.image import location_policy
from nova.image import locations
from nova.image import lock_wait
from nova.image import signature
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer
from nova.storage import watching

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# The scheme of our own gate. Others that may be listed are those of other
# programs, or of other times.
SCHEMES = frozenset(['rbd'])

# Causes beside the kind NO_ANSWER that are the same for each location.
ENDING_CODES = frozenset([
    'bindings', 'no_key', 'keyring_not_readable', 'bad_keyring',
    'key_rejected', 'no_conf', 'conf_not_readable', 'bad_conf', 'no_monitors',
    'name_resolution', 'blocklisted', 'disk_stalled', 'not_writable'])

# A read got no answer, or another one did not a moment ago.
STALLED_CODES = frozenset(['stalled', 'stalled_before'])

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


def enabled() -> bool:
    """Return whether both gates are open."""
    if not CONF.glance.enable_rbd_download:
        return False
    _warn_of_schemes(tuple(CONF.glance.allowed_direct_url_schemes))
    return 'rbd' in CONF.glance.allowed_direct_url_schemes


@functools.cache
def _warn_of_schemes(schemes: tuple[str, ...]) -> None:
    """Log once that a scheme is not known."""
    unknown = [scheme for scheme in schemes if scheme not in SCHEMES]
    if unknown:
        LOG.warning('[glance]/allowed_direct_url_schemes has schemes that are '
                    'not known and are ignored: %s. To fix this, set it to '
                    'rbd, or to nothing to forbid direct downloads.',
                    ', '.join(unknown))


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
            with http_stall.limit(self, image_id) as limited:
                return over_http(limited, context, image_id, data, dst_path,
                                 trusted_certs)
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
    failures: list[failed.Failure] = []
    if _download(service, context, image, dst_path, trusted_certs, failures):
        # A bad location is reported although a good one was found.
        for failure in failures:
            LOG.warning('Skipped a bad location of image %(image)s: '
                        '%(failure)s.%(remedy)s',
                        {'image': image_id, 'failure': failure,
                         'remedy': failed.remedy([failure])})
        return True
    failed.fall_back(image_id, failures)
    return False


def _download(service: ty.Any, context: nova_context.RequestContext,
              image: dict[str, ty.Any], dst_path: str, trusted_certs: ty.Any,
              failures: list[failed.Failure]) -> bool:
    """Download an active image if one of its locations is good.

    :param failures: gets what went wrong, in its order
    :returns: whether the image is at dst_path
    :raises: :class:`nova.exception.CouldNotFetchImage` if HTTP cannot help
    """
    try:
        digest = digests.expected(image)
    except rbd_transfer.TransferError as exc:
        failures.append(failed.Failure('', exc))
        return False
    urls = _urls(service, context, image, failures)
    silent: set[tuple[str, str]] = set()
    for location in _candidates(urls, image['id'], failures):
        if (location.fsid, location.pool) in silent:
            continue
        try:
            _try_location(service, context, image, location, dst_path,
                          trusted_certs, digest)
        except rbd_transfer.TransferError as exc:
            failures.append(failed.Failure(
                'RBD image %s' % _source(location), exc))
            if exc.kind == errors.DISK:
                failed.give_up_on_disk(image, dst_path, exc)
            if exc.code in STALLED_CODES:
                # Other pools of the cluster may be well.
                silent.add((location.fsid, location.pool))
            if exc.kind == errors.NO_ANSWER or exc.code in ENDING_CODES:
                # It would be the same for the other locations.
                break
        else:
            return True
    if silent and _is_nowhere_else(urls, {fsid for fsid, _pool in silent}):
        failed.give_up_on_cluster(image['id'], failures)
    return False


def _is_nowhere_else(urls: list[str], fsids: set[str]) -> bool:
    """Return whether Glance keeps an image in these clusters only."""
    for url in urls:
        try:
            if locations.parse_rbd_url(url).fsid not in fsids:
                return False
        except rbd_transfer.TransferError:
            # Another store, or what only Glance understands.
            return False
    return True


def _urls(service: ty.Any, context: nova_context.RequestContext,
          image: dict[str, ty.Any],
          failures: list[failed.Failure]) -> list[str]:
    """Return where Glance keeps an image, in RBD and elsewhere.

    :param failures: gets why nothing is known
    """
    found = locations.find(service, context, image)
    if not found.urls:
        assert found.error is not None
        failures.append(failed.Failure('', found.error))
    return list(found.urls)


def _candidates(urls: list[str], image_id: str,
                failures: list[failed.Failure]
                ) -> tuple[locations.RBDLocation, ...]:
    """Return the locations to try.

    :param failures: gets why there are none
    """
    in_rbd = [url for url in urls if url.startswith(locations.RBD_PREFIX)]
    if urls and not in_rbd:
        failures.append(failed.Failure('', rbd_transfer.TransferError(
            'not_in_rbd', 'Glance does not keep it in RBD')))
    try:
        verdict = location_policy.judge(in_rbd, image_id,
                                        cluster_fsid=rbd_transfer.fsid)
    except rbd_transfer.TransferError as exc:
        failures.append(failed.Failure('', exc))
        return ()
    for refusal in verdict.refusals:
        LOG.debug('Not reading a location of image %(image)s, %(refusal)s',
                  {'image': image_id, 'refusal': refusal})
    if not verdict.candidates:
        failures.extend(
            failed.Failure('location %s' % refusal.url, refusal.error)
            for refusal in verdict.refusals[:MAX_REPORTED])
    return verdict.candidates


def _source(location: locations.RBDLocation) -> rbd_transfer.Source:
    return rbd_transfer.Source(location.pool, location.image,
                               location.snapshot)


def _try_location(service: ty.Any, context: nova_context.RequestContext,
                  image: dict[str, ty.Any], location: locations.RBDLocation,
                  dst_path: str, trusted_certs: ty.Any,
                  digest: str | None) -> None:
    """Copy one location to dst_path and verify it.

    :raises: :class:`rbd_transfer.TransferError`, with nothing at dst_path;
        :class:`cursive.exception.SignatureVerificationError` if HTTP would
        bring the same bytes
    """
    started = time.monotonic()
    # This line and the beginning of the one below are greped for by CI jobs
    # of other projects (whitebox-tempest-plugin, test_rbd_direct_download).
    LOG.debug('Attempting to export RBD image: [pool_name: %s] '
              '[image_uuid: %s] [snapshot_name: %s] [dst_path: %s]',
              location.pool, location.image, location.snapshot, dst_path)
    result = rbd_transfer.export(
        _source(location), dst_path, size=_expected_size(image),
        digest=digest, fsid=location.fsid)
    proofs = [digest.partition(':')[0]] if digest else []
    try:
        if signature.check(service, context, image['id'], dst_path,
                           trusted_certs):
            proofs.append('signature')
    except rbd_transfer.TransferError as exc:
        if proofs and exc.code == 'signature':
            failed.give_up_on_signature(image['id'], proofs[0], exc)
        raise
    _report(image['id'], location, result, proofs,
            max(time.monotonic() - started, 1e-6))


def _expected_size(image: dict[str, ty.Any]) -> int | None:
    # A direct snapshot of an RBD-backed instance has no size in Glance, which
    # the image service translates to 0. An empty image has 0 as well, but
    # also a hash.
    if image.get('os_hash_value') or image.get('checksum'):
        return image.get('size') or 0
    return image.get('size') or None


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
