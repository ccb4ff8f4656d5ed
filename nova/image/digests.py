# SPDX-License-Identifier: Apache-2.0

"""Which digest a copy of an image must have."""

from __future__ import annotations

import hashlib
import typing as ty

import nova.conf
from nova.storage import rbd_transfer

CONF = nova.conf.CONF


def expected(image: dict[str, ty.Any]) -> str | None:
    """Return 'algorithm:hex' of what Glance recorded, None if nothing.

    :param image: the image as the user's own ``show`` gave it
    :raises: :class:`nova.storage.rbd_transfer.TransferError` if Glance has a
        hash of it that this Python cannot compute. A weaker one that it has
        as well is no substitute.
    """
    if not CONF.glance.rbd_download_verify_hash:
        return None
    if image.get('os_hash_value'):
        return '%s:%s' % (_known_name(image.get('os_hash_algo')),
                          image['os_hash_value'])
    # Images from before the multihash, Glance 17, have an MD5 only.
    if image.get('checksum'):
        return 'md5:%s' % image['checksum']
    return None


def _known_name(algorithm: ty.Any) -> str:
    """Return the name by which hashlib itself calls an algorithm.

    Glance takes whatever hashlib.new takes: SHA512, sha-512 and SHA2-512 are
    one algorithm.
    """
    try:
        known = hashlib.new(str(algorithm), usedforsecurity=False)
    except ValueError:
        known = None
    # One without a length of its own, as shake_128, proves nothing by itself.
    if known is None or not known.digest_size:
        raise rbd_transfer.TransferError(
            'digest_unknown', 'its hash is of the kind %.40r, which this '
            'Python cannot compute' % algorithm)
    return known.name
