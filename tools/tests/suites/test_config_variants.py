# SPDX-License-Identifier: Apache-2.0
"""The table of configurations from rows as the functional tests write them."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from suites import config_variants

GOOD = {'what': 'Protocol v1 only', 'code': '', 'exit': 0, 'message': '',
        'remedy': '', 'check': 0, 'problems': [], 'after': ''}
BAD = {'what': 'No ceph.conf', 'code': 'no_conf', 'exit': 19,
       'message': 'there is no /etc/ceph/ceph.conf (ENOENT)',
       'remedy': 'set [glance]/rbd_ceph_conf', 'check': 1,
       'problems': [['ceph.conf', 'it is not there']],
       'after': 'came over RBD'}


class ConfigVariantsTest(unittest.TestCase):

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.rows = pathlib.Path(folder.name, 'rows')
        self.page = pathlib.Path(folder.name, 'page.rst')

    def run_tool(self, *lines: str) -> tuple[int, str]:
        self.rows.write_text(''.join(line + '\n' for line in lines))
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            code = config_variants.main([str(self.rows), '-o',
                                         str(self.page)])
        return code, err.getvalue()

    def test_page(self) -> None:
        self.assertEqual((0, ''), self.run_tool(json.dumps(GOOD),
                                                json.dumps(BAD)))
        page = self.page.read_text()
        self.assertIn('of\n2 ways', page)
        self.assertIn('\n* Protocol v1 only\n', page)
        self.assertIn('''\
   * - No ceph.conf
     - 19, ``no_conf``
     - there is no /etc/ceph/ceph.conf (ENOENT). To fix this, set
       [glance]/rbd\\_ceph\\_conf.
     - ceph.conf: it is not there
''', page)

    def test_last_row_counts(self) -> None:
        self.run_tool(json.dumps(BAD), json.dumps({**BAD, 'exit': 77}))
        page = self.page.read_text()
        self.assertIn('77, ``no_conf``', page)
        self.assertNotIn('19, ', page)

    def test_no_rows(self) -> None:
        code, said = self.run_tool()
        self.assertEqual(2, code)
        self.assertIn('there are no rows', said)

    def test_wrong_row(self) -> None:
        for line in ('x', '[]', '{}'):
            code, said = self.run_tool(line)
            self.assertEqual(2, code)
            self.assertIn('line 1 is not a row', said)
        self.assertFalse(self.page.exists())
