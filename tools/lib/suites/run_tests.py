#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Run our tests with stestr and count what came of them.

Suites, each a run of stestr of its own:

  unit-threading, unit-eventlet              the unit tests in both modes of
                                             Nova's concurrency, side by side
  tools                                      the tests of tools/
  functional-threading, functional-eventlet  with real Ceph, Keystone, Glance
  boot-core                                  servers booted by a whole
                                             OpenStack: the most important
  boot-threading, boot-eventlet              all of what is done with servers,
                                             in both modes of Nova's services
  upstream-threading, upstream-eventlet      upstream's own tests nearest to
                                             our change, on the built wheel

Without a name: the unit tests and those of tools/. "unit", "functional",
"boot" and "upstream" stand for both modes, "all" for everything but "boot".
Run it with the python of the environment that "pip install -e ." and
test-requirements.txt went into; functional and boot tests also want the Ceph
bindings there (environment/ceph_bindings.py) and the service environment (see
their fixtures).

Prints the traceback of each failed test, a table of the suites, and as its
last line "N passed, N failed, N skipped". Exit status 0 if nothing failed,
1 if something did, 130 when interrupted. Output is also kept in
build/test-results/SUITE/log.
"""

import argparse
import os
import signal
import sys
import threading
import time
import typing as ty

import prettytable

from patchset import CHECKOUT
from suites import stestr_run

RESULTS = CHECKOUT / 'build' / 'test-results'
LIB = CHECKOUT / 'tools' / 'lib'

THREADING = {'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true'}
# Upstream's unit tests are held to the same: a leaked greenlet is a failure.
EVENTLET = {'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'false',
            'NOVA_RAISE_ON_GREENLET_LEAK': 'true'}
SUITES = {
    'unit-threading': dict(THREADING, NOVA_RBD_SUITE='unit'),
    'unit-eventlet': dict(EVENTLET, NOVA_RBD_SUITE='unit'),
    'tools': {'NOVA_RBD_SUITE': 'tools'},
    'functional-threading': dict(THREADING, NOVA_RBD_SUITE='functional'),
    'functional-eventlet': dict(EVENTLET, NOVA_RBD_SUITE='functional'),
    # The mode is that of the services; the tests are outside.
    'boot-core': dict(THREADING, NOVA_RBD_SUITE='boot-core',
                      NOVA_BOOT_MODE='threading'),
    'boot-threading': dict(THREADING, NOVA_RBD_SUITE='boot',
                           NOVA_BOOT_MODE='threading'),
    'boot-eventlet': dict(THREADING, NOVA_RBD_SUITE='boot',
                          NOVA_BOOT_MODE='eventlet'),
    'upstream-threading': {},
    'upstream-eventlet': {},
}
GROUPS = {
    'all': [name for name in SUITES
            if name not in ('boot-threading', 'boot-eventlet')],
    'boot': ['boot-threading', 'boot-eventlet'],
    'unit': ['unit-threading', 'unit-eventlet'],
    'functional': ['functional-threading', 'functional-eventlet'],
    'upstream': ['upstream-threading', 'upstream-eventlet'],
}
# Suites of one row run at the same time. The functional ones wait more than
# they work, for timeouts to pass, and each has a test bed of its own.
ROWS = [['unit-threading', 'unit-eventlet', 'tools'],
        ['functional-threading', 'functional-eventlet'],
        ['boot-core'], ['upstream-threading', 'upstream-eventlet'],
        ['boot-threading'], ['boot-eventlet']]
# Suites on servers that they start: they take long, and a skipped test of
# theirs means that something is missing.
REAL = ('functional', 'boot')
OUTCOMES = {'success': 'passed', 'xfail': 'passed', 'skip': 'skipped'}


class Suite(threading.Thread):
    """One run of stestr and what came of its tests.

    :param name: a key of SUITES
    :param options: what the command line says
    :param pattern: regular expression for test ids, or None
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        super().__init__(name=name)
        self.options = options
        self.counts = {'passed': 0, 'failed': 0, 'skipped': 0}
        self.seconds = 0.0
        self.stestr: ty.Optional[stestr_run.StestrRun] = None
        self.real = name.startswith(REAL)
        self.strict = options.fail_skipped and self.real
        self.folder = RESULTS / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = self.folder / 'count'
        self.count.unlink(missing_ok=True)
        # A class that is skipped as a whole reports once for all its tests.
        self.class_skipped = False
        self.log = open(self.folder / 'log', 'w', encoding='utf-8')

    def run(self) -> None:
        began = time.monotonic()
        command = self._command()
        limit = '600' if self.real else '60'
        environment = dict(os.environ, OS_STDOUT_CAPTURE='1',
                           OS_STDERR_CAPTURE='1',
                           NOVA_RBD_COUNT=str(self.count),
                           **SUITES[self.name])
        environment.setdefault('OS_TEST_TIMEOUT', limit)
        with open(self.folder / 'stderr', 'w+') as errors:
            self.stestr = stestr_run.StestrRun(command, CHECKOUT, environment,
                                               self._finished)
            status = self.stestr.run(errors)
            said = errors.read().strip()
        self.seconds = time.monotonic() - began
        if said:
            self.log.write(said + '\n')
        problem = self._problem(status)
        if problem:
            self.counts['failed'] += 1
            self._say('%s: FAILED: %s' % (self.name, problem), said[-4000:])
        self.log.close()

    def _command(self) -> ty.List[str]:
        suite, _, mode = self.name.partition('-')
        if suite == 'upstream':
            command = [sys.executable, str(LIB), 'suites.upstream_tests', 'ci',
                       '--mode', mode, '--reference', 'failed',
                       '--workers', '1', '--subunit']
            return command + (['--filter', self.options.filter]
                              if self.options.filter else [])
        command = [sys.executable, '-m', 'stestr', '--repo-url',
                   str(self.folder), 'run', '--serial', '--subunit']
        return command + ([self.options.filter] if self.options.filter
                          else [])

    def _problem(self, status: int) -> str:
        """What went wrong that no test tells of, or nothing."""
        if self.counts['failed']:
            return ''
        if status:
            return '%s ended with status %d' % (
                'upstream_tests' if self.name.startswith('upstream')
                else 'stestr', status)
        ran = sum(self.counts.values())
        if self.options.filter or self.class_skipped and ran:
            return ''
        try:
            wanted = int(self.count.read_text())
        except (OSError, ValueError):
            return 'no test was found'
        if not ran or ran != wanted:
            return '%d of %d tests ran' % (ran, wanted)
        return ''

    def stop(self, number: int) -> None:
        """Pass a signal on to stestr and its workers."""
        if self.stestr:
            self.stestr.stop(number)

    def _finished(self, test: ty.Any) -> None:
        texts = {name: content.as_text().strip()
                 for name, content in test['details'].items()
                 if content.content_type.type == 'text'}
        reason = texts.pop('reason', '')
        details = '\n'.join(filter(None, [reason, *texts.values()]))
        if test['status'] in ('exists', 'unknown'):
            if details:
                self.log.write(details + '\n')
            return
        if test['status'] == 'skip' and test['id'].startswith('setUpClass'):
            self.class_skipped = True
        outcome = OUTCOMES.get(test['status'], 'failed')
        if outcome == 'skipped' and self.strict:
            outcome = 'failed'
        self.counts[outcome] += 1
        first, last = test['timestamps']
        took = (last - first).total_seconds() if first and last else 0.0
        line = '%s: %s %s (%.1f s)' % (
            self.name, outcome.upper() if outcome == 'failed' else outcome,
            test['id'], took)
        if test['status'] == 'inprogress':
            details += '\nThe worker ended before the test did.'
        if outcome == 'failed':
            self._say(line, details)
        elif outcome == 'skipped' or self.options.verbose or self.real:
            self._say(line + (': ' + reason if reason else ''))
        else:
            self.log.write(line + '\n')

    def _say(self, *texts: str) -> None:
        text = '\n'.join(texts) + '\n'
        self.log.write(text)
        # One write, since two suites run at a time.
        sys.stdout.write(text)
        sys.stdout.flush()


