# SPDX-License-Identifier: Apache-2.0

"""What is logged and raised if an image could not be read from RBD.

Each way out has one line in the log, with what happened and what to do. A
user sees none of it: what is raised names the image only.
"""

from __future__ import annotations

import typing as ty

from cursive import exception as cursive_exception
from oslo_log import log as logging

import nova.conf
from nova import exception
from nova.storage import rbd_transfer

CONF = nova.conf.CONF
# The lines about one download have one name in the log.
LOG = logging.getLogger('nova.image.direct_download')

# Causes that are no fault: nothing has to be done about them.
EXPECTED_CODES = frozenset(['not_in_rbd', 'snapshot_removed'])


class Failure(ty.NamedTuple):
    """Why one location, or the whole image, could not be used.

    :ivar where: the location, '' if the failure is not about one
    :ivar error: what happened, and what to do
    """

    where: str
    error: rbd_transfer.TransferError

    def __str__(self) -> str:
        return ': '.join(filter(None, (self.where, str(self.error))))


def fall_back(image_id: str, failures: list[Failure]) -> None:
    """Log why HTTP is needed, and raise if it is forbidden."""
    facts = {'image': image_id, 'why': '; '.join(map(str, failures)),
             'remedy': remedy(failures)}
    if not CONF.glance.rbd_download_fallback:
        LOG.error('Image %(image)s cannot be read from RBD and '
                  '[glance]/rbd_download_fallback forbids HTTP: %(why)s.'
                  '%(remedy)s', facts)
        # Without its cause, whose paths and addresses are not for an instance
        # fault.
        raise exception.CouldNotFetchImage(image_id=image_id) from None
    # An image in another store than RBD is no fault.
    expected = all(failure.error.code in EXPECTED_CODES
                   for failure in failures)
    log = LOG.info if expected else LOG.warning
    log('Downloading image %(image)s over HTTP, not from RBD: %(why)s.'
        '%(remedy)s', facts)


def remedy(failures: list[Failure]) -> str:
    """Return a sentence with what to do about failures, '' if nothing."""
    remedies = '; '.join(dict.fromkeys(
        failure.error.remedy for failure in failures if failure.error.remedy))
    return ' To fix this, %s.' % remedies if remedies else ''


def give_up_on_disk(image: dict[str, ty.Any], dst_path: str,
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


def give_up_on_cluster(image_id: str, failures: list[Failure]) -> ty.NoReturn:
    """Raise without trying HTTP, which would wait for the same OSDs."""
    LOG.error('Image %(image)s cannot be read now: %(why)s. HTTP is not '
              'tried, since Glance keeps the image in that cluster only.'
              '%(remedy)s',
              {'image': image_id, 'why': '; '.join(map(str, failures)),
               'remedy': remedy(failures)})
    raise exception.CouldNotFetchImage(image_id=image_id) from None


def give_up_on_signature(image_id: str, algorithm: str,
                          error: rbd_transfer.TransferError) -> ty.NoReturn:
    """Raise without trying HTTP, which would bring the same bytes."""
    LOG.error('Image %(image)s is refused: %(error)s, which are those that '
              'were uploaded, verified by %(algorithm)s. HTTP is not tried, '
              'since it would bring the same ones. To fix this, sign the '
              'image again.',
              {'image': image_id, 'error': error, 'algorithm': algorithm})
    raise cursive_exception.SignatureVerificationError(
        reason='the signature does not match the data') from None
