# SPDX-License-Identifier: Apache-2.0
"""The table of faults from rows as the functional tests write them."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from suites import fault_matrix

ROW = {'topic': 'The cluster', 'cause': 'OSD hangs', 'produced': 'SIGSTOP',
       'happened': 'fell back to HTTP', 'files': 'right bytes',
       'seconds': 5.25, 'mode': 'threading'}


class FaultMatrixTest(unittest.TestCase):

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.rows = pathlib.Path(folder.name, 'rows')
        self.page = pathlib.Path(folder.name, 'page.rst')

    def write(self, *changes: dict, both: bool = True) -> None:
        modes = ('threading', 'eventlet') if both else ('threading',)
        self.rows.write_text(''.join(
            json.dumps({**ROW, 'mode': mode, **change}) + '\n'
            for change in changes for mode in modes))

    def run_tool(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = fault_matrix.main([str(self.rows), *arguments])
        return code, out.getvalue(), err.getvalue()

    def render(self, *changes: dict) -> str:
        self.write(*changes)
        code, page, said = self.run_tool()
        self.assertEqual((0, ''), (code, said))
        return page

    def test_row(self) -> None:
        page = self.render({'seconds': 5.25, 'mode': 'threading'},
                           {'seconds': 7, 'mode': 'eventlet'})
        self.assertIn('''\
   * - OSD hangs
     - SIGSTOP
     - fell back to HTTP
     - right bytes
     - 5.2 s
     - 7.0 s
''', page)
        self.assertIn('1 of them', page)

    def test_long_texts(self) -> None:
        # Of a table with another number of cells in a row Sphinx would
        # complain.
        page = self.render(
            {}, {'topic': 'The bytes', 'cause': 'a long cause ' * 20},
            {'files': 'nothing', 'produced': 'with -o ro, - or so'})
        lines = page.splitlines()
        self.assertEqual([], [line for line in lines if len(line) > 79])
        starts = [line[:7] for line in lines if line.startswith('   ')]
        rows = starts.count('   * - ')
        self.assertEqual(2 + 3, rows)
        self.assertEqual(5 * rows, starts.count('     - '))

    def test_order(self) -> None:
        page = self.render({'topic': 'Else'}, {'topic': 'The bytes'},
                           {'topic': 'The cluster', 'cause': 'zebra'},
                           {'topic': 'The cluster', 'cause': 'ape'})
        places = [page.index(text) for text in
                  ('The cluster\n---', 'zebra', 'ape', 'The bytes\n---',
                   'Else\n---')]
        self.assertEqual(sorted(places), places)

    def test_last_run_counts(self) -> None:
        page = self.render({'seconds': 1}, {'seconds': 2})
        self.assertNotIn('1.0 s', page)
        self.assertEqual(2, page.count('2.0 s'))

    def test_several_files(self) -> None:
        self.write({})
        more = self.page.with_name('more')
        more.write_text(self.rows.read_text().replace('OSD', 'MON'))
        code, page, _said = self.run_tool(str(more))
        self.assertEqual(0, code)
        self.assertIn('OSD hangs', page)
        self.assertIn('MON hangs', page)

    def test_output(self) -> None:
        self.write({})
        self.assertEqual((0, '', ''), self.run_tool('-o', str(self.page)))
        self.assertIn('OSD hangs', self.page.read_text())

    def test_wrong_bytes(self) -> None:
        self.write({'files': 'wrong bytes'})
        code, page, said = self.run_tool('-o', str(self.page))
        self.assertEqual((1, ''), (code, page))
        self.assertIn('OSD hangs (fell back to HTTP): wrong bytes at the '
                      'target', said)
        self.assertFalse(self.page.exists())

    def test_one_mode_only(self) -> None:
        self.write({}, both=False)
        code, page, said = self.run_tool()
        self.assertEqual((1, ''), (code, page))
        self.assertIn('not met in the mode eventlet', said)

    def test_no_rows(self) -> None:
        self.write()
        code, page, said = self.run_tool()
        self.assertEqual((2, ''), (code, page))
        self.assertIn('NOVA_FAULT_MATRIX', said)

    def test_no_file(self) -> None:
        code, _page, said = self.run_tool()
        self.assertEqual(2, code)
        self.assertIn(str(self.rows), said)

    def test_no_row(self) -> None:
        for text in ('nonsense', '[]', '{}', '{"topic": 1}',
                     json.dumps({**ROW, 'seconds': 'long'})):
            with self.subTest(text):
                self.rows.write_text(json.dumps(ROW) + '\n' + text + '\n')
                code, _page, said = self.run_tool()
                self.assertEqual(2, code)
                self.assertIn('line 2', said)
