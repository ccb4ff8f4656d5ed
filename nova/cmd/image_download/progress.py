# SPDX-License-Identifier: Apache-2.0

"""The progress of a download on a terminal, or in lines."""

from __future__ import annotations

import logging
import os
import time
import typing as ty

from nova.cmd.image_download import units

# Seconds between two changes of a bar, and between two lines.
BAR_INTERVAL = 0.1
LINE_INTERVAL = 5.0

# Columns of the bar, and how few may be left of it on a narrow terminal.
BAR_WIDTH = 30
LEAST_BAR_WIDTH = 8

# Columns that the name of what is downloaded gets at least.
LEAST_TEXT_WIDTH = 8


class Progress:
    """One line of progress.

    :param text: what is downloaded
    :param stream: where to
    """

    def __init__(self, text: str, stream: ty.TextIO) -> None:
        self._text = text
        self._stream = stream
        self._terminal = stream.isatty()
        self._interval = BAR_INTERVAL if self._terminal else LINE_INTERVAL
        self._started = time.monotonic()
        self._shown = self._started
        self._drawn = False

    def show(self, done: int, total: int) -> None:
        """Show that so many bytes of so many are there."""
        now = time.monotonic()
        if now - self._shown < self._interval:
            return
        self._shown = now
        size = units.format_bytes
        rate = done / max(now - self._started, 1e-6)
        figures = '%s  %s/s' % (size(done), size(rate))
        if total:
            figures = '%3d%%  %s of %s  %s/s' % (
                min(100, 100 * done // total), size(done), size(total),
                size(rate))
            if rate:
                figures += '  %s left' % _duration(
                    max(0, round((total - done) / rate)))
        if not self._terminal:
            self._write('%s: %s\n' % (self._text, figures.strip()))
            return
        self._drawn = True
        self._write('\r%s\x1b[K' % self._fit(
            min(done / total, 1.0) if total else 0.0, figures))

    def _fit(self, part: float, figures: str) -> str:
        """Return a line that is not broken by the terminal.

        A line that is would not be overwritten by the next one.

        :param part: how much of the bar is filled, from 0 to 1
        """
        room = self._columns() - len(figures) - len('x [] ')
        text = self._text
        # The bar gives way first, then the name.
        width = min(BAR_WIDTH, max(LEAST_BAR_WIDTH, room - len(text)))
        if len(text) + width > room:
            length = max(LEAST_TEXT_WIDTH, room - width)
            if len(text) > length:
                text = text[:length - 3] + '...'
        bar = ('#' * int(width * part)).ljust(width)
        return ('%s [%s] %s' % (text, bar, figures))[:self._columns() - 1]

    def _columns(self) -> int:
        """Return the columns of the terminal, which may change."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def clear(self) -> None:
        """Make room for other text."""
        if self._drawn:
            self._drawn = False
            self._write('\r\x1b[K')

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _duration(seconds: int) -> str:
    """Write seconds as minutes or hours."""
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return '%d:%02d' % (minutes, seconds)
    return '%d:%02d:%02d' % (*divmod(minutes, 60), seconds)


class ClearingHandler(logging.StreamHandler):
    """Writes a log beside a progress bar without mixing them up."""

    progress: Progress | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if self.progress is not None:
            self.progress.clear()
        super().emit(record)
