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
import subprocess
import sys
import threading
import time
import typing as ty

import subunit
import testtools

from environment import wheel_environment
from patchset import CHECKOUT
from patchset.errors import PatchsetError
from patchset import upstream_wheel

BUILD = CHECKOUT / 'build' / 'upstream-tests'
SUPERSEDED = CHECKOUT / 'tools' / 'superseded_upstream_tests.txt'
LIB = CHECKOUT / 'tools' / 'lib'
LOADER = LIB / 'suites' / 'upstreams'
# What upstream's tox.ini sets.
COMMON = {'OS_STDOUT_CAPTURE': '1', 'OS_STDERR_CAPTURE': '1',
          'OS_TEST_TIMEOUT': '160', 'NOVA_RAISE_ON_GREENLET_LEAK': 'true',
          # Names of some tests come from the order of a set.
          'PYTHONHASHSEED': '0'}
# The newest one deprecates what Nova uses, and upstream's tests make errors of
# such warnings: none that needs a database would pass.
REQUIREMENTS = ['SQLAlchemy<2.1']
MODES = {'threading': 'true', 'eventlet': 'false'}

# Packages and modules below nova.tests. A piece is run as a whole, and is what
# is kept between runs.
SUITES = {
    'image': ['unit.image', 'unit.objects.test_image_meta'],
    'storage': ['unit.storage'],
    'conf': ['unit.conf'],
    'privsep': ['unit.privsep'],
    'cmd': ['unit.cmd'],
    'conductor': ['unit.conductor'],
    'virt': ['unit.virt'],
    'compute': ['unit.compute'],
    'policies': ['unit.policies'],
    'api': ['unit.api.openstack.compute'],
    'functional-images': [
        'functional.compute.test_cache_image',
        'functional.test_images', 'functional.test_aggregates',
        'functional.api_sample_tests.test_images',
        'functional.api_sample_tests.test_aggregates',
        'functional.api_sample_tests.test_create_backup',
        'functional.api_sample_tests.test_rescue',
        'functional.api_sample_tests.test_shelve',
        'functional.test_server_rescue',
        'functional.test_ephemeral_encryption',
        'functional.test_boot_from_volume',
        'functional.test_instance_actions'],
    'functional-disks': [
        'functional.compute.test_init_host',
        'functional.compute.test_live_migration',
        'functional.test_cold_migrate',
        'functional.test_cross_cell_migrate',
        'functional.libvirt.test_rescue_deleted_base',
        'functional.libvirt.test_evacuate',
        'functional.libvirt.test_live_migration',
        'functional.libvirt.test_shared_resource_provider',
        'functional.libvirt.test_reshape',
        'functional.libvirt.test_machine_type',
        'functional.libvirt.test_uefi'],
    'functional-servers': ['functional.test_servers'],
}
# What is nearest to what this project changes.
CI = ['unit.image', 'unit.storage', 'unit.conf', 'unit.virt.test_images',
      'unit.virt.test_imagecache', 'unit.virt.libvirt.test_imagecache',
      'unit.virt.libvirt.test_imagebackend', 'unit.virt.libvirt.storage']

Outcomes = ty.Dict[str, ty.Tuple[str, str]]     # test -> outcome, last line
SECONDS_OF_SILENCE = 900


class RunFailed(Exception):
    """stestr could not run; the text is what it said."""


PROBLEMS = (PatchsetError, wheel_environment.EnvironmentFailed,
            RunFailed, ValueError, OSError)


class Superseded(ty.NamedTuple):
    """One line of superseded_upstream_tests.txt."""

    test: str
    reason: str
    replacement: str


def read_superseded(path: pathlib.Path) -> ty.Dict[str, Superseded]:
    """Read the list of tests that this project makes fail on purpose.

    :returns: name of upstream's test -> entry
    :raises ValueError: if a line is no entry
    """
    entries = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        fields = [field.strip() for field in line.split(' | ')]
        if len(fields) != 3 or not all(fields) or fields[0] in entries:
            raise ValueError('%s: not "test | reason | replacement": %s' % (
                path.name, line))
        entries[fields[0]] = Superseded(*fields)
    return entries


