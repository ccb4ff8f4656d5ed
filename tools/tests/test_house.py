# SPDX-License-Identifier: Apache-2.0

"""The rules of the rooms, held against all of this repository."""

import ast
import os
import stat
import unittest

from patchset import CHECKOUT
from suites import house

#: Files that are longer, and why that is so.
LONG = {
    # What the libvirt driver calls, in one class as upstream has it.
    'nova/storage/rbd_utils.py': 420,
    # A table of many rows, written by a program.
    'doc/source/admin/fault-matrix.rst': 700,
}
#: Modules that still have no test of their name.
WITHOUT_TWIN = {
    'nova/image/lock_wait.py',
    'nova/storage/rbd_export/export.py',
    'tools/lib/benchmark/boot_seconds.py',
    'tools/lib/benchmark/common.py',
    'tools/lib/environment/update_constraints.py',
    'tools/lib/suites/stestr_run.py',
}


class HouseTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.sources = house.files()
        cls.paths = {source.path for source in cls.sources}

    def test_all_rooms_are_read(self):
        counts = house.lines_by_room(self.sources)
        self.assertEqual([], [room for room, lines in counts.items()
                              if not lines])

    def test_no_upward_import(self):
        self.assertEqual([], house.upward_imports(self.sources))

    def test_no_circle(self):
        self.assertEqual([], house.circles(self.sources))

    def test_sizes(self):
        found = [(source.path, source.lines) for source in self.sources
                 if source.lines > LONG.get(
                     source.path, 500 if source.is_test else 400)
                 and source.path.endswith(('.py', '.sh'))]
        self.assertEqual([], found)
        self.assertEqual([], [(source.path, source.lines)
                              for source in self.sources if source.lines >
                              LONG.get(source.path, 500)])

    def test_each_module_has_a_test(self):
        missing = {source.path for source in house.modules(self.sources)
                   if house.twin(source) not in self.paths | {''}}
        self.assertEqual(set(), missing ^ WITHOUT_TWIN)

    def test_each_module_says_what_it_is_for(self):
        self.assertEqual([], [
            source.path for source in house.modules(self.sources)
            if source.text.strip() and not ast.get_docstring(source.tree())
            # Three lines that are run by Python itself.
            and not source.path.endswith('/__main__.py')])

    def test_executables_are_thin(self):
        found = []
        for name in os.listdir(CHECKOUT / 'tools'):
            full = CHECKOUT / 'tools' / name
            if full.is_file() and full.stat().st_mode & stat.S_IXUSR:
                found.append(name)
                self.assertLessEqual(len(full.read_text().splitlines()), 40,
                                     name)
        self.assertIn('demo', found)
        text = (CHECKOUT / 'tools' / 'README.rst').read_text()
        self.assertEqual([], [name for name in found
                              if '``%s``' % name not in text])

    def test_edits_of_the_path(self):
        self.assertLessEqual(len(house.path_edits(self.sources)), 2)
