#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Run upstream Nova's own tests on our wheel and on upstream's, and compare.

Both wheels hold upstream's tests, the same files. A test that fails with both
is upstream's matter. One that fails only with ours is a bug of ours, unless
tools/superseded_upstream_tests.txt lists it, with the reason and the test of
ours that replaces it; a listed test has to fail with ours and to pass with
upstream's. A test that fails with one of them only is run once more, since a
few of upstream's fail now and then.

With "--reference failed" only those tests run on upstream's wheel that did not
pass on ours; that tells as much of ours and takes half the time. What was run
with the same wheel is taken from build/upstream-tests/results, unless --fresh
is given.

Ends with a table; the figures are also in build/upstream-tests/report.json.
Exit status: 0 if nothing fails on ours only, 1 if something does, 2 if the
tests could not be run, 130 when interrupted.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import signal
import sys
import typing as ty

from environment import wheel_environment
from patchset import CHECKOUT
from patchset.errors import PatchsetError
from patchset import upstream_wheel
from suites import upstream_comparison
from suites import upstream_modules
from suites import upstream_run
from suites.upstream_run import MODES
from suites.upstream_run import Outcomes

# The newest one deprecates what Nova uses, and upstream's tests make errors of
# such warnings: none that needs a database would pass.
REQUIREMENTS = ['SQLAlchemy<2.1']

PROBLEMS = (PatchsetError, wheel_environment.EnvironmentFailed,
            upstream_run.RunFailed, ValueError, OSError)


class Program:
    """Makes the environments and runs suites in them.

    :param options: what the command line says
    :param say: takes one line of progress
    :raises Exception: one of PROBLEMS, if an environment cannot be made
    """

    def __init__(self, options: argparse.Namespace,
                 say: ty.Callable[[str], None]) -> None:
        self.options = options
        self.say = say
        self.superseded = upstream_modules.read_superseded(
            upstream_modules.SUPERSEDED)
        self.upstream = upstream_wheel.Wheel(CHECKOUT)
        self.names = self.upstream.archive.namelist()
        functional = any('functional' in name for name in options.suites)
        with wheel_environment.locked(upstream_run.BUILD):
            wheel = wheel_environment.build_wheel(
                CHECKOUT, upstream_run.BUILD / 'dist')
            self.environments = {
                'ours': self._environment('ours', wheel, functional),
                'upstream': self._environment('upstream', self.upstream.path,
                                              functional)}

    def _environment(self, name: str, wheel: pathlib.Path,
                     functional: bool) -> wheel_environment.WheelEnvironment:
        made = wheel_environment.WheelEnvironment(
            upstream_run.BUILD / (
                name + ('-functional' if functional else '')), wheel,
            REQUIREMENTS + (['openstack-placement==16.0.0']
                            if functional else []))
        made.link('etc', made.folder / 'etc')
        if functional:
            source = upstream_run.BUILD / 'sdist'
            if not source.exists():
                fresh = upstream_run.BUILD / 'sdist.new'
                upstream_wheel.Sdist(CHECKOUT).extract(fresh)
                fresh.rename(source)
            made.link('doc', next(source.iterdir()) / 'doc')
        return made

    def excluded(self, mode: str) -> ty.List[str]:
        """Tests that upstream's tox.ini leaves out in a mode."""
        path = next((upstream_run.BUILD / 'sdist').iterdir(), None) if (
            upstream_run.BUILD / 'sdist').exists() else None
        if mode != 'threading' or not path:
            return []
        text = (path / 'threading_functional_test_excludes.txt').read_text()
        return [line.strip() for line in text.splitlines()
                if line.strip() and not line.startswith('#')]

    def suite(self, name: str, mode: str
              ) -> ty.Tuple[upstream_comparison.Comparison, float, float]:
        """Run a suite in a mode with both wheels.

        :returns: what came of it, minutes on ours, minutes on upstream's
        """
        modules = upstream_modules.modules_of(
            self.names, upstream_modules.CI if name == 'ci' else
            upstream_modules.SUITES[name])
        left_out = self.excluded(mode)
        pattern = self.options.filter
        if left_out and name.startswith('functional'):
            pattern = '^(?!(%s)$).*(%s)' % ('|'.join(
                re.escape(test) for test in left_out), pattern or '')
        every = self.options.reference == 'all'
        ours, minutes = self._piece('ours', name, mode, modules, pattern)
        if every:
            theirs, reference = self._piece('upstream', name, mode, modules,
                                            pattern)
        else:
            theirs, reference = self._again(
                'upstream', mode, modules,
                [test for test, (outcome, _) in ours.items()
                 if outcome != 'passed'])
        listed = {test for test in self.superseded
                  if test.rsplit('.', 2)[0] in modules and
                  (not pattern or re.search(pattern, test))}
        for test in listed - set(ours):
            ours[test] = ('failed', 'is missing')
            theirs[test] = ('failed', 'is missing')
        compared = upstream_comparison.Comparison(ours, theirs, listed)
        doubtful = [*compared.ours_only, *compared.theirs_only]
        if doubtful:
            self.say('%s %s: once more: %s' % (name, mode,
                                               ', '.join(doubtful)))
            for mine, environment in ((ours, 'ours'), (theirs, 'upstream')):
                mine.update(self._again(environment, mode, modules,
                                        doubtful)[0])
            compared = upstream_comparison.Comparison(ours, theirs, listed)
        return compared, minutes, reference

    def _again(self, environment: str, mode: str, modules: ty.List[str],
               tests: ty.List[str]) -> ty.Tuple[Outcomes, float]:
        if not tests:
            return {}, 0.0
        needed = [module for module in modules if any(
            (test + '.').startswith(module + '.') for test in tests)]
        run = upstream_run.Run(self.environments[environment], mode,
                               needed or modules, sorted(tests)).run()
        return run.outcomes, run.seconds / 60

    def _piece(self, environment: str, name: str, mode: str,
               modules: ty.List[str], pattern: ty.Optional[str]
               ) -> ty.Tuple[Outcomes, float]:
        made = self.environments[environment]
        key = hashlib.sha256(json.dumps([
            made.sha256, sys.version, modules, pattern,
            *(path.read_text() for path in (
                CHECKOUT / 'constraints.txt',
                *sorted(pathlib.Path(__file__).parent.glob('*.py'))))]
        ).encode()).hexdigest()
        kept = upstream_run.BUILD / 'results' / ('%s-%s-%s.json' % (name, mode,
                                                       environment))
        if kept.exists() and not self.options.fresh:
            result = json.loads(kept.read_text())
            if result['key'] == key:
                self.say('%s %s on %s: kept' % (name, mode, environment))
                return ({test: tuple(outcome) for test, outcome in
                         result['tests'].items()}, result['minutes'])
        run = upstream_run.Run(made, mode, modules, None, pattern,
                  self.options.workers).run()
        minutes = run.seconds / 60
        failed = sum(outcome == 'failed'
                     for outcome, _ in run.outcomes.values())
        self.say('%s %s on %s: %d tests, %d failed, %.1f minutes' % (
            name, mode, environment, len(run.outcomes), failed, minutes))
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.with_suffix('.log').write_text('\n'.join(run.texts))
        kept.write_text(json.dumps({'key': key, 'minutes': minutes,
                                    'tests': run.outcomes}, indent=1))
        return run.outcomes, minutes


