# SPDX-License-Identifier: Apache-2.0

"""What a download does to the cluster and to nova-compute."""

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from .common import BenchmarkError
from .common import MIB
from .common import say
from .measuring import clean
from .measuring import environment_of
from .methods import Bench
from .methods import DOWNLOAD
from .methods import METHODS
from .workloads import Workload

#: Limits in bytes a second, and an image that takes some seconds with each.
RATES = {10 * MIB: Workload(96 * MIB, 100, '96 MiB, all data'),
         50 * MIB: Workload(384 * MIB, 100, '384 MiB, all data'),
         100 * MIB: Workload(768 * MIB, 100, '768 MiB, all data')}

FOUR = Workload(512 * MIB, 100, 'four of 512 MiB in one process', count=4)


def rate_of(lines: list[str]) -> float:
    """The rate at which the engine moved bytes, in bytes a second.

    Without its start and its end, which have no rate.

    :param lines: what it has written
    """
    events = [json.loads(line) for line in lines]
    total = events[-1]['bytes']
    moving = [event for event in events[:-1]
              if 0 < event.get('bytes', 0) < total]
    if len(moving) < 2:
        raise BenchmarkError('the engine was done too soon to see its rate')
    first, last = moving[0], moving[-1]
    return ((last['bytes'] - first['bytes']) /
            (last['seconds'] - first['seconds']))


def rates(bench: Bench, runs: int) -> list[dict[str, Any]]:
    """See how well the limit on the rate is kept.

    :returns: for each limit, the "rate" that was asked for and what was
        "taken", of each run
    """
    told = []
    for rate, workload in RATES.items():
        name = f'benchmark-{os.getpid()}-rate'
        path = os.path.join(bench.output, f'{name}.out')
        say(f'\n{rate // MIB} MiB/s: {workload.text}. Making it ...')
        bench.cluster.create(name, workload, 0)
        try:
            taken = []
            for number in range(runs):
                command = METHODS['engine'].command(bench, name, workload,
                                                    path)
                command.insert(command.index('--'), f'--max-rate={rate}')
                done = subprocess.run(command, stdout=subprocess.PIPE,
                                      text=True)
                if done.returncode:
                    raise BenchmarkError(done.stdout.splitlines()[-1])
                taken.append(rate_of(done.stdout.splitlines()))
                say(f'    {number + 1}/{runs} {taken[-1] / MIB:.2f} MiB/s')
                clean(bench, [name])
            told.append({'rate': rate, 'taken': taken})
        finally:
            bench.cluster.remove(name, workload)
    return told


def tickers(bench: Bench, runs: int) -> list[dict[str, Any]]:
    """See how long nova-compute does not get round to other work.

    :returns: for each mode of concurrency and method, the "gaps" in seconds:
        the longest time between two ticks of 10 ms while four images are
        downloaded in one process, for each run
    """
    names = [f'benchmark-{os.getpid()}-tick-{n}' for n in range(FOUR.count)]
    say(f'\nticker: {FOUR.text}. Making it ...')
    told: dict[tuple[str, str], list[float]] = {}
    try:
        for n, name in enumerate(names):
            bench.cluster.upload(name, FOUR, n)
        for number in range(runs):
            for mode in ('threading', 'eventlet'):
                for method in ('nova-verified', 'nova', 'http'):
                    gap = _tick(bench, method, mode, names)
                    told.setdefault((mode, method), []).append(gap)
                    say(f'    {number + 1}/{runs} {mode}, '
                        f'{METHODS[method].text}: {1000 * gap:.0f} ms')
    finally:
        clean(bench, names)
        for name in names:
            bench.cluster.remove(name, FOUR)
    return [{'mode': mode, 'method': method, 'gaps': gaps,
             'median': statistics.median(gaps)}
            for (mode, method), gaps in told.items()]


def _tick(bench: Bench, method: str, mode: str, names: list[str]) -> float:
    base = os.path.join(bench.output, names[0] + '.out')
    environment = environment_of(bench, METHODS[method], base)
    environment['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = (
        'true' if mode == 'threading' else 'false')
    command = [sys.executable, DOWNLOAD, base + '.conf', base + '.result']
    for name in names:
        command += [bench.cluster.glance_ids[name],
                    os.path.join(bench.output, name + '.out')]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise BenchmarkError(f'{method} failed: {done.stdout[-500:]}')
    with open(base + '.result') as f:
        gap: float = json.load(f)['largest_gap']
    clean(bench, names)
    return gap
