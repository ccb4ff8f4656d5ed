# SPDX-License-Identifier: Apache-2.0

"""Download one image with Nova's code over HTTP and over RBD, and compare.

Started by tools/demo, which sets up the environment for it. Each download is
a process of its own, nova_download.py, so that the processor time of one is
that of the process and its children.
"""

import argparse
from collections.abc import Iterator
import contextlib
import glob
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import Any
from typing import BinaryIO
from typing import NamedTuple

import fixtures
import prettytable

from nova.tests.testbed import daemon
from nova.tests.testbed import rbd_testbed
from patchset import CHECKOUT

MIB = 1 << 20
DOWNLOAD = (str(CHECKOUT / 'tools' / 'lib'), 'demo.nova_download')
LOGS = str(CHECKOUT / 'build' / 'logs' / 'demo')


class Method(NamedTuple):
    """One way to download: its name, and Nova's options in [glance]."""

    name: str
    options: dict[str, Any]
    verified: str


METHODS = (
    Method('HTTP', {'enable_rbd_download': False,
                    'allowed_direct_url_schemes': []},
           'Glance client, sha512'),
    Method('RBD, unverified', {'rbd_download_verify_hash': False,
                               'rbd_download_fallback': False},
           'size only'),
    Method('RBD', {'rbd_download_fallback': False},
           'sha512 while copying'),
)


class DemoError(Exception):
    """The demonstration cannot go on; the text says why."""


class Bar:
    """A progress bar on a terminal, a line for each quarter elsewhere.

    :param text: what is done
    :param total: how much there is to do, in bytes
    """

    def __init__(self, text: str, total: int) -> None:
        self.text = text
        self.total = max(total, 1)
        self.start = time.monotonic()
        self.tty = sys.stdout.isatty()
        self._shown = 0.0
        self._quarter = 0
        self.show(0)

    def show(self, done: int) -> None:
        """Show that so many bytes are done."""
        part = min(done / self.total, 1.0)
        now = time.monotonic()
        if self.tty:
            if now - self._shown < 0.1 and part < 1:
                return
            self._shown = now
            filled = int(part * 30)
            self._write(f'\r{self.text:<28}[{"#" * filled:<30}] {part:4.0%} '
                        f'{now - self.start:5.1f} s')
        elif int(part * 4) > self._quarter:
            self._quarter = int(part * 4)
            self._write(f'{self.text}: {part:.0%}, '
                        f'{now - self.start:.1f} s\n')

    def close(self) -> None:
        """The line is done."""
        if self.tty:
            self._shown = 0
            self.show(self.total)
            self._write('\n')
        elif self._quarter < 4:
            self.show(self.total)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


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
    bar = Bar('Make an image', data)
    with open(path, 'wb') as f:
        f.truncate(size)
        for i in range(count):
            start = (size - length) * i // (count - 1)
            f.seek(start // 4096 * 4096)
            f.write(rng.randbytes(length))
            bar.show(length * (i + 1))
    bar.close()


def sha512(path: str) -> str:
    """The digest of a file."""
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha512').hexdigest()


class _Watched:
    """A file that tells a progress bar how far it was read."""

    def __init__(self, file: BinaryIO, bar: Bar) -> None:
        self._file = file
        self._bar = bar

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._bar.show(self._file.tell())
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def disk_format(path: str) -> str:
    """What qemu-img takes an image file for."""
    answer = subprocess.run(['qemu-img', 'info', '--output=json', path],
                            capture_output=True, text=True)
    if answer.returncode != 0:
        raise DemoError(f'{path} is no disk image: {answer.stderr.strip()}')
    return json.loads(answer.stdout)['format']


def upload(bed: rbd_testbed.RbdTestBed, path: str) -> str:
    """Upload an image file to the store in Ceph; returns the image's id."""
    bar = Bar('Upload it to Glance', os.path.getsize(path))
    with open(path, 'rb') as f:
        image_id = bed.glance.upload(
            _Watched(f, bar),
            name='demo', disk_format=disk_format(path))
    bar.close()
    return image_id


def written(process: int, directory: str) -> int:
    """Bytes on disk that a process and its children have written so far.

    Counted are files open in a directory, also such as have no name yet.
    """
    found: dict[int, int] = {}
    pids = [process]
    while pids:
        pid = pids.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f'/proc/{pid}/task'):
                with open(f'/proc/{pid}/task/{task}/children') as f:
                    pids += [int(word) for word in f.read().split()]
            for fd in os.listdir(f'/proc/{pid}/fd'):
                link = f'/proc/{pid}/fd/{fd}'
                if os.readlink(link).startswith(directory):
                    stat = os.stat(link)
                    found[stat.st_ino] = stat.st_blocks * 512
    return max(found.values(), default=0)


