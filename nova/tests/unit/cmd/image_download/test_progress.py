# SPDX-License-Identifier: Apache-2.0

import io
import logging
import os
import termios

import fixtures

from nova.cmd.image_download import progress
from nova import test


class Stream(io.StringIO):

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


class ProgressTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.useFixture(fixtures.MockPatchObject(
            progress.time, 'monotonic', lambda: self.now))

    def _progress(self, terminal, columns=120):
        self.stream = Stream(terminal)
        self.useFixture(fixtures.MockPatchObject(
            progress.Progress, '_columns', lambda _: columns))
        self.progress = progress.Progress('x', self.stream)

    def _show(self, seconds, done, total):
        self.now = 100.0 + seconds
        self.progress.show(done, total)

    def test_bar(self):
        self._progress(True)
        self._show(2, 2 << 30, 8 << 30)
        self.assertEqual('\rx [#######                       ]  25%  '
                         '2.0 GiB of 8.0 GiB  1.0 GiB/s  0:06 left\x1b[K',
                         self.stream.getvalue())
        self.progress.clear()
        self.progress.clear()
        self.assertEqual(1, self.stream.getvalue().count('\r\x1b[K'))

    def test_bar_fits_the_terminal(self):
        # A line that is broken would not be overwritten by the next one.
        for columns, shown in (
            (120, '6f1d5b1e-0c69-4a52-9a6b-2f1d7f0e6a11 [#######'),
            (100, '6f1d5b1e-0c69-4a52-9a6b-2f1d7f0e6a11 [##'),
            (80, '6f1d5b1e-0c69-4a52... [##      ]  25%  2.0 GiB'),
            (60, '6f1d5... [##      ]  25%  2.0 GiB of 8.0 GiB  1.0 Gi'),
        ):
            self._progress(True, columns)
            self.progress._text = '6f1d5b1e-0c69-4a52-9a6b-2f1d7f0e6a11'
            self.progress._started = self.progress._shown = 100.0
            self._show(2, 2 << 30, 8 << 30)
            line = self.stream.getvalue()[1:-len('\x1b[K')]
            self.assertTrue(line.startswith(shown), line)
            self.assertLess(len(line), columns)
            self.now = 100.0

    def test_columns(self):
        with open(os.devnull, 'w') as stream:
            # It is no terminal.
            bar = progress.Progress('x', stream)
            self.assertEqual(80, bar._columns())
        parent, child = os.openpty()
        self.addCleanup(os.close, parent)
        with open(child, 'w') as stream:
            termios.tcsetwinsize(child, (24, 133))
            bar = progress.Progress('x', stream)
            self.assertEqual(133, bar._columns())

    def test_hours(self):
        self._progress(True)
        self._show(10, 1 << 20, 1 << 30)
        self.assertIn('  2:50:30 left', self.stream.getvalue())

    def test_lines(self):
        self._progress(False)
        self._show(1, 1 << 20, 1 << 30)
        self.assertEqual('', self.stream.getvalue())
        self._show(8, 512 << 20, 1 << 30)
        self._show(9, 513 << 20, 1 << 30)
        self.assertEqual('x: 50%  512.0 MiB of 1.0 GiB  64.0 MiB/s  0:08 '
                         'left\n', self.stream.getvalue())
        self.progress.clear()
        self.assertNotIn('\r', self.stream.getvalue())

    def test_size_is_not_known(self):
        self._progress(True)
        self._show(1, 1 << 20, 0)
        self.assertIn('1.0 MiB  1.0 MiB/s', self.stream.getvalue())

    def test_more_than_was_said(self):
        self._progress(True)
        self._show(1, 3 << 20, 2 << 20)
        self.assertIn('100%', self.stream.getvalue())
        self.assertIn('0:00 left', self.stream.getvalue())

    def test_log_takes_the_place_of_the_bar(self):
        self._progress(True)
        handler = progress.ClearingHandler(self.stream)
        handler.progress = self.progress
        self._show(1, 1, 2)
        handler.emit(logging.makeLogRecord({'msg': 'trouble'}))
        self.assertTrue(self.stream.getvalue().endswith(
            '\r\x1b[Ktrouble\n'))
