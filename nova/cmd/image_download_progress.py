#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The progress of a download on a terminal, or in lines."""

import logging
import time
import typing as ty

from nova.image import check_item

# Seconds between two changes of a bar, and between two lines.
BAR_INTERVAL = 0.1
LINE_INTERVAL = 5.0

BAR_WIDTH = 30


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
        size = check_item.size
        rate = done / max(now - self._started, 1e-6)
        figures = '%s  %s/s' % (size(done), size(rate))
        if total:
            figures = '%3d%%  %s of %s  %s/s' % (
                min(100, 100 * done // total), size(done), size(total),
                size(rate))
            if rate:
                figures += '  %d:%02d left' % divmod(
                    max(0, round((total - done) / rate)), 60)
        if not self._terminal:
            self._write('%s: %s\n' % (self._text, figures.strip()))
            return
        self._drawn = True
        filled = BAR_WIDTH * min(done, total) // total if total else 0
        self._write('\r%s [%s] %s\x1b[K' % (
            self._text, ('#' * filled).ljust(BAR_WIDTH), figures))

    def clear(self) -> None:
        """Make room for other text."""
        if self._drawn:
            self._drawn = False
            self._write('\r\x1b[K')

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class ClearingHandler(logging.StreamHandler):
    """Writes a log beside a progress bar without mixing them up."""

    progress: Progress | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if self.progress is not None:
            self.progress.clear()
        super().emit(record)