def download(bed: rbd_testbed.RbdTestBed, method: Method, image_id: str,
             work: str, expected: int) -> dict[str, Any]:
    """Download the image in a process of its own.

    :param work: a directory for the process
    :param expected: bytes on disk at the end, for the progress bar
    :returns: seconds, cpu_seconds, path
    """
    config = bed.nova_config(work)
    config['glance'].update(method.options)
    config['DEFAULT'].update({
        'log_file': f'{LOGS}/nova.log', 'use_stderr': False, 'debug': True,
        # The bytes are to be compared with what was uploaded.
        'force_raw_images': False})
    conf = rbd_testbed.write_config(f'{work}/nova.conf', config)
    context = bed.context().to_dict()
    base = f'{work}/_base'
    os.mkdir(base)
    process = daemon.Daemon(
        method.name, [sys.executable, *DOWNLOAD, conf, f'{work}/result',
                      image_id, f'{base}/image'],
        f'{LOGS}/{method.name.replace(", ", "-").lower()}.log',
        env={'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true',
             'DOWNLOAD_CONTEXT': json.dumps(context)})
    bar = Bar(f'Download, {method.name}', expected)
    with process:
        assert process.pid is not None
        while process.running:
            bar.show(min(written(process.pid, base), expected - 1))
            time.sleep(0.1)
    try:
        with open(f'{work}/result') as f:
            result = dict(json.load(f), path=f'{base}/image')
    except FileNotFoundError:
        raise DemoError(f'the download failed ({method.name}): see '
                        f'{process.log} and {LOGS}/nova.log')
    bar.close()
    return result


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


def shell() -> int:
    """Keep the servers, and give the user a shell on a compute node.

    :returns: the exit status of the shell
    """
    from demo import playground
    say('Start Ceph, Keystone and Glance on the loopback interface ...')
    try:
        place = playground.Playground(
            started=lambda what: say(f'    {what}'))
        with place:
            check_room(place.home, place.IMAGE[0])
            place.upload()
            say(playground.WELCOME)
            return place.shell()
    except fixtures.MultipleExceptions as e:
        raise e.args[0][1] from None


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


def compare(bed: rbd_testbed.RbdTestBed, path: str, image_id: str,
            work: str) -> list[list[Any]]:
    """Download the image in all ways.

    :returns: rows for the table
    """
    size, data = os.path.getsize(path), allocated(path)
    digest = bed.glance.show(image_id)['os_hash_value']
    if sha512(path) != digest:
        raise DemoError('Glance has another digest than the file')
    rows = []
    for method in METHODS:
        directory = f'{work}/{method.name.replace(", ", "-").lower()}'
        os.mkdir(directory)
        asked = bed.glance.downloads(image_id)
        result = download(bed, method, image_id, directory,
                          size if method.name == 'HTTP' else data)
        asked = bed.glance.downloads(image_id) - asked
        got = result['path']
        if os.path.getsize(got) != size or sha512(got) != digest:
            raise DemoError(f'{method.name}: the file is not the image')
        if bool(asked) != (method.name == 'HTTP'):
            raise DemoError(f'{method.name}: {asked} downloads from Glance, '
                            f'see {LOGS}/nova.log')
        rows.append([method.name, f'{result["seconds"]:.1f}',
                     f'{size / MIB / result["seconds"]:.0f}',
                     f'{result["cpu_seconds"]:.1f}',
                     f'{allocated(got) // MIB} MiB', method.verified])
        shutil.rmtree(directory)
    return rows


def show(rows: list[list[Any]], size: int, data: int) -> None:
    """Print the table and what one can do next."""
    table = prettytable.PrettyTable([
        'method', 'seconds', 'MiB/s', 'client CPU s', 'disk allocated',
        'verified by'])
    table.align = 'r'
    table.align['method'] = table.align['verified by'] = 'l'
    table.add_rows(rows)
    say(f'\nAn image of {size // MIB} MiB with {data // MIB} MiB of data, by '
        'the same Nova code as a boot uses:\n')
    say(str(table))
    say('Every file has the size and the sha512 that Glance has on record.')
    say(f"""
Logs are kept in {LOGS}: what Nova said is in nova.log.

With an image of your own:      tools/demo --image FILE
A node to play with:            tools/demo --shell
From a cluster of your own:     {CHECKOUT}/.venv-nova/bin/python \\
      {CHECKOUT}/nova/storage/rbd_export --help
On a compute node:              see "Install it" in README.rst""")


def parse_size(text: str) -> int:
    """Bytes from "600M" or "4G"."""
    factor = {'M': MIB, 'G': 1 << 30}.get(text[-1:].upper())
    number = text[:-1] if factor else text
    if not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f'{text!r} is no size such as 600M')
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
            make_image(path, options.size, options.data)
        with test_bed() as bed:
            image_id = upload(bed, path)
            rows = compare(bed, path, image_id, work)
            data = allocated(path)
        show(rows, size, data)
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
            return shell()
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
