# SPDX-License-Identifier: Apache-2.0

"""One run of stestr with upstream's tests, in the environment of a wheel."""

import pathlib
import re
import signal
import threading
import time
import typing as ty

from environment import wheel_environment
from patchset import CHECKOUT
from suites import stestr_run

BUILD = CHECKOUT / 'build' / 'upstream-tests'
LIB = CHECKOUT / 'tools' / 'lib'
LOADER = LIB / 'suites' / 'upstreams'
# What upstream's tox.ini sets.
COMMON = {'OS_STDOUT_CAPTURE': '1', 'OS_STDERR_CAPTURE': '1',
          'OS_TEST_TIMEOUT': '160', 'NOVA_RAISE_ON_GREENLET_LEAK': 'true',
          # Names of some tests come from the order of a set.
          'PYTHONHASHSEED': '0'}
MODES = {'threading': 'true', 'eventlet': 'false'}

Outcomes = ty.Dict[str, ty.Tuple[str, str]]     # test -> outcome, last line
SECONDS_OF_SILENCE = 900


class RunFailed(Exception):
    """stestr could not run; the text is what it said."""


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
        self.stestr: ty.Optional[stestr_run.StestrRun] = None

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
            self.stestr = stestr_run.StestrRun(command, folder, environment,
                                               self._finished)
            done = threading.Event()
            watch = threading.Thread(target=self._watch, args=(done,))
            watch.start()
            try:
                self.stestr.run(errors)
            finally:
                done.set()
                self.stestr.stop(signal.SIGTERM)
                watch.join()
            self.texts.append(errors.read())
        self._missing(listed)

    def _watch(self, done: threading.Event) -> None:
        # A worker can hang when its tests are over.
        self.last = time.monotonic()
        while not done.wait(min(5, SECONDS_OF_SILENCE)):
            if time.monotonic() - self.last > SECONDS_OF_SILENCE:
                self.texts.append('ended: nothing for %d seconds'
                                  % SECONDS_OF_SILENCE)
                if self.stestr:
                    self.stestr.stop(signal.SIGKILL)

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
