#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Compare ways from an RBD snapshot to a local file.

Started by tools/benchmark. The methods are run in turn, A B C A B C and so
on, so that a machine whose speed drifts is no advantage to any of them. Each
run is a process of its own, whose time and memory the kernel tells. A first
round is not counted. After each run its file is removed and everything dirty
is written out, so that no method pays for another.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import glob
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from typing import Any
from typing import NamedTuple

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
ENGINE = os.path.join(CHECKOUT, 'nova', 'storage', 'rbd_export')

# Reads in flight and their size where they are thrown away.
LIMIT_READS, LIMIT_SIZE = 8, 2 * MIB

# Runs of data in a sparse image, as those of a file system.
RUN = 32 * MIB
STEP = 4 * MIB


class BenchmarkError(Exception):
    """It cannot go on; the text says why."""


class Workload(NamedTuple):
    """An image, or several, to be copied.

    :ivar size: in bytes
    :ivar percent: how much of it is data
    :ivar text: what it is
    :ivar zeros: whether the rest is stored as zeros
    :ivar order: objects have 2**order bytes
    :ivar mapped: whether there is an object map
    :ivar clone: whether it is a clone with a parent
    :ivar count: copies of it, different images, made at the same time
    :ivar cold: whether the OSD is started anew before each run
    :ivar delay: seconds that the OSD waits with each request
    :ivar fill: what the data is, 'random' or 'qcow2'
    """

    size: int
    percent: int
    text: str
    zeros: bool = False
    order: int = 23
    mapped: bool = True
    clone: bool = False
    count: int = 1
    cold: bool = False
    delay: float = 0
    fill: str = 'random'


WORKLOADS = {
    'dense': Workload(2 * GIB, 100, '2 GiB, all data'),
    'sparse': Workload(8 * GIB, 15, '8 GiB, 15% data'),
    'huge': Workload(64 * GIB, 1, '64 GiB, 1% data'),
    'zeros': Workload(2 * GIB, 15, '2 GiB, 15% data, stored zeros',
                      zeros=True),
    'qcow2': Workload(1 * GIB, 100, '1 GiB, a qcow2 file', fill='qcow2'),
    'tiny': Workload(16 * MIB, 100, '16 MiB, all data'),
    'clone': Workload(2 * GIB, 50, '2 GiB, 50% data, clone of a parent',
                      clone=True),
    'nomap': Workload(2 * GIB, 50, '2 GiB, 50% data, no object map',
                      mapped=False),
    'objects4': Workload(2 * GIB, 100, '2 GiB, all data, 4 MiB objects',
                         order=22),
    'four': Workload(512 * MIB, 100, 'four of 512 MiB at once', count=4),
    'cold': Workload(1 * GIB, 100, '1 GiB, all data, OSD just started',
                     cold=True),
    'slow': Workload(256 * MIB, 100, '256 MiB, all data, slow OSD',
                     delay=0.02),
}
DEFAULT_WORKLOADS = ('dense', 'sparse', 'zeros', 'tiny')


def parse_workload(text: str) -> tuple[str, Workload]:
    """A workload by name, or by SIZE:PERCENT[xCOUNT], "16G:15" or "1G:50x4".

    :raises BenchmarkError: if it is neither
    """
    if text in WORKLOADS:
        return text, WORKLOADS[text]
    size, colon, rest = text.partition(':')
    percent, times, count = rest.partition('x')
    unit = {'M': MIB, 'G': GIB}.get(size[-1:])
    if not (unit and colon and size[:-1].isdigit() and percent.isdigit()
            and int(percent) <= 100 and (not times or count.isdigit())):
        raise BenchmarkError(
            f'{text!r} is no workload: use one of {", ".join(WORKLOADS)}, or '
            'SIZE:PERCENT[xCOUNT], for example 16G:15')
    copies = int(count) if times else 1
    words = f'{size[:-1]} {size[-1]}iB, {percent}% data'
    return text, Workload(int(size[:-1]) * unit, int(percent),
                          words + (f', {copies} at once' if times else ''),
                          count=copies)


