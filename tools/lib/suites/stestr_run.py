# SPDX-License-Identifier: Apache-2.0

"""One run of stestr in a process group of its own."""

import os
import pathlib
import subprocess
import typing as ty

import subunit
import testtools


class StestrRun:
    """Runs stestr, or what prints a subunit stream like it.

    :param command: what to run
    :param cwd: where
    :param env: its environment
    :param finished: called with what is known of each test
    """

    def __init__(self, command: ty.List[str], cwd: pathlib.Path,
                 env: ty.Dict[str, str],
                 finished: ty.Callable[[ty.Any], None]) -> None:
        self.command = command
        self.cwd = cwd
        self.env = env
        self.finished = finished
        self.process: ty.Optional[subprocess.Popen] = None

    def run(self, errors: ty.TextIO) -> int:
        """Run it to its end and return its exit status.

        :param errors: an open file for standard error
        """
        # A group of its own, so that stopping it reaches the workers.
        self.process = subprocess.Popen(
            self.command, cwd=self.cwd, env=self.env, stderr=errors,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            start_new_session=True)
        results = testtools.StreamToDict(self.finished)
        results.startTestRun()
        subunit.ByteStreamToStreamResult(
            self.process.stdout, non_subunit_name='stestr').run(results)
        results.stopTestRun()
        status = self.process.wait()
        errors.seek(0)
        return status

    def stop(self, number: int) -> None:
        """Send a signal to it and its workers, as far as they are there."""
        if self.process:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass
