# SPDX-License-Identifier: Apache-2.0

"""The command tools/benchmark."""

import argparse
from collections.abc import Mapping
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
from typing import Any

import benchmark
from patchset import CHECKOUT

from . import kindness
from . import nodes
from . import pages
from . import scaling
from . import tables
from .clusters import Cluster
from .clusters import own_cluster
from .common import BenchmarkError
from .common import GIB
from .common import say
from .machine import machine
from .measuring import measure
from .methods import Bench
from .methods import DEFAULT_METHODS
from .methods import is_nova
from .methods import METHODS
from .methods import UPSTREAM
from .summary import summarise
from .workloads import DEFAULT_WORKLOADS
from .workloads import parse_workload
from .workloads import Workload
from .workloads import WORKLOADS

#: What can be measured.
MEASURES = {
    'workloads': 'all methods on all workloads',
    'size': 'the same data in larger and larger images',
    'data': 'more and more data in an image',
    'count': 'more and more images at once',
    'rates': 'how well a limit on the rate is kept',
    'ticker': 'how long nova-compute does nothing else',
    'nodes': 'a simulation of many nodes that fetch one image',
}

#: Options that say what is measured, and not where results go.
_TELLING = ('measure', 'workload', 'method', 'runs', 'engine_arguments')


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    def listing(entries: Mapping[str, Any]) -> str:
        return '\n'.join(
            f'  {name:<17}{getattr(entry, "text", entry)}'
            for name, entry in entries.items())

    parser = argparse.ArgumentParser(
        prog='tools/benchmark',
        description=(benchmark.__doc__ or '').split('\n')[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f'measures:\n{listing(MEASURES)}\n\n'
               f'workloads:\n{listing(WORKLOADS)}\n'
               '  SIZE:PERCENT[xCOUNT]  any other, for example 16G:15, 1G:50x4'
               f'\n\nmethods:\n{listing(METHODS)}\n\nexamples:\n'
               '  tools/benchmark --workload dense,sparse --json out.json\n'
               '  tools/benchmark --measure size,data,count --report .\n'
               '  tools/benchmark --from out.json --report .\n')
    parser.add_argument('--measure', default='workloads', metavar='WHAT',
                        help='with commas between them (%(default)s)')
    parser.add_argument('--workload', default=','.join(DEFAULT_WORKLOADS),
                        help='with commas between them (%(default)s); "all"')
    parser.add_argument('--method', help='with commas between them '
                        f'({",".join(DEFAULT_METHODS)}; with size, data or '
                        f'count {",".join(scaling.DEFAULT_METHODS)}); "all"')
    parser.add_argument('--runs', type=int, default=5,
                        help='that count, of each (%(default)s)')
    parser.add_argument('--json', metavar='FILE', help='for all figures')
    parser.add_argument('--from', dest='results', nargs='+', metavar='FILE',
                        help='figures taken before, instead of new ones')
    parser.add_argument('--report', metavar='DIRECTORY', help='for tables in '
                        'reStructuredText, and plots')
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
    options = parser.parse_args(argv)
    if options.conf and not (options.id and options.pool):
        parser.error('--conf needs --id and --pool')
    if options.runs < 1:
        parser.error('--runs must be 1 or more')
    options.told = ' '.join(['tools/benchmark'] + [
        shlex.quote(f'--{name.replace("_", "-")}={value}')
        for name in _TELLING
        if (value := getattr(options, name)) != parser.get_default(name)])
    options.measure = options.measure.split(',')
    for name in options.measure:
        if name not in MEASURES:
            parser.error(f'{name!r} cannot be measured: use '
                         f'{", ".join(MEASURES)}')
    return options


def chosen(options: argparse.Namespace) -> tuple[dict[str, Workload],
                                                 list[str]]:
    """The workloads and methods asked for.

    :raises BenchmarkError: if there is no such, or one that cannot be had
    """
    names = (list(WORKLOADS) if options.workload == 'all'
             else options.workload.split(','))
    if 'workloads' not in options.measure:
        names = []
    methods = (list(METHODS) if options.method == 'all'
               else options.method.split(',') if options.method
               else list(DEFAULT_METHODS if names
                         else scaling.DEFAULT_METHODS))
    for method in list(methods):
        if method not in METHODS:
            raise BenchmarkError(f'{method!r} is no method: use '
                                 f'{", ".join(METHODS)}')
        program = METHODS[method].program
        if program and not shutil.which(program):
            say(f'{method} is left out: there is no {program} here')
            methods.remove(method)
    if 'upstream' in methods and not os.path.exists(UPSTREAM):
        raise BenchmarkError(
            f'there is no {os.path.relpath(UPSTREAM, CHECKOUT)}: name the '
            'method "upstream" in --method of tools/benchmark, which makes it')
    return dict(parse_workload(name) for name in names), methods


@contextlib.contextmanager
def bench_for(options: argparse.Namespace, workloads: list[Workload],
              methods: list[str]) -> Any:
    """A cluster, and a directory for files."""
    glance = any(map(is_nova, methods)) or 'ticker' in options.measure
    if options.conf and glance:
        raise BenchmarkError('the methods of Nova need a Glance of their own: '
                             'leave --conf away')
    stored = max((workload.stored for workload in workloads), default=0)
    with contextlib.ExitStack() as stack:
        output = os.path.join(os.path.abspath(options.output),
                              f'benchmark-{os.getpid()}')
        os.mkdir(output)
        stack.callback(shutil.rmtree, output, ignore_errors=True)
        if options.conf:
            cluster = Cluster(options.conf, options.id, options.pool)
        else:
            cluster = stack.enter_context(own_cluster(
                options.cluster_dir, stored * (2 if glance else 1), glance,
                'upstream' in methods))
        yield Bench(cluster, output, options.engine_arguments.split())


def take(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what was asked for."""
    workloads, methods = chosen(options)
    result: dict[str, Any] = {
        'machine': machine(), 'runs': options.runs, 'command': options.told,
        'workloads': {}}
    if 'nodes' in options.measure:
        say('\nSimulating many nodes:')
        result['nodes'] = nodes.simulate_all()
    if options.measure == ['nodes']:
        return result
    series = [name for name in options.measure if name in scaling.SERIES]
    everything = list(workloads.values())
    for name in series:
        everything += scaling.SERIES[name].workloads.values()
    if 'ticker' in options.measure:
        everything.append(kindness.FOUR)
    with bench_for(options, everything, methods) as bench:
        for label, workload in workloads.items():
            result['workloads'][label] = dict(
                workload._asdict(),
                data=workload.data,
                samples=measure(
                    bench, label, workload, methods, options.runs,
                    not options.no_check and workload.size <= 16 * GIB))
        if series:
            result['scaling'] = scaling.measure_all(bench, series, methods,
                                                    options.runs)
        for name in ('rates', 'ticker'):
            if name in options.measure:
                measured = (kindness.rates if name == 'rates'
                            else kindness.tickers)
                result[name] = measured(bench, options.runs)
    return result


def show(result: dict[str, Any]) -> None:
    """Print the figures of the workloads."""
    if result['workloads']:
        say('\n' + tables.text(tables.HEAD,
                               tables.cells(summarise(result))))
    about = result['machine']
    say(f'\nMedians of {result["runs"]} alternated runs. wall/ours and '
        'CPU/ours: how many times that of the first of ours.\n'
        f'{about["cpu"]}, {about["cores"]} cores, kernel {about["kernel"]}; '
        f'{about["ceph"]}')


def run(options: argparse.Namespace) -> None:
    """Everything."""
    if options.results:
        results = []
        for path in options.results:
            with open(path) as f:
                results.append(json.load(f))
    else:
        results = [take(options)]
        if options.json:
            with open(options.json, 'w') as f:
                json.dump(dict(results[0], summary=summarise(results[0])), f,
                          indent=1)
    for result in results:
        show(result)
    if options.report:
        for name in pages.write(results, options.report):
            say(os.path.join(options.report, name))


def interrupt(number: int, frame: Any) -> None:
    """Take a signal."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    options = parse(argv)
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