def run_suites(suites: ty.List[Suite]) -> None:
    """Run the suites, those of one row of ROWS at the same time.

    :raises KeyboardInterrupt: after all of it was stopped
    """
    for row in ROWS:
        running = [suite for suite in suites if suite.name in row]
        try:
            for suite in running:
                suite.start()
            for suite in running:
                suite.join()
        except KeyboardInterrupt:
            # As from a terminal first: fixtures then stop what they started.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                for suite in running:
                    suite.stop(number)
                for suite in running:
                    if suite.is_alive():
                        suite.join(20)
            raise


def parse_arguments(argv: ty.Optional[ty.List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='run_tests.py', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('suites', nargs='*', metavar='SUITE',
                        choices=[[], *SUITES, *GROUPS],
                        help='which to run (default: unit tools)')
    parser.add_argument('--filter', metavar='REGEX',
                        help='only tests whose id matches')
    parser.add_argument('--fail-skipped', action='store_true',
                        help='count a skipped functional or boot test as '
                        'failed')
    parser.add_argument('-v', '--verbose', action='store_true',
                        help='name each test as it ends (functional and boot '
                        'tests are always named)')
    args = parser.parse_args(argv)
    args.suites = [name for given in args.suites or ['unit', 'tools']
                   for name in GROUPS.get(given, [given])]
    return args


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run the tests; see the module's text for what is returned."""
    args = parse_arguments(argv)
    # A plain kill must stop the suites just as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell's background job ignores Ctrl-C, and what nohup starts ignores
    # the hang-up. Tests of interruption must not inherit either; a signal
    # that has a handler here has its default action in the suites.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    suites = [Suite(name, args) for name in SUITES if name in args.suites]
    try:
        run_suites(suites)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    table = prettytable.PrettyTable(
        ['suite', 'passed', 'failed', 'skipped', 'seconds'], align='r',
        float_format='.1')
    table.align['suite'] = 'l'
    for suite in suites:
        table.add_row([suite.name, *suite.counts.values(), suite.seconds])
    print('\n%s' % table)
    total = [sum(suite.counts[key] for suite in suites)
             for key in ('passed', 'failed', 'skipped')]
    print('%d passed, %d failed, %d skipped' % tuple(total))
    return 1 if total[1] else 0


if __name__ == '__main__':
    sys.exit(main())
