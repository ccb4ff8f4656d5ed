# SPDX-License-Identifier: Apache-2.0

"""Check the signature of an image that is a file already."""

import typing as ty

import cryptography.exceptions
from oslo_log import log as logging
from oslo_utils import fileutils

from nova import context as nova_context
from nova import release_compat
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer

LOG = logging.getLogger(__name__)

# Bytes handed to the verifier at a time: enough to make the calls cheap, and
# little beside what the export engine itself needs.
CHUNK = 1 << 20


def check(service: ty.Any, context: nova_context.RequestContext,
          image_id: str, path: str, trusted_certs: ty.Any) -> bool:
    """Check the signature of a copy, and remove the copy if it is wrong.

    :param service: the GlanceImageServiceV2 that was asked for the image
    :param context: the user's request context
    :param image_id: of the image
    :param path: of the copy
    :param trusted_certs: objects.TrustedCerts or None
    :returns: whether there was one to check
    :raises: :class:`nova.storage.rbd_transfer.TransferError` if it does not
        match
    """
    with fileutils.remove_path_on_error(path):
        try:
            # A fresh one: Nova's own is kept for HTTP, and none can verify
            # twice.
            verifier = service._get_verifier(context, image_id,
                                             trusted_certs)
            if verifier is None:
                return False
            _verify_copy(verifier, path)
        except rbd_transfer.TransferError:
            raise
        except cryptography.exceptions.InvalidSignature:
            raise rbd_transfer.TransferError(
                'signature', 'the signature of the image does not match '
                'these bytes')
        except Exception as exc:
            raise rbd_transfer.TransferError(
                'signature_unchecked', 'the signature could not be checked, '
                '%s: %s' % (type(exc).__name__, exc)) from exc
    LOG.info('Image signature verification succeeded for image %s', image_id)
    return True


def _verify_copy(verifier: ty.Any, path: str) -> None:
    try:
        verify_file(verifier, path)
    except OSError as exc:
        raise rbd_transfer.TransferError(
            'local_file' if exc.errno in errors.DISK_ERRNOS
            else 'signature_unchecked',
            'cannot read %s again to check its signature: %s'
            % (path, exc)) from exc


def verify_file(verifier: ty.Any, path: str) -> None:
    """Verify the signature over the content of a file.

    :param verifier: a verifier as ``cursive.signature_utils.get_verifier``
        returns it, not used before: it cannot be used twice
    :param path: path of the file, which is read once from start to end
    :raises: ``cryptography.exceptions.InvalidSignature``, and ``OSError``
    """
    # Reading and hashing gigabytes would hold up every other greenthread.
    release_compat.off_hub(_verify, verifier, path)


def _verify(verifier: ty.Any, path: str) -> None:
    # Chunks of a fixed size: a disk image has no lines, and a run of zeros
    # would be a single one of any length.
    with open(path, 'rb', buffering=0) as image:
        while chunk := image.read(CHUNK):
            verifier.update(chunk)
    verifier.verify()