def data_ranges(workload: Workload, seed: int) -> list[tuple[int, int]]:
    """Where an image holds data, as pairs of offset and length."""
    if workload.percent >= 100:
        return [(0, workload.size)]
    run = min(RUN, workload.size // 16)
    places = workload.size // run
    count = max(1, places * workload.percent // 100)
    chosen = sorted(random.Random(seed).sample(range(places), count))
    return [(place * run, run) for place in chosen]


def data_of(workload: Workload, seed: int) -> Iterator[tuple[int, bytes]]:
    """The bytes of an image, as pairs of offset and data."""
    rng = random.Random(seed)
    for offset, length in data_ranges(workload, seed):
        for start in range(offset, offset + length, STEP):
            size = min(STEP, offset + length - start)
            data = rng.randbytes(size)
            if workload.fill == 'qcow2' and not start:
                # What qemu-img takes for a qcow2 file is one to Nova, too.
                data = b'QFI\xfb\0\0\0\3' + data[8:]
            yield start, data


def digest_of(workload: Workload, seed: int) -> str:
    """The sha512 of an image."""
    hasher, position, hole = hashlib.sha512(), 0, bytes(MIB)
    for offset, data in data_of(workload, seed):
        while position < offset:
            step = min(MIB, offset - position)
            hasher.update(hole[:step])
            position += step
        hasher.update(data)
        position += len(data)
    while position < workload.size:
        step = min(MIB, workload.size - position)
        hasher.update(hole[:step])
        position += step
    return hasher.hexdigest()


class _File:
    """A file of bytes that are made while it is read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b''

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._blocks, b'')
        if size < 0:
            size = len(self._rest)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class Cluster:
    """The cluster that is read.

    :ivar conf: path of its ceph.conf
    :ivar user: name of the client that reads
    :ivar pool: where the images are
    :ivar admin: name of a client that may write
    :ivar admin_conf: path of a ceph.conf for that one
    """

    def __init__(self, conf: str, user: str, pool: str,
                 admin: str | None = None) -> None:
        self.conf, self.user, self.pool = conf, user, pool
        self.admin = admin or user
        self.admin_conf = conf
        self.fixture: Any = None
        self.bed: Any = None
        self.glance_ids: dict[str, str] = {}

    @classmethod
    def of_fixture(cls, fixture: Any) -> 'Cluster':
        cluster = cls(fixture.users['nova'].conf, 'nova', 'images', 'admin')
        cluster.admin_conf = fixture.users['admin'].conf
        cluster.fixture = fixture
        return cluster

    def create(self, name: str, workload: Workload, seed: int) -> None:
        """Make an image with the snapshot "snap"."""
        import rados
        import rbd
        features = rbd.RBD_FEATURE_LAYERING
        if workload.mapped:
            features |= (rbd.RBD_FEATURE_EXCLUSIVE_LOCK |
                         rbd.RBD_FEATURE_OBJECT_MAP |
                         rbd.RBD_FEATURE_FAST_DIFF)
        with rados.Rados(rados_id=self.admin,
                         conffile=self.admin_conf) as client, \
                client.open_ioctx(self.pool) as ioctx:
            first = name + '-parent' if workload.clone else name
            rbd.RBD().create(ioctx, first, workload.size, workload.order,
                             old_format=False, features=features)
            with rbd.Image(ioctx, first) as image:
                if workload.zeros:
                    for start in range(0, workload.size, STEP):
                        image.write(bytes(min(STEP, workload.size - start)),
                                    start)
                for offset, data in data_of(workload, seed):
                    image.write(data, offset)
                image.create_snap('snap')
                if workload.clone:
                    image.protect_snap('snap')
            if workload.clone:
                rbd.RBD().clone(ioctx, first, 'snap', ioctx, name, features)
                with rbd.Image(ioctx, name) as image:
                    image.create_snap('snap')

    def upload(self, name: str, workload: Workload, seed: int) -> None:
        """Put an image into Glance, as a file that is copied by hand."""
        def stream() -> Iterator[bytes]:
            position = 0
            for offset, data in data_of(workload, seed):
                while position < offset:
                    step = min(STEP, offset - position)
                    yield bytes(step)
                    position += step
                yield data
                position += len(data)
            while position < workload.size:
                step = min(STEP, workload.size - position)
                yield bytes(step)
                position += step

        self.glance_ids[name] = self.bed.glance.upload(
            _File(stream()), name=name,
            disk_format='raw' if workload.fill == 'random' else 'qcow2')

    def remove(self, name: str, workload: Workload) -> None:
        """Remove what create and upload made."""
        if name in self.glance_ids:
            self.bed.glance.delete(self.glance_ids.pop(name))
        import rados
        import rbd
        with rados.Rados(rados_id=self.admin,
                         conffile=self.admin_conf) as client, \
                client.open_ioctx(self.pool) as ioctx:
            names = [name] + ([name + '-parent'] if workload.clone else [])
            for one in names:
                with contextlib.suppress(rbd.ImageNotFound):
                    with rbd.Image(ioctx, one) as image:
                        for snap in list(image.list_snaps()):
                            if image.is_protected_snap(snap['name']):
                                image.unprotect_snap(snap['name'])
                            image.remove_snap(snap['name'])
                    rbd.RBD().remove(ioctx, one)

    def read_so_far(self) -> int | None:
        """Bytes that the OSD has sent, None if that is not known."""
        if self.fixture is None:
            return None
        return self.fixture.osd.command_asok('perf dump')['osd'][
            'op_out_bytes']

    def prepare(self, workload: Workload) -> None:
        """Put the OSD in the state that a workload asks for."""
        if not (workload.cold or workload.delay):
            return
        if self.fixture is None:
            raise BenchmarkError('the workloads "cold" and "slow" need a '
                                 'cluster of their own: leave --conf away')
        if workload.cold:
            self.fixture.osd.restart()
            self.fixture.wait_ready()
            with contextlib.suppress(OSError):
                with open('/proc/sys/vm/drop_caches', 'w') as f:
                    f.write('3')
        if workload.delay:
            self.fixture.slow_down(workload.delay)

    def calm(self) -> None:
        """Undo what prepare did."""
        if self.fixture is not None:
            self.fixture.slow_down(0, 0)


class Bench:
    """What the methods need to know."""

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
    return ['/usr/bin/python3', os.path.abspath(__file__), '--child-reads',
            bench.cluster.conf, bench.cluster.user, bench.cluster.pool, name]


def _sha512(bench: Bench, name: str, workload: Workload,
            path: str) -> list[str]:
    return ['/usr/bin/python3', os.path.abspath(__file__), '--child-sha512',
            str(workload.size)]


def _nova(bench: Bench, name: str, workload: Workload,
          path: str) -> list[str]:
    return [sys.executable, os.path.join(os.path.dirname(__file__), 'demo.py'),
            '--download', path + '.conf', bench.cluster.glance_ids[name],
            path]


class Method(NamedTuple):
    """A way to copy, or a limit.

    :ivar text: what it is
    :ivar command: makes its command line
    :ivar program: what it needs
    :ivar file: whether it makes a file
    :ivar nova: options of Nova in [glance], where it is Nova that copies. Its
        own start does not count then, as nova-compute is there already.
    """

    text: str
    command: Command
    program: str = ''
    file: bool = True
    nova: dict[str, Any] | None = None


METHODS = {
    'engine': Method('rbd_export', _engine),
    'verified': Method('rbd_export, sha512 verified', _verified),
    'rbd-export': Method('rbd export', _rbd, 'rbd'),
    'rbd-export-20': Method('rbd export, 20 concurrent ops', _rbd20, 'rbd'),
    'rbd-export-sync': Method('rbd export, then sync', _rbd_sync, 'rbd'),
    'qemu-img': Method('qemu-img convert -m 16 -W', _qemu, 'qemu-img'),
    'http': Method('Nova, Glance over HTTP', _nova, nova={
        'enable_rbd_download': False, 'allowed_direct_url_schemes': []}),
    'nova-rbd': Method('Nova, over RBD, sha512 verified', _nova, nova={
        'rbd_download_fallback': False}),
    'reads': Method('limit: librbd reads thrown away', _reads, file=False),
    'sha512': Method('limit: sha512 in memory', _sha512, file=False),
}
DEFAULT_METHODS = ('engine', 'verified', 'rbd-export', 'reads', 'sha512')


# Starts a command and tells what it took. A process of its own: the kernel
# counts the memory of the process that starts another as that one's, too.
STARTER = """
import os, sys, time
begin = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
status, usage = os.wait4(pid, 0)[1:]
with open(sys.argv[1], 'w') as f:
    f.write('%r %r %r %r' % (
        time.monotonic() - begin, usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)))
"""


class Sample(NamedTuple):
    """One run: seconds, seconds, bytes, bytes, bytes or None."""

    wall: float
    cpu: float
    rss: int
    allocated: int
    read: int | None


def child_reads(conf: str, user: str, pool: str, name: str) -> None:
    """Read all data of a snapshot and throw it away."""
    import rados
    import rbd
    client = rados.Rados(rados_id=user, conffile=conf)
    client.conf_set('rbd_cache', 'false')
    client.connect()
    image = rbd.Image(client.open_ioctx(pool), name, snapshot='snap',
                      read_only=True)
    size = image.size()
    parts = [(0, size)]
    if image.features() & rbd.RBD_FEATURE_FAST_DIFF:
        parts = []
        image.diff_iterate(0, size, None, lambda offset, length, exists:
                           parts.append((offset, length)) if exists else None,
                           include_parent=True, whole_object=True)
    pieces = ((start, min(LIMIT_SIZE, offset + length - start))
              for offset, length in parts
              for start in range(offset, offset + length, LIMIT_SIZE))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                piece = next(pieces, None)
            if piece is None:
                return
            image.read(*piece)

    threads = [threading.Thread(target=work) for _ in range(LIMIT_READS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # As quickly as the engine.
    os._exit(0)


def child_sha512(size: int) -> None:
    """Hash so many bytes of memory."""
    data = random.Random(0).randbytes(16 * MIB)
    hasher = hashlib.sha512()
    while size:
        step = min(size, len(data))
        hasher.update(memoryview(data)[:step])
        size -= step


def configure_nova(bench: Bench, method: Method,
                   path: str) -> dict[str, str]:
    """Write Nova's configuration for a download to a path.

    :returns: the environment for it
    """
    from testbed import rbd_testbed
    work = path + '.nova'
    os.mkdir(work)
    config = bench.cluster.bed.nova_config(work)
    config['glance'].update(method.nova or {})
    config['DEFAULT'].update({'log_file': f'{work}/nova.log',
                              'use_stderr': False, 'force_raw_images': False})
    rbd_testbed.write_config(path + '.conf', config)
    return {'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true',
            'DEMO_CONTEXT': json.dumps(bench.cluster.bed.context().to_dict())}


def run_once(bench: Bench, method: str, names: list[str],
             workload: Workload) -> Sample:
    """Copy all images of a workload at the same time, once."""
    paths = [os.path.join(bench.output, f'{name}.out') for name in names]
    chosen = METHODS[method]
    before = bench.cluster.read_so_far()
    commands = [chosen.command(bench, name, workload, path)
                for name, path in zip(names, paths)]
    tellings = [path + '.told' for path in paths]
    environments = [
        configure_nova(bench, chosen, path) if chosen.nova is not None else {}
        for path in paths]
    with open(os.path.join(bench.output, 'log'), 'w+b') as log:
        processes = [subprocess.Popen(
            ['/usr/bin/python3', '-I', '-S', '-c', STARTER, telling, *command],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env=dict(os.environ, **environment))
            for telling, command, environment in zip(tellings, commands,
                                                     environments)]
        for process in processes:
            process.wait()
        wall, cpu, rss = 0.0, 0.0, 0
        for telling, command in zip(tellings, commands):
            with open(telling) as f:
                told = f.read().split()
            os.unlink(telling)
            if int(told[3]):
                log.seek(0)
                text = log.read()[-500:].decode(errors='replace').strip()
                raise BenchmarkError(f'{" ".join(command)} failed: {text}')
            if chosen.nova is not None:
                with open(telling.replace('.told', '.json')) as f:
                    inner = json.load(f)
                told[:2] = inner['seconds'], inner['cpu_seconds']
            wall = max(wall, float(told[0]))
            cpu += float(told[1])
            rss = max(rss, int(told[2]))
    after = bench.cluster.read_so_far()
    allocated = sum(os.stat(path).st_blocks * 512 for path in paths
                    if os.path.exists(path))
    return Sample(wall, cpu, rss, allocated,
                  None if before is None or after is None else after - before)


def clean(bench: Bench, names: list[str]) -> None:
    """Remove files, and let the machine come to rest."""
    for name in names:
        for path in glob.glob(os.path.join(bench.output, f'{name}.out*')):
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    os.sync()


def check_files(bench: Bench, names: list[str]) -> None:
    """See that the files are the images."""
    for name in names:
        path = os.path.join(bench.output, f'{name}.out')
        with open(path, 'rb') as f:
            found = hashlib.file_digest(f, 'sha512').hexdigest()
        if found != bench.digests[name]:
            raise BenchmarkError(f'{path} is not the image')


def measure(bench: Bench, label: str, workload: Workload,
            methods: list[str], runs: int, check: bool) -> dict[str, Any]:
    """Run all methods on a workload, in turn.

    :returns: samples by method
    """
    names = [f'benchmark-{os.getpid()}-{label.replace(":", "-")}-{n}'
             for n in range(workload.count)]
    say(f'\n{label}: {workload.text}. Making it ...')
    try:
        for n, name in enumerate(names):
            if 'verified' in methods or check:
                bench.digests[name] = digest_of(workload, n)
            bench.cluster.create(name, workload, n)
            if any(METHODS[method].nova is not None for method in methods):
                bench.cluster.upload(name, workload, n)
        samples: dict[str, list[Sample]] = {method: [] for method in methods}
        bench.cluster.prepare(workload)
        for number in range(runs + 1):
            for method in methods:
                if workload.cold:
                    bench.cluster.prepare(workload)
                sample = run_once(bench, method, names, workload)
                if number:
                    samples[method].append(sample)
                    say(f'    {number}/{runs} {METHODS[method].text}: '
                        f'{sample.wall:.2f} s')
                elif check and METHODS[method].file:
                    check_files(bench, names)
                clean(bench, names)
    finally:
        bench.cluster.calm()
        clean(bench, names)
        for name in names:
            bench.cluster.remove(name, workload)
    return {method: [sample._asdict() for sample in taken]
            for method, taken in samples.items()}


def middle(samples: list[dict[str, Any]], figure: str) -> float | None:
    """The median of a figure, None if it is not known."""
    values = [sample[figure] for sample in samples]
    return None if None in values else statistics.median(values)


def summarise(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Medians, spread, and the ratio of each method to our own.

    The ratio is the median of those of each round, not that of the medians:
    what slowed the machine down for a while slowed down both.
    """
    rows = []
    for label, entry in result['workloads'].items():
        ours = entry['samples'].get('engine')
        for method, samples in entry['samples'].items():
            row = {'workload': label, 'method': method,
                   'size': entry['size'] * entry['count'],
                   'min': min(s['wall'] for s in samples),
                   'max': max(s['wall'] for s in samples)}
            row.update({figure: middle(samples, figure)
                        for figure in Sample._fields})
            if ours:
                for figure in ('wall', 'cpu'):
                    row[figure + '_ratio'] = statistics.median(
                        theirs[figure] / mine[figure]
                        for theirs, mine in zip(samples, ours))
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as text."""
    head = ['workload', 'method', 'seconds', 'min-max', 'MiB/s', 'CPU s',
            'RSS MiB', 'disk MiB', 'read MiB', 'wall/ours', 'CPU/ours']

    def number(value: float | None, form: str) -> str:
        return '' if value is None else format(value, form)

    lines = [head]
    for row in rows:
        lines.append([
            row['workload'], row['method'], f'{row["wall"]:.2f}',
            f'{row["min"]:.2f}-{row["max"]:.2f}',
            f'{row["size"] / MIB / row["wall"]:.0f}', f'{row["cpu"]:.2f}',
            f'{row["rss"] / MIB:.0f}', f'{row["allocated"] / MIB:.0f}',
            number(None if row['read'] is None else row['read'] / MIB, '.0f'),
            number(row.get('wall_ratio'), '.2f'),
            number(row.get('cpu_ratio'), '.2f')])
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return '\n'.join('  '.join(
        cell.ljust(width) if n < 2 else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)


def plot(rows: list[dict[str, Any]], figure: str, title: str,
         scale: float, unit: str) -> str:
    """Bars for one figure, as SVG."""
    bar, gap, left, width = 18, 30, 260, 900
    body, y = [], 50
    shown = [row for row in rows if row[figure] is not None]
    top: dict[str, float] = {}
    for row in shown:
        top[row['workload']] = max(top.get(row['workload'], 0), row[figure])
    last = None
    for row in shown:
        if row['workload'] != last:
            last = row['workload']
            y += gap
            body.append(f'<text x="10" y="{y - 6}" font-weight="bold">'
                        f'{last}</text>')
        length = (width - left - 120) * row[figure] / (top[last] or 1)
        colour = ('#c0392b' if row['method'] in ('engine', 'verified',
                                                 'nova-rbd')
                  else '#95a5a6' if row['method'] in ('reads', 'sha512')
                  else '#2c3e50')
        body.append(
            f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">'
            f'{row["method"]}</text><rect x="{left}" y="{y}" '
            f'width="{length:.1f}" height="{bar - 3}" fill="{colour}"/>'
            f'<text x="{left + length + 6:.1f}" y="{y + 13}">'
            f'{row[figure] / scale:.2f} {unit}</text>')
        y += bar
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
            f'height="{y + 20}" font-family="sans-serif" font-size="13">'
            f'<rect width="100%" height="100%" fill="white"/>'
            f'<text x="10" y="28" font-size="17">{title}</text>'
            + ''.join(body) + '</svg>\n')


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = ''
    with contextlib.suppress(OSError):
        with open('/proc/cpuinfo') as f:
            model = next((line.split(':', 1)[1].strip() for line in f
                          if line.startswith('model name')), '')
    ceph = ''
    with contextlib.suppress(OSError):
        ceph = subprocess.run(['rbd', '--version'], capture_output=True,
                              text=True).stdout.strip()
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return {'cpu': model, 'cores': os.cpu_count(), 'memory': pages,
            'kernel': platform.release(), 'ceph': ceph,
            'date': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


@contextlib.contextmanager
def own_cluster(directory: str | None, needed: int,
                glance: bool) -> Iterator[Cluster]:
    """A cluster on the loopback interface, as the tests have it.

    It is put into memory where there is enough: on the disk that the files
    are written to, each method would be held up by the cluster as well.
    """
    if directory is None:
        directory = '/dev/shm'
        try:
            free = min(shutil.disk_usage(directory).free, available_memory())
        except OSError:
            free = 0
        if free < 2 * needed + 2 * GIB:
            directory = None
    if directory:
        os.environ['NOVA_TESTBED_DIR'] = directory
    import testbed  # noqa: F401
    from testbed import ceph_cluster
    lack = ceph_cluster.missing()
    if lack:
        raise BenchmarkError(lack)
    say(f'Starting a cluster in {directory or "TMPDIR"} ...')
    if glance:
        from testbed import rbd_testbed
        with rbd_testbed.RbdTestBed(
                {'robust': {'rbd_thin_provisioning': True}}) as bed:
            cluster = Cluster.of_fixture(bed.cluster)
            cluster.bed = bed
            yield cluster
        return
    with ceph_cluster.CephCluster() as fixture:
        yield Cluster.of_fixture(fixture)


def available_memory() -> int:
    """Bytes that can be used without swapping."""
    with open('/proc/meminfo') as f:
        for line in f:
            if line.startswith('MemAvailable'):
                return int(line.split()[1]) * KIB
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    def listing(entries: dict[str, Any]) -> str:
        return '\n'.join(f'  {name:<17}{entry.text}'
                         for name, entry in entries.items())

    parser = argparse.ArgumentParser(
        prog='tools/benchmark', description=__doc__.split('\n')[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f'workloads:\n{listing(WORKLOADS)}\n'
               '  SIZE:PERCENT[xCOUNT]  any other, for example 16G:15, 1G:50x4'
               f'\n\nmethods:\n{listing(METHODS)}\n\nexample:\n'
               '  tools/benchmark --workload dense,sparse --json out.json '
               '--svg .\n')
    parser.add_argument('--workload', default=','.join(DEFAULT_WORKLOADS),
                        help='with commas between them (%(default)s); "all"')
    parser.add_argument('--method', default=','.join(DEFAULT_METHODS),
                        help='with commas between them (%(default)s); "all"')
    parser.add_argument('--runs', type=int, default=5,
                        help='that count, of each (%(default)s)')
    parser.add_argument('--json', metavar='FILE', help='for all figures')
    parser.add_argument('--svg', metavar='DIRECTORY', help='for plots')
    parser.add_argument('--output', metavar='DIRECTORY', default='.',
                        help='a temporary one for the files is made in there '
                        '(%(default)s)')
    parser.add_argument('--conf', help='ceph.conf of a cluster of yours, '
                        'instead of one that is started; needs --id and '
                        '--pool, and leave to make and remove images there')
    parser.add_argument('--id', help='the client that reads and writes there')
    parser.add_argument('--pool', help='where images are made')
    parser.add_argument('--cluster-dir', metavar='DIRECTORY',
                        help='for the cluster that is started (memory, if '
                        'there is enough)')
    parser.add_argument('--engine-arguments', default='', metavar='OPTIONS',
                        help='more options for the engine, in one word')
    parser.add_argument('--no-check', action='store_true', help='do not '
                        'compare the files with what was written')
    parser.add_argument('--child-reads', nargs=4, help=argparse.SUPPRESS)
    parser.add_argument('--child-sha512', type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.conf and not (options.id and options.pool):
        parser.error('--conf needs --id and --pool')
    if options.runs < 1:
        parser.error('--runs must be 1 or more')
    return options


def chosen(options: argparse.Namespace) -> tuple[dict[str, Workload],
                                                 list[str]]:
    """The workloads and methods asked for."""
    names = (list(WORKLOADS) if options.workload == 'all'
             else options.workload.split(','))
    methods = (list(METHODS) if options.method == 'all'
               else options.method.split(','))
    for method in list(methods):
        if method not in METHODS:
            raise BenchmarkError(f'{method!r} is no method: use '
                                 f'{", ".join(METHODS)}')
        program = METHODS[method].program
        if program and not shutil.which(program):
            say(f'{method} is left out: there is no {program} here')
            methods.remove(method)
    return dict(parse_workload(name) for name in names), methods


def run(options: argparse.Namespace) -> None:
    """Everything."""
    workloads, methods = chosen(options)
    glance = any(METHODS[method].nova is not None for method in methods)
    needed = max((w.size * (100 if w.zeros else w.percent) // 100 * w.count
                  for w in workloads.values()), default=0)
    result: dict[str, Any] = {
        'machine': machine(), 'runs': options.runs,
        'command': ' '.join(['tools/benchmark'] + sys.argv[1:]),
        'workloads': {}}
    with contextlib.ExitStack() as stack:
        output = os.path.join(os.path.abspath(options.output),
                              f'benchmark-{os.getpid()}')
        os.mkdir(output)
        stack.callback(shutil.rmtree, output, ignore_errors=True)
        if options.conf:
            if glance:
                raise BenchmarkError('the methods of Nova need a Glance of '
                                     'their own: leave --conf away')
            cluster = Cluster(options.conf, options.id, options.pool)
        else:
            cluster = stack.enter_context(
                own_cluster(options.cluster_dir,
                            needed * (2 if glance else 1), glance))
        bench = Bench(cluster, output, options.engine_arguments.split())
        for label, workload in workloads.items():
            result['workloads'][label] = dict(
                workload._asdict(), samples=measure(
                    bench, label, workload, methods, options.runs,
                    not options.no_check and workload.size <= 16 * GIB))
    rows = summarise(result)
    result['summary'] = rows
    say('\n' + table(rows))
    about = result['machine']
    say(f'\nMedians of {options.runs} alternated runs. wall/ours and '
        'CPU/ours: how many times that of rbd_export.\n'
        f'{about["cpu"]}, {about["cores"]} cores, kernel {about["kernel"]}; '
        f'{about["ceph"]}')
    if options.json:
        with open(options.json, 'w') as f:
            json.dump(result, f, indent=1)
    if options.svg:
        for figure, title, scale, unit in (
                ('wall', 'Wall time', 1, 's'),
                ('cpu', 'Processor time of the client', 1, 's'),
                ('rss', 'Resident memory at most', MIB, 'MiB')):
            with open(os.path.join(options.svg, f'benchmark-{figure}.svg'),
                      'w') as f:
                f.write(plot(rows, figure, title, scale, unit))


def interrupt(number: int, frame: Any) -> None:
    """Take a signal."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    options = parse(argv)
    if options.child_reads:
        child_reads(*options.child_reads)
    if options.child_sha512 is not None:
        child_sha512(options.child_sha512)
        return 0
    # So that everything is put away then, too; also where an interruption of
    # programs in the background is ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        run(options)
    except (BenchmarkError, OSError) as exc:
        print(f'tools/benchmark: {exc}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('tools/benchmark: interrupted', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