def parse_arguments(argv: ty.Optional[ty.List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='upstream_tests', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('suites', nargs='*', metavar='SUITE',
                        choices=[[], 'ci', *upstream_modules.SUITES],
                        help='one or more of %s, or ci, the nearest ones '
                        '(default: all but ci)' % ', '.join(
                            upstream_modules.SUITES))
    parser.add_argument('--mode', choices=[*MODES, 'both'], default='both',
                        help='of concurrency (default: both)')
    parser.add_argument('--reference', choices=['all', 'failed'],
                        default='all', help='tests to run on upstream\'s '
                        'wheel (default: all)')
    parser.add_argument('--filter', metavar='REGEX',
                        help='only tests whose name matches')
    parser.add_argument('--workers', type=int, metavar='N',
                        default=len(os.sched_getaffinity(0)),
                        help='processes that run tests (default: one for '
                        'each core)')
    parser.add_argument('--fresh', action='store_true',
                        help='use no result of an earlier run')
    parser.add_argument('--subunit', action='store_true',
                        help='print the results as a subunit stream')
    args = parser.parse_args(argv)
    args.suites = args.suites or list(upstream_modules.SUITES)
    args.modes = list(MODES) if args.mode == 'both' else [args.mode]
    return args


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run and compare; see the module's text for what is returned."""
    args = parse_arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    out = sys.stderr if args.subunit else sys.stdout
    rows, results = [], []
    try:
        program = Program(args, lambda line: print(line, file=out,
                                                   flush=True))
        for name in args.suites:
            for mode in args.modes:
                compared, minutes, reference = program.suite(name, mode)
                results.append(compared)
                rows.append(dict(
                    suite=name, mode=mode, **compared.counts(),
                    **{'minutes on ours': minutes,
                       'on upstream\'s': reference}))
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except PROBLEMS as exc:
        print('upstream_tests: %s' % exc, file=sys.stderr)
        return 2
    if args.subunit:
        upstream_comparison.write_subunit(results)
        return 0
    upstream_comparison.report(rows, results)
    return 1 if any(compared.ours_only for compared in results) else 0


if __name__ == '__main__':
    sys.exit(main())
