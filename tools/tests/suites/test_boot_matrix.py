# SPDX-License-Identifier: Apache-2.0
"""The table of faults from rows as the functional tests write them."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from suites import boot_matrix

ROW = {'topic': 'Boot from the image cache', 'what': 'A raw image',
       'evidence': ['ACTIVE', 'no GET'], 'seconds': 5.25}


class BootMatrixTest(unittest.TestCase):

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.rows = pathlib.Path(folder.name, 'rows')
        self.page = pathlib.Path(folder.name, 'page.rst')
        self.json = pathlib.Path(folder.name, 'rows.json')

    def write(self, *changes: dict, modes: str = 'threading eventlet') -> None:
        self.rows.write_text(''.join(
            json.dumps({**ROW, 'mode': mode, **change}) + '\n'
            for change in changes for mode in modes.split()))

    def run_tool(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = boot_matrix.main([str(self.rows), *arguments])
        return code, out.getvalue(), err.getvalue()

    def render(self, *changes: dict) -> str:
        self.write(*changes)
        code, _table, said = self.run_tool('--rst', str(self.page))
        self.assertEqual((0, ''), (code, said))
        return self.page.read_text()

    def test_table(self) -> None:
        self.write({}, modes='threading')
        self.assertEqual((0, '''
Boot from the image cache
-------------------------
* A raw image  (threading 5 s, eventlet not run)
    ACTIVE
    no GET
''', ''), self.run_tool())

    def test_page(self) -> None:
        self.assertIn('''\
   * - A raw image
     - * ACTIVE
       * no GET
     - 5 s
     - 7 s
''', self.render({'mode': 'threading'}, {'mode': 'eventlet', 'seconds': 7}))

    def test_page_with_long_texts_and_markup(self) -> None:
        page = self.render({'evidence': ['long ' * 50, '*a* `b` |c| d_ e']})
        self.assertEqual([], [line for line in page.splitlines()
                              if len(line) > 79])
        self.assertIn(r'\*a\* \`b\` \|c\| d\_ e', page)

    def test_order(self) -> None:
        page = self.render({'topic': 'Else'}, {'topic': 'Without RBD'},
                           {'what': 'zebra'}, {'what': 'ape'})
        places = [page.index(text) for text in (
            'cache\n====', 'zebra', 'ape', 'Without RBD\n===', 'Else\n===')]
        self.assertEqual(sorted(places), places)

    def test_last_run_counts(self) -> None:
        page = self.render({'seconds': 1}, {'seconds': 2})
        self.assertNotIn('1 s', page)

    def test_json(self) -> None:
        self.write({}, modes='eventlet')
        self.assertEqual(0, self.run_tool('--json', str(self.json))[0])
        self.assertEqual(
            [{'topic': ROW['topic'], 'what': ROW['what'], 'modes': {
                'eventlet': {'evidence': ROW['evidence'], 'seconds': 5.25}}}],
            json.loads(self.json.read_text()))

    def test_no_page_of_one_mode(self) -> None:
        self.write({}, modes='threading')
        code, table, said = self.run_tool('--rst', str(self.page))
        self.assertEqual(1, code)
        self.assertIn('A raw image', table)
        self.assertIn('A raw image: not seen in the mode eventlet', said)
        self.assertFalse(self.page.exists())

    def test_no_page_of_differing_modes(self) -> None:
        self.write({'mode': 'threading'},
                   {'mode': 'eventlet', 'evidence': ['ERROR']})
        code, _table, said = self.run_tool('--rst', str(self.page))
        self.assertEqual(1, code)
        self.assertIn('A raw image: not the same in both modes', said)
        self.assertFalse(self.page.exists())

    def test_no_rows(self) -> None:
        self.write()
        code, table, said = self.run_tool()
        self.assertEqual((2, ''), (code, table))
        self.assertIn('tools/boot', said)

    def test_no_file(self) -> None:
        code, _table, said = self.run_tool()
        self.assertEqual(2, code)
        self.assertIn(str(self.rows), said)

    def test_no_row(self) -> None:
        row = {**ROW, 'mode': 'threading'}
        for text in ('nonsense', '[]', '{}', json.dumps({**row, 'mode': 'x'}),
                     json.dumps({**row, 'seconds': 'long'})):
            with self.subTest(text):
                self.rows.write_text(json.dumps(row) + '\n' + text + '\n')
                code, _table, said = self.run_tool()
                self.assertEqual(2, code)
                self.assertIn('line 2', said)