def modules_of(names: ty.Iterable[str],
               patterns: ty.Iterable[str]) -> ty.List[str]:
    """Upstream's test modules that patterns stand for, sorted.

    :param names: paths of all files of upstream's wheel
    :param patterns: packages and modules below nova.tests
    :raises ValueError: if one stands for nothing
    """
    tests = [name[:-len('.py')].replace('/', '.') for name in names
             if re.search(r'^nova/tests/.*/test_[^/]*\.py$', name)]
    found: ty.Set[str] = set()
    for pattern in patterns:
        full = 'nova.tests.' + pattern
        matched = {name for name in tests
                   if name == full or name.startswith(full + '.')}
        if not matched:
            raise ValueError('upstream has no test module %s' % full)
        found |= matched
    return sorted(found)


class Run:
    """One run of stestr.

    :param environment: where the wheel is
    :param mode: a key of MODES
    :param modules: what to load
    :param chosen: names of tests; all if None
    :param pattern: regular expression for names of tests, or None
    :param workers: how many processes
    """

    def __init__(self, environment: wheel_environment.WheelEnvironment,
                 mode: str, modules: ty.List[str],
                 chosen: ty.Optional[ty.Iterable[str]] = None,
                 pattern: ty.Optional[str] = None, workers: int = 1) -> None:
        self.environment = environment
        self.mode = mode
        self.modules = modules
        self.chosen = chosen
        self.pattern = pattern
        self.workers = workers
        self.outcomes: Outcomes = {}
        self.seconds = 0.0
        self.texts: ty.List[str] = []
        self.last = time.monotonic()
        self.process: ty.Optional[subprocess.Popen] = None

    def run(self) -> 'Run':
        """Run it to the end.

        :raises KeyboardInterrupt: after stestr and its workers have ended
        :raises RunFailed: if there was nothing to run
        """
        began = time.monotonic()
        with wheel_environment.temporary(BUILD / 'work') as folder:
            self._stestr(pathlib.Path(folder))
        self.seconds = time.monotonic() - began
        return self

    def _stestr(self, folder: pathlib.Path) -> None:
        listed = folder / 'listed'
        (folder / 'repository').mkdir()
        (folder / 'modules').write_text('\n'.join(self.modules))
        command = [str(self.environment.python), '-m', 'stestr',
                   '--test-path', str(LOADER), '--top-dir', str(LIB),
                   '--repo-url', str(folder / 'repository'),
                   'run', '--subunit', '--concurrency', str(self.workers)]
        if self.chosen is not None:
            (folder / 'chosen').write_text('\n'.join({
                name for test in self.chosen
                for name in (test, as_listed(test))}))
            command += ['--load-list', str(folder / 'chosen')]
        if self.pattern:
            command.append(self.pattern)
        environment = dict(
            self.environment.environ(), **COMMON,
            OS_NOVA_DISABLE_EVENTLET_PATCHING=MODES[self.mode],
            NOVA_UPSTREAM_MODULES=str(folder / 'modules'),
            NOVA_UPSTREAM_LISTED=str(listed))
        with open(folder / 'stderr', 'w+') as errors:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stderr=errors,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                start_new_session=True)
            done = threading.Event()
            watch = threading.Thread(target=self._watch, args=(done,))
            watch.start()
            try:
                results = testtools.StreamToDict(self._finished)
                results.startTestRun()
                subunit.ByteStreamToStreamResult(
                    self.process.stdout, non_subunit_name='stestr'
                ).run(results)
                results.stopTestRun()
                self.process.wait()
            finally:
                done.set()
                self._kill(signal.SIGTERM)
                watch.join()
            errors.seek(0)
            self.texts.append(errors.read())
        self._missing(listed)

    def _watch(self, done: threading.Event) -> None:
        # A worker can hang when its tests are over.
        self.last = time.monotonic()
        while not done.wait(min(5, SECONDS_OF_SILENCE)):
            if time.monotonic() - self.last > SECONDS_OF_SILENCE:
                self.texts.append('ended: nothing for %d seconds'
                                  % SECONDS_OF_SILENCE)
                self._kill(signal.SIGKILL)

    def _kill(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)     # type: ignore
        except ProcessLookupError:
            pass

    def _missing(self, listed: pathlib.Path) -> None:
        wanted = set(listed.read_text().split()) if listed.exists() else set()
        if not wanted:
            raise RunFailed('no test was found: %s' % '\n'.join(
                self.texts)[-2000:].strip())
        if self.chosen is not None:
            wanted = set(self.chosen)
        elif self.pattern:
            wanted = {test for test in wanted
                      if re.search(self.pattern, test)}
        # A class or module that is skipped or fails as a whole has one
        # report for all of its tests.
        whole = {match[2]: outcome for test, outcome in self.outcomes.items()
                 for match in [re.fullmatch(
                     r'setUp(Class|Module) \((.*)\)', test)] if match}
        reported = {as_listed(test) for test in self.outcomes}
        for test in wanted:
            if as_listed(test) in reported:
                continue
            for name, outcome in whole.items():
                if test.startswith(name + '.'):
                    self.outcomes[test] = outcome
                    break
            else:
                self.outcomes[test] = ('failed', 'did not run to its end')

    def _finished(self, test: ty.Any) -> None:
        self.last = time.monotonic()
        texts = [content.as_text().strip()
                 for name, content in test['details'].items()
                 if content.content_type.type == 'text']
        if test['status'] in ('exists', 'unknown'):
            self.texts += texts
            return
        outcome = {'success': 'passed', 'xfail': 'passed',
                   'skip': 'skipped'}.get(test['status'], 'failed')
        reason = ''
        if outcome == 'failed':
            text = '\n'.join(texts)
            self.texts.append('FAILED %s\n%s' % (test['id'], text))
            reason = last_line(test['details']) or test['status']
        self.outcomes[test['id']] = (outcome, reason)


