# SPDX-License-Identifier: Apache-2.0

"""Download one image with Nova's code over HTTP and over RBD, and compare.

Started by tools/demo, which sets up the environment for it.
"""

import argparse
from collections.abc import Iterator
import contextlib
import glob
import os
import shutil
import signal
import sys
import time

import fixtures

from demo.common import check_room
from demo.common import DemoError
from demo.common import LOGS
from demo.common import MIB
from demo.common import say
from demo import comparison
from demo import images
from demo import playground
from demo import shell
from nova.tests.testbed import daemon
from nova.tests.testbed import rbd_testbed


@contextlib.contextmanager
def test_bed() -> Iterator[rbd_testbed.RbdTestBed]:
    """Ceph, Keystone and Glance; their logs are kept at the end."""
    say('Start Ceph, Keystone and Glance on the loopback interface ...')
    start = time.monotonic()
    bed = rbd_testbed.RbdTestBed(
        # Without it Glance writes the zeros of a sparse image out.
        {'robust': {'rbd_thin_provisioning': True}},
        started=lambda what: say(f'    {what}, after '
                                 f'{time.monotonic() - start:.1f} s'))
    try:
        with bed:
            try:
                yield bed
            finally:
                keep_logs(bed)
    except fixtures.MultipleExceptions as e:
        raise e.args[0][1] from None


def keep_logs(bed: rbd_testbed.RbdTestBed) -> None:
    """Copy the logs of the servers before their directories go."""
    for part in (bed.cluster, bed.keystone, bed.glance):
        for path in glob.glob(f'{part.dir}/*.log'):
            shutil.copy(path, LOGS)


def run_shell() -> int:
    """Keep the servers, and give the user a shell on a compute node.

    :returns: the exit status of the shell
    """
    say('Start Ceph, Keystone and Glance on the loopback interface ...')
    try:
        place = playground.Playground(
            started=lambda what: say(f'    {what}'))
        with place:
            check_room(place.home, place.IMAGE[0])
            place.upload()
            say(shell.WELCOME)
            return shell.run(place)
    except fixtures.MultipleExceptions as e:
        raise e.args[0][1] from None


def parse_size(text: str) -> int:
    """Bytes from "600M" or "4G"."""
    factor = {'M': MIB, 'G': 1 << 30}.get(text[-1:].upper())
    number = text[:-1] if factor else text
    if not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a size such as 600M')
    return int(number) * (factor or 1)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='tools/demo', description='Download one image with Nova over '
        'HTTP and over RBD, and compare.')
    parser.add_argument('--image', metavar='FILE',
                        help='an image file, instead of one made for it')
    parser.add_argument('--size', type=parse_size, default='2G',
                        help='size of the image made for it (%(default)s)')
    parser.add_argument('--data', type=parse_size, default='400M',
                        help='data in the image made for it (%(default)s)')
    parser.add_argument('--shell', action='store_true',
                        help='keep the servers, and open a shell on a compute '
                        'node with nova-image-download to try it')
    options = parser.parse_args(argv)
    if options.data > options.size:
        parser.error('--data is more than --size')
    return options


def run(options: argparse.Namespace) -> None:
    """The demonstration."""
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    work = daemon.make_directory('nova-demo-')
    try:
        path = options.image or f'{work}/image'
        try:
            size = os.path.getsize(path) if options.image else options.size
            check_room(work, size)
        except OSError as e:
            raise DemoError(e)
        if not options.image:
            images.make_image(path, options.size, options.data)
        with test_bed() as bed:
            image_id = images.upload(bed, path)
            rows = comparison.compare(bed, path, image_id, work)
            data = images.allocated(path)
        comparison.show(rows, size, data)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options = parse(argv)
    # A plain kill must clean up just as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if options.shell:
            return run_shell()
        run(options)
    except KeyboardInterrupt:
        print('\ntools/demo: interrupted, everything is stopped',
              file=sys.stderr)
        return 130
    except (DemoError, daemon.DaemonError) as e:
        print(f'\ntools/demo: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
