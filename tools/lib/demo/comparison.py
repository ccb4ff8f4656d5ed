# SPDX-License-Identifier: Apache-2.0

"""Download one image in all ways and compare them.

Each download is a process of its own, nova_download.py, so that the processor
time of one is that of the process and its children.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from typing import Any
from typing import NamedTuple

import prettytable

from demo.common import DemoError
from demo.common import LOGS
from demo.common import MIB
from demo.common import say
from demo import images
from nova.tests.testbed import daemon
from nova.tests.testbed import rbd_testbed
from patchset import CHECKOUT

DOWNLOAD = (str(CHECKOUT / 'tools' / 'lib'), 'demo.nova_download')


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
    with images.progress(f'Download, {method.name}') as shown, process:
        assert process.pid is not None
        while process.running:
            shown.show(min(written(process.pid, base), expected), expected)
            time.sleep(0.1)
    try:
        with open(f'{work}/result') as f:
            result = dict(json.load(f), path=f'{base}/image')
    except FileNotFoundError:
        raise DemoError(f'the download failed ({method.name}): see '
                        f'{process.log} and {LOGS}/nova.log')
    return result


def compare(bed: rbd_testbed.RbdTestBed, path: str, image_id: str,
            work: str) -> list[list[Any]]:
    """Download the image in all ways.

    :returns: rows for the table
    """
    size, data = os.path.getsize(path), images.allocated(path)
    digest = bed.glance.show(image_id)['os_hash_value']
    if images.sha512(path) != digest:
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
        if os.path.getsize(got) != size or images.sha512(got) != digest:
            raise DemoError(f'{method.name}: the file is not the image')
        if bool(asked) != (method.name == 'HTTP'):
            raise DemoError(f'{method.name}: {asked} downloads from Glance, '
                            f'see {LOGS}/nova.log')
        rows.append([method.name, f'{result["seconds"]:.1f}',
                     f'{size / MIB / result["seconds"]:.0f}',
                     f'{result["cpu_seconds"]:.1f}',
                     f'{images.allocated(got) // MIB} MiB', method.verified])
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
