# SPDX-License-Identifier: Apache-2.0

"""What the parts of the demonstration share."""

import shutil

from patchset import CHECKOUT

MIB = 1 << 20
LOGS = str(CHECKOUT / 'build' / 'logs' / 'demo')


class DemoError(Exception):
    """The demonstration cannot go on; the text says why."""


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def check_room(directory: str, size: int) -> None:
    """Refuse to start without the disk space for it.

    :param size: of the image, in bytes
    """
    # The image itself, its copy in Ceph, one download at a time.
    needed = 2 * size + (2 << 30)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise DemoError(
            f'{directory} has {free // MIB} MiB free, but {needed // MIB} MiB '
            'are needed: set TMPDIR to a directory with more')
