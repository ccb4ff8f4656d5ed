# SPDX-License-Identifier: Apache-2.0

"""Images: make one, upload it, and show how far that is."""

from collections.abc import Iterator
import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from typing import Any
from typing import BinaryIO

from demo.common import DemoError
from demo.common import say
from nova.cmd.image_download import progress as progress_lines
from nova.tests.testbed import rbd_testbed


@contextlib.contextmanager
def progress(text: str) -> Iterator[progress_lines.Progress]:
    """Show how far something is, and at the end how long it took."""
    start = time.monotonic()
    shown = progress_lines.Progress(text, sys.stdout)
    yield shown
    shown.clear()
    say(f'{text}: {time.monotonic() - start:.1f} s')


def allocated(path: str) -> int:
    """Bytes a file takes on the disk."""
    return os.stat(path).st_blocks * 512


def make_image(path: str, size: int, data: int) -> None:
    """Make a sparse file with random data, as a system disk has it.

    :param path: the new file
    :param size: its size in bytes
    :param data: how many of them are data
    """
    # The data lies in 48 stretches, from the first byte to the last.
    rng = random.Random(2026)
    count = 48
    length = data // count
    with progress('Make an image') as shown, open(path, 'wb') as f:
        f.truncate(size)
        for i in range(count):
            start = (size - length) * i // (count - 1)
            f.seek(start // 4096 * 4096)
            f.write(rng.randbytes(length))
            shown.show(length * (i + 1), data)


def sha512(path: str) -> str:
    """The digest of a file."""
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha512').hexdigest()


class _Watched:
    """A file that reports how far it was read."""

    def __init__(self, file: BinaryIO, shown: progress_lines.Progress) -> None:
        self._file = file
        self._shown = shown
        self._size = os.fstat(file.fileno()).st_size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._shown.show(self._file.tell(), self._size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def disk_format(path: str) -> str:
    """What qemu-img takes an image file for."""
    answer = subprocess.run(['qemu-img', 'info', '--output=json', path],
                            capture_output=True, text=True)
    if answer.returncode != 0:
        raise DemoError(f'{path} is not a disk image: {answer.stderr.strip()}')
    return json.loads(answer.stdout)['format']


def upload(bed: rbd_testbed.RbdTestBed, path: str) -> str:
    """Upload an image file to the store in Ceph; returns the image's id."""
    with progress('Upload it to Glance') as shown, open(path, 'rb') as f:
        return bed.glance.upload(_Watched(f, shown), name='demo',
                                 disk_format=disk_format(path))
