# SPDX-License-Identifier: Apache-2.0

"""The ways to copy an image, and the limits of all of them."""

from collections.abc import Callable
import json
import os
import sys
from typing import Any
from typing import NamedTuple

from patchset import CHECKOUT

from .clusters import Cluster
from .workloads import Workload

ENGINE = os.path.join(CHECKOUT, 'nova', 'storage', 'rbd_export')
LIMITS = os.path.join(CHECKOUT, 'tools', 'lib', 'benchmark', 'limits.py')
DOWNLOAD = os.path.join(CHECKOUT, 'tools', 'lib', 'nova_download.py')
UPSTREAM = os.path.join(CHECKOUT, '.venv-upstream', 'bin', 'python')


class Bench:
    """What the methods need to know.

    :ivar cluster: what is read
    :ivar output: the directory for the files
    :ivar engine_arguments: more options for the engine
    :ivar digests: sha512 of the images by their names
    """

    def __init__(self, cluster: Cluster, output: str,
                 arguments: list[str]) -> None:
        self.cluster = cluster
        self.output = output
        self.engine_arguments = arguments
        self.digests: dict[str, str] = {}


Command = Callable[[Bench, str, Workload, str], list[str]]


def _engine(bench: Bench, name: str, workload: Workload, path: str,
            *more: str) -> list[str]:
    return ['/usr/bin/python3', '-I', ENGINE, '--json',
            f'--conf={bench.cluster.conf}', f'--id={bench.cluster.user}',
            *bench.engine_arguments, *more, f'--pool={bench.cluster.pool}',
            f'--image={name}', '--snap=snap', '--', path]


def _verified(bench: Bench, name: str, workload: Workload,
              path: str) -> list[str]:
    return _engine(bench, name, workload, path,
                   f'--digest=sha512:{bench.digests[name]}')


def _rbd(bench: Bench, name: str, workload: Workload, path: str,
         *more: str) -> list[str]:
    return ['rbd', f'--conf={bench.cluster.conf}',
            f'--id={bench.cluster.user}', '--no-progress', *more, 'export',
            f'{bench.cluster.pool}/{name}@snap', path]


def _rbd20(bench: Bench, name: str, workload: Workload,
           path: str) -> list[str]:
    return _rbd(bench, name, workload, path,
                '--rbd-concurrent-management-ops=20')


def _rbd_sync(bench: Bench, name: str, workload: Workload,
              path: str) -> list[str]:
    return ['sh', '-c', '"$@" && sync "$0"', path,
            *_rbd(bench, name, workload, path)]


def _qemu(bench: Bench, name: str, workload: Workload,
          path: str) -> list[str]:
    # QEMU opens for writing even what it only reads: Nova's key will not do.
    source = (f'rbd:{bench.cluster.pool}/{name}@snap:'
              f'id={bench.cluster.admin}:conf={bench.cluster.admin_conf}')
    return ['qemu-img', 'convert', '-f', 'raw', '-O', 'raw', '-m', '16', '-W',
            source, path]


def _reads(bench: Bench, name: str, workload: Workload,
           path: str) -> list[str]:
    return ['/usr/bin/python3', LIMITS, 'reads',
            bench.cluster.conf, bench.cluster.user, bench.cluster.pool, name]


def _sha512(bench: Bench, name: str, workload: Workload,
            path: str) -> list[str]:
    return ['/usr/bin/python3', LIMITS, 'sha512', str(workload.size)]


def _nova(bench: Bench, name: str, workload: Workload, path: str,
          python: str = sys.executable) -> list[str]:
    return [python, DOWNLOAD, path + '.conf', path + '.result',
            bench.cluster.glance_ids[name], path]


def _upstream(bench: Bench, name: str, workload: Workload,
              path: str) -> list[str]:
    return _nova(bench, name, workload, path, UPSTREAM)


class Method(NamedTuple):
    """A way to copy, or a limit.

    :ivar text: what it is
    :ivar command: makes its command line
    :ivar program: what it needs
    :ivar file: whether it makes a file
    :ivar nova: options of Nova in [glance], where it is Nova that copies. Its
        own start does not count then, as nova-compute is there already; its
        own memory does.
    """

    text: str
    command: Command
    program: str = ''
    file: bool = True
    nova: dict[str, Any] | None = None


METHODS = {
    'engine': Method('our engine', _engine),
    'verified': Method('our engine, sha512 verified', _verified),
    'rbd-export': Method('rbd export', _rbd, 'rbd'),
    'rbd-export-20': Method('rbd export, 20 concurrent ops', _rbd20, 'rbd'),
    'rbd-export-sync': Method('rbd export, then sync', _rbd_sync, 'rbd'),
    'qemu-img': Method('qemu-img convert -m 16 -W', _qemu, 'qemu-img'),
    'http': Method('Nova, Glance over HTTP', _nova, nova={
        'enable_rbd_download': False, 'allowed_direct_url_schemes': []}),
    'upstream': Method("upstream's Nova, over RBD", _upstream, 'rbd', nova={
        'enable_rbd_download': True}),
    'nova': Method('our Nova, over RBD, unverified', _nova, nova={
        'rbd_download_verify_hash': False, 'rbd_download_fallback': False}),
    'nova-verified': Method('our Nova, over RBD, sha512', _nova, nova={
        'rbd_download_fallback': False}),
    'reads': Method('limit: librbd reads thrown away', _reads, file=False),
    'sha512': Method('limit: sha512 in memory', _sha512, file=False),
}
DEFAULT_METHODS = ('engine', 'verified', 'rbd-export', 'reads', 'sha512')


def is_nova(method: str) -> bool:
    """Whether a method needs Glance."""
    return METHODS[method].nova is not None


def environment_of(bench: Bench, method: Method, path: str) -> dict[str, str]:
    """What a method needs in its environment.

    For Nova, a configuration for a download to a path is written.
    """
    if method.nova is None:
        return dict(os.environ)
    from nova.tests.testbed import rbd_testbed
    work = path + '.nova'
    os.mkdir(work)
    config = bench.cluster.bed.nova_config(work)
    config['glance'].update(method.nova)
    config['DEFAULT'].update({'log_file': f'{work}/nova.log',
                              'use_stderr': False, 'force_raw_images': False})
    rbd_testbed.write_config(path + '.conf', config)
    context = bench.cluster.bed.context().to_dict()
    return dict(os.environ, OS_NOVA_DISABLE_EVENTLET_PATCHING='true',
                DOWNLOAD_CONTEXT=json.dumps(context),
                DOWNLOAD_WARM_UP=bench.cluster.warm_up())
