# SPDX-License-Identifier: Apache-2.0

"""Run the methods in turn and take what each run took."""

import glob
import hashlib
import json
import os
import shutil
import subprocess
from typing import Any
from typing import NamedTuple

from .common import BenchmarkError
from .common import say
from .methods import Bench
from .methods import environment_of
from .methods import is_nova
from .methods import METHODS
from .workloads import digest_of
from .workloads import Workload

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
    """One run.

    :ivar wall: seconds, those of the slowest where there are several
    :ivar cpu: seconds of all processes and their children
    :ivar rss: bytes of memory that the largest process had at most
    :ivar allocated: bytes on disk of the files that were made
    :ivar read: bytes that the OSD sent meanwhile, None if that is not known
    :ivar osd: seconds of processor of the OSD meanwhile, None as above
    """

    wall: float
    cpu: float
    rss: int
    allocated: int
    read: int | None
    osd: float | None = None


def run_once(bench: Bench, method: str, names: list[str],
             workload: Workload) -> Sample:
    """Copy all images of a workload at the same time, once."""
    paths = [os.path.join(bench.output, f'{name}.out') for name in names]
    chosen = METHODS[method]
    before = (bench.cluster.read_so_far(), bench.cluster.cpu_so_far())
    commands = [chosen.command(bench, name, workload, path)
                for name, path in zip(names, paths)]
    tellings = [path + '.told' for path in paths]
    environments = [environment_of(bench, chosen, path) for path in paths]
    asked = downloads(bench, names) if is_nova(method) else 0
    with open(os.path.join(bench.output, 'log'), 'w+b') as log:
        processes = [subprocess.Popen(
            ['/usr/bin/python3', '-I', '-S', '-c', STARTER, telling, *command],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env=environment)
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
                with open(telling.replace('.told', '.result')) as f:
                    inner = json.load(f)
                told[:2] = inner['seconds'], inner['cpu_seconds']
            wall = max(wall, float(told[0]))
            cpu += float(told[1])
            rss = max(rss, int(told[2]))
    if is_nova(method) and (downloads(bench, names) - asked !=
                            (len(names) if method == 'http' else 0)):
        raise BenchmarkError(f'{method} did not get its bytes the way it '
                             'should have: see nova.log')
    after = (bench.cluster.read_so_far(), bench.cluster.cpu_so_far())
    allocated = sum(os.stat(path).st_blocks * 512 for path in paths
                    if os.path.exists(path))
    read, osd = (None if now is None or then is None else now - then
                 for then, now in zip(before, after))
    return Sample(wall, cpu, rss, allocated, read, osd)


def downloads(bench: Bench, names: list[str]) -> int:
    """How often images were asked for over HTTP so far."""
    return sum(bench.cluster.bed.glance.downloads(
        bench.cluster.glance_ids[name]) for name in names)


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
            methods: list[str], runs: int,
            check: bool) -> dict[str, list[dict[str, Any]]]:
    """Run all methods on a workload, in turn.

    :param check: whether the files of the first round are compared with what
        was written
    :returns: samples by method
    """
    names = [f'benchmark-{os.getpid()}-{label.replace(":", "-")}-{n}'
             for n in range(workload.count)]
    say(f'\n{label}: {workload.text}. Making it ...')
    try:
        for n, name in enumerate(names):
            if check or 'verified' in methods:
                bench.digests[name] = digest_of(workload, n)
            if not all(map(is_nova, methods)):
                bench.cluster.create(name, workload, n)
            if any(map(is_nova, methods)):
                bench.cluster.upload(name, workload, n)
        bench.cluster.prepare(workload)
        samples = _rounds(bench, names, workload, methods, runs, check)
    finally:
        bench.cluster.calm()
        clean(bench, names)
        for name in names:
            bench.cluster.remove(name, workload)
    return {method: [sample._asdict() for sample in taken]
            for method, taken in samples.items()}


def _rounds(bench: Bench, names: list[str], workload: Workload,
            methods: list[str], runs: int,
            check: bool) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {method: [] for method in methods}
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
    return samples
