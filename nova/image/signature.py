# SPDX-License-Identifier: Apache-2.0

"""Check the signature of an image that is a file already."""

import typing as ty

from nova import release_compat

# Bytes handed to the verifier at a time: enough to make the calls cheap, and
# little beside what the export engine itself needs.
CHUNK = 1 << 20


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