def as_listed(test: str) -> str:
    """The name of a test without that of its scenario.

    testscenarios makes several tests of one when it is run, with names that
    no list of tests has.
    """
    return re.sub(r'\(.*\)$', '', test)


def last_line(details: ty.Dict[str, ty.Any]) -> str:
    """The exception of a failed test, shortened."""
    for name, content in details.items():
        if name.startswith('traceback'):
            lines = [line for line in content.as_text().splitlines()
                     if re.match(r'[\w.]+(:|$)', line)]
            if lines:
                return lines[-1][:200]
    return ''


class Comparison:
    """What the tests of a suite say of our wheel.

    :param ours: outcomes on our wheel
    :param theirs: outcomes on upstream's, at least those of the tests that
        did not pass on ours
    :param superseded: names of listed tests
    """

    def __init__(self, ours: Outcomes, theirs: Outcomes,
                 superseded: ty.Collection[str]) -> None:
        self.tests = sorted(set(ours) | set(theirs))
        self.skipped: ty.List[str] = []
        self.passed: ty.List[str] = []
        self.both: ty.Dict[str, str] = {}
        self.superseded: ty.List[str] = []
        self.ours_only: ty.Dict[str, str] = {}
        self.theirs_only: ty.Dict[str, str] = {}
        for test in self.tests:
            here, why = ours.get(test, ('failed', 'is missing'))
            there = theirs.get(test, (here, ''))[0]
            if test in superseded:
                if (here, there) == ('failed', 'passed'):
                    self.superseded.append(test)
                else:
                    self.ours_only[test] = (
                        'is listed as superseded, but %s on ours and %s on '
                        'upstream\'s' % (here, there))
            elif here == 'failed' and there == 'failed':
                self.both[test] = why
            elif here == 'failed':
                self.ours_only[test] = why
            elif here == 'skipped' and there == 'passed':
                self.ours_only[test] = 'is skipped on ours only'
            else:
                (self.skipped if here == 'skipped' else
                 self.passed).append(test)
                if there == 'failed':
                    self.theirs_only[test] = theirs[test][1]

    def counts(self) -> ty.Dict[str, int]:
        """Numbers by the names of the report's columns."""
        return {'run': len(self.tests), 'passed': len(self.passed),
                'skipped': len(self.skipped), 'failed on both': len(self.both),
                'superseded': len(self.superseded),
                'failed on ours only': len(self.ours_only)}


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
        self.superseded = read_superseded(SUPERSEDED)
        self.upstream = upstream_wheel.Wheel(CHECKOUT)
        self.names = self.upstream.archive.namelist()
        functional = any('functional' in name for name in options.suites)
        with wheel_environment.locked(BUILD):
            wheel = wheel_environment.build_wheel(CHECKOUT, BUILD / 'dist')
            self.environments = {
                'ours': self._environment('ours', wheel, functional),
                'upstream': self._environment('upstream', self.upstream.path,
                                              functional)}

    def _environment(self, name: str, wheel: pathlib.Path,
                     functional: bool) -> wheel_environment.WheelEnvironment:
        made = wheel_environment.WheelEnvironment(
            BUILD / (name + ('-functional' if functional else '')), wheel,
            REQUIREMENTS + (['openstack-placement==16.0.0']
                            if functional else []))
        made.link('etc', made.folder / 'etc')
        if functional:
            source = BUILD / 'sdist'
            if not source.exists():
                fresh = BUILD / 'sdist.new'
                upstream_wheel.Sdist(CHECKOUT).extract(fresh)
                fresh.rename(source)
            made.link('doc', next(source.iterdir()) / 'doc')
        return made

    def excluded(self, mode: str) -> ty.List[str]:
        """Tests that upstream's tox.ini leaves out in a mode."""
        path = next((BUILD / 'sdist').iterdir(), None) if (
            BUILD / 'sdist').exists() else None
        if mode != 'threading' or not path:
            return []
        text = (path / 'threading_functional_test_excludes.txt').read_text()
        return [line.strip() for line in text.splitlines()
                if line.strip() and not line.startswith('#')]

    def suite(self, name: str, mode: str) -> ty.Tuple[Comparison, float,
                                                      float]:
        """Run a suite in a mode with both wheels.

        :returns: what came of it, minutes on ours, minutes on upstream's
        """
        modules = modules_of(self.names, CI if name == 'ci' else SUITES[name])
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
        compared = Comparison(ours, theirs, listed)
        doubtful = [*compared.ours_only, *compared.theirs_only]
        if doubtful:
            self.say('%s %s: once more: %s' % (name, mode,
                                               ', '.join(doubtful)))
            for mine, environment in ((ours, 'ours'), (theirs, 'upstream')):
                mine.update(self._again(environment, mode, modules,
                                        doubtful)[0])
            compared = Comparison(ours, theirs, listed)
        return compared, minutes, reference

    def _again(self, environment: str, mode: str, modules: ty.List[str],
               tests: ty.List[str]) -> ty.Tuple[Outcomes, float]:
        if not tests:
            return {}, 0.0
        needed = [module for module in modules if any(
            (test + '.').startswith(module + '.') for test in tests)]
        run = Run(self.environments[environment], mode, needed or modules,
                  sorted(tests)).run()
        return run.outcomes, run.seconds / 60

    def _piece(self, environment: str, name: str, mode: str,
               modules: ty.List[str], pattern: ty.Optional[str]
               ) -> ty.Tuple[Outcomes, float]:
        made = self.environments[environment]
        key = hashlib.sha256(json.dumps([
            made.sha256, sys.version, modules, pattern,
            *(path.read_text() for path in (
                CHECKOUT / 'constraints.txt', pathlib.Path(__file__)))]
        ).encode()).hexdigest()
        kept = BUILD / 'results' / ('%s-%s-%s.json' % (name, mode,
                                                       environment))
        if kept.exists() and not self.options.fresh:
            result = json.loads(kept.read_text())
            if result['key'] == key:
                self.say('%s %s on %s: kept' % (name, mode, environment))
                return ({test: tuple(outcome) for test, outcome in
                         result['tests'].items()}, result['minutes'])
        run = Run(made, mode, modules, None, pattern,
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


def write_subunit(results: ty.List[Comparison]) -> None:
    """Tell run_tests.py: what is upstream's or meant is no failure."""
    stream = subunit.StreamResultToBytes(sys.stdout.buffer)
    stream.startTestRun()
    count = 0
    for compared in results:
        for test in compared.tests:
            if test in compared.skipped:
                # By upstream, with either wheel: nothing that we left out.
                continue
            count += 1
            why = compared.ours_only.get(test)
            status = ('fail' if why else
                      'success' if test in compared.passed else 'xfail')
            stream.status(test_id=test, test_status='inprogress')
            if why:
                stream.status(test_id=test, file_name='traceback', eof=True,
                              file_bytes=why.encode(),
                              mime_type='text/plain; charset=utf8')
            stream.status(test_id=test, test_status=status)
    stream.stopTestRun()
    sys.stdout.buffer.flush()
    if os.environ.get('NOVA_RBD_COUNT'):
        pathlib.Path(os.environ['NOVA_RBD_COUNT']).write_text(str(count))


def print_table(rows: ty.List[ty.Dict[str, ty.Any]]) -> None:
    """Print the figures of each suite and mode, and their sums."""
    columns = list(rows[0])
    total = {column: sum(row[column] for row in rows)
             if not isinstance(rows[0][column], str) else ''
             for column in columns}
    total['suite'] = 'all'
    lines = [[('%.1f' % row[column] if isinstance(row[column], float) else
               str(row[column])) for column in columns]
             for row in rows + [total]]
    widths = [max(len(line[at]) for line in [columns] + lines)
              for at in range(len(columns))]
    for line in [columns] + lines:
        print('  '.join(text.ljust(width) if at < 2 else text.rjust(width)
                        for at, (text, width) in enumerate(
                            zip(line, widths))).rstrip())


def parse_arguments(argv: ty.Optional[ty.List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='upstream_tests', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('suites', nargs='*', metavar='SUITE',
                        choices=[[], 'ci', *SUITES],
                        help='one or more of %s, or ci, the nearest ones '
                        '(default: all but ci)' % ', '.join(SUITES))
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
    args.suites = args.suites or list(SUITES)
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
        write_subunit(results)
        return 0
    report(rows, results)
    return 1 if any(compared.ours_only for compared in results) else 0


def report(rows: ty.List[ty.Dict[str, ty.Any]],
           results: ty.List[Comparison]) -> None:
    """Print what there is to say, and write it to report.json."""
    details = []
    for row, compared in zip(rows, results):
        for kind, tests in (('failed on both', compared.both),
                            ('failed on upstream\'s only',
                             compared.theirs_only),
                            ('failed on ours only', compared.ours_only)):
            for test, why in tests.items():
                print('%s %s: %s: %s: %s' % (row['suite'], row['mode'], kind,
                                             test, why))
        details.append(dict(row, tests={
            'failed on both': compared.both,
            'failed on ours only': compared.ours_only,
            'superseded': compared.superseded}))
    print()
    print_table(rows)
    (BUILD / 'report.json').write_text(json.dumps(details, indent=1) + '\n')


if __name__ == '__main__':
    sys.exit(main())
