# SPDX-License-Identifier: Apache-2.0

"""What the caller is given to read: progress, and one result or one error.

With --json each is an object in a line of its own, whose "event" is one of

phase       what is done from now on ("phase"), in words. After the phase
            "reading the configuration" or "connecting" a crash means that
            librados cannot bear the configuration file.
connected   the cluster has answered: its "fsid"
progress    twice a second, a sign of life: "bytes" of "total", "seconds",
            "phase"
result      the last one, if all went well
error       the last one, if not: "code", "exit", "message", "remedy", and
            what else is known

More kinds and more keys may come: readers pass over those that they do not
know.
"""

from __future__ import annotations

import json
import sys
import threading

from .errors import ExportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

# Seconds between two reports of progress.
INTERVAL = 0.5
# On something that is not a terminal, lines add up.
PLAIN_INTERVAL = 5.0

_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')


def human(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return ('%d %s' if unit == 'B' else '%.1f %s') % (count, unit)


class Broken(Exception):
    """Nobody reads what is reported any more."""


class JsonReport:
    """One JSON object a line, on stdout."""

    interval = INTERVAL
    for_programs = True

    def __init__(self) -> None:
        # The work announces its phases, the main thread reports the rest.
        self._lock = threading.Lock()

    def _emit(self, event: str, **facts: object) -> None:
        try:
            line = json.dumps(dict(event=event, **facts)) + '\n'
            with self._lock:
                sys.stdout.write(line)
                sys.stdout.flush()
        except (OSError, ValueError):
            raise Broken()

    def phase(self, phase: str) -> None:
        try:
            self._emit('phase', phase=phase)
        except Broken:
            # The main thread finds out, and ends the work.
            pass

    def connected(self, fsid: str) -> None:
        try:
            self._emit('connected', fsid=fsid)
        except Broken:
            pass

    def progress(self, done: int, total: int, seconds: float,
                 phase: str = '') -> None:
        # The total is 0 until the image is open. Said nevertheless, it is the
        # sign of life that the parent waits for.
        self._emit('progress', bytes=done, total=total,
                   seconds=round(seconds, 3), phase=phase)

    def result(self, facts: dict[str, object]) -> None:
        self._emit('result', **facts)

    def error(self, exc: ExportError) -> None:
        facts = dict(exc.facts, code=exc.code, exit=exc.exit,
                     message=str(exc), remedy=exc.remedy)
        self._emit('error', **facts)


class HumanReport:
    """A bar or lines on stderr, and one summary line on stdout."""

    for_programs = False

    def __init__(self) -> None:
        try:
            self._terminal = sys.stderr.isatty()
        except (AttributeError, ValueError):
            self._terminal = False
        self.interval = INTERVAL if self._terminal else PLAIN_INTERVAL
        self._drawn = False

    def _say(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError, AttributeError):
            raise Broken()

    def phase(self, phase: str) -> None:
        pass

    def connected(self, fsid: str) -> None:
        pass

    def progress(self, done: int, total: int, seconds: float,
                 phase: str = '') -> None:
        if not total:
            return
        rate = done / seconds if seconds else 0.0
        percent = 100 * done // total if total else 100
        figures = '%3d%%  %s of %s  %s/s' % (
            percent, human(done), human(total), human(rate))
        if not self._terminal:
            self._say(sys.stderr, figures.strip() + '\n')
            return
        if rate and done:
            left = int((total - done) / rate)
            figures += '  %d:%02d left' % divmod(left, 60)
        self._drawn = True
        self._say(sys.stderr, '\r[%-30s] %s\x1b[K'
                  % ('#' * (30 * percent // 100), figures))

    def _end_bar(self) -> None:
        if self._drawn:
            self._drawn = False
            self._say(sys.stderr, '\r\x1b[K')

    def result(self, facts: dict[str, object]) -> None:
        self._end_bar()
        if 'bytes' not in facts:
            self._say(sys.stdout, '%s\n' % facts['fsid'])
            return
        seconds = float(facts['seconds'])  # type: ignore[arg-type]
        size = int(facts['bytes'])  # type: ignore[call-overload]
        data = int(facts['data_bytes'])  # type: ignore[call-overload]
        text = '%s of %s/%s@%s in %.2f s (%s/s), %s of it data' % (
            human(size), facts['pool'], facts['image'], facts['snap'],
            seconds, human(size / seconds if seconds else 0), human(data))
        if facts['digest']:
            text += ', %s' % facts['digest']
        checked = facts['verified']
        if checked:
            text += ', verified: %s' % ' '.join(checked)  # type: ignore[arg-type]  # noqa: E501
        self._say(sys.stdout, text + '\n')

    def error(self, exc: ExportError) -> None:
        self._end_bar()
        self._say(sys.stderr, 'rbd_export: %s\n' % exc)
        if exc.remedy:
            self._say(sys.stderr, 'To fix this, %s.\n' % exc.remedy)
