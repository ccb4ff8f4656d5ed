# SPDX-License-Identifier: Apache-2.0

"""Measure the seconds from the API call to ACTIVE, over RBD and over HTTP.

Started by tools/boot --seconds. There are two hosts, equal but for the gates:
the first one reads images from RBD, the second one over HTTP. They take
turns, and both forget the image each time. The cluster is in memory if there
is enough of it: on the disk that the images are written to, it would hold up
both.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import time

import prettytable

from benchmark import clusters
from nova.tests.testbed import boot_stack
from nova.tests.testbed import daemon

MIB = 1 << 20
WAYS = ('RBD', 'HTTP')


class MeasureError(Exception):
    """A boot was not what it was meant to be; the text says why."""


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def make_image(path: str, size: int, data: int) -> None:
    """Make a file with random data from its first byte to its last.

    :param size: of the file, in bytes
    :param data: how many of them are data, in 64 stretches
    """
    rng = random.Random(2026)
    count = 64
    with open(path, 'wb') as f:
        f.truncate(size)
        for i in range(count):
            f.seek((size - data // count) * i // (count - 1) // 4096 * 4096)
            f.write(rng.randbytes(data // count))


def boot(stack: boot_stack.BootStack, way: str, image: str,
         flavor: str) -> float:
    """Boot a server and forget all of it; returns the seconds it took."""
    compute = stack.computes[WAYS.index(way)]
    asked = stack.bed.glance.downloads(image)
    start = time.monotonic()
    server = stack.api.boot(image, flavor, host=compute.name)
    stack.api.wait(server, timeout=600, interval=0.1)
    seconds = time.monotonic() - start
    asked = stack.bed.glance.downloads(image) - asked
    if asked != (way == 'HTTP'):
        raise MeasureError(f'{way}: {asked} downloads from Glance')
    stack.api.delete(server)
    os.unlink(compute.cache_path(image))
    # What one left to the kernel is not to hold up the next one.
    os.sync()
    return seconds


def measure(options: argparse.Namespace, path: str) -> None:
    """Start the stack, take turns, and print what came of it."""
    directory = clusters.memory_directory(options.data * MIB)
    if directory:
        os.environ['NOVA_TESTBED_CEPH_DIR'] = directory
    with boot_stack.BootStack(options.mode) as stack:
        stack.second_compute().reconfigure(
            {'glance': {'enable_rbd_download': False}})
        say('Upload the image ...')
        # Without it Glance writes the zeros of a sparse image out.
        stack.bed.glance.reconfigure(
            {'robust': {'rbd_thin_provisioning': True}})
        with open(path, 'rb') as f:
            image = stack.bed.glance.upload(f)
        os.sync()
        flavor = stack.flavor(-(-options.size // 1024))
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(options.pairs + 1):
            # Which one is first changes, too.
            for way in WAYS if number % 2 == 0 else WAYS[::-1]:
                seconds = boot(stack, way, image, flavor)
                # The first of each finds what the upload has left behind.
                if number:
                    found[way].append(seconds)
                    say(f'{way}: {seconds:.1f} s')
    table = prettytable.PrettyTable(
        ['image over', 'seconds to ACTIVE, median', 'from', 'to', 'boots'])
    for way, seconds in found.items():
        table.add_row([way, f'{statistics.median(seconds):.1f}',
                       f'{min(seconds):.1f}', f'{max(seconds):.1f}',
                       len(seconds)])
    say(f'\nA raw image of {options.size} MiB with {options.data} MiB of '
        f'data, Nova with {options.mode}, the cluster in '
        f'{directory or "TMPDIR"}:\n{table}')


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='tools/boot --seconds', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=4096,
                        help='MiB of the image (%(default)s)')
    parser.add_argument('--data', type=int, default=4096,
                        help='MiB of data in it (%(default)s)')
    parser.add_argument('--pairs', type=int, default=5,
                        help='boots each way, after one that does not count '
                             '(%(default)s)')
    parser.add_argument('--mode', choices=('threading', 'eventlet'),
                        default='threading',
                        help="of Nova's services (%(default)s)")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    directory = daemon.make_directory('nova-boot-')
    path = f'{directory}/image'
    try:
        make_image(path, options.size * MIB, options.data * MIB)
        measure(options, path)
    except KeyboardInterrupt:
        print('tools/boot: interrupted, everything is stopped',
              file=sys.stderr)
        return 130
    except Exception as e:
        # What a fixture raises may be several errors; the first one tells.
        cause = e.args[0][1] if e.args and isinstance(e.args[0], tuple) else e
        print(f'tools/boot: {cause}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
