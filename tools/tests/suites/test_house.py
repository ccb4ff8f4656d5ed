# SPDX-License-Identifier: Apache-2.0

import unittest

from suites import house
from suites.house import Source


class ImportsTest(unittest.TestCase):

    def test_names(self):
        source = Source('nova/image/a.py', 'import os.path\n'
                        'from . import b\nfrom nova.virt import c as d\n'
                        'def f():\n    from ..conf import e\n')
        self.assertEqual({'os.path', 'nova.image.b', 'nova.virt.c',
                          'nova.conf.e'}, house.imports(source))
        self.assertNotIn('nova.conf.e', house.imports(source, late=False))

    def test_for_types_only(self):
        source = Source('nova/a.py', 'if ty.TYPE_CHECKING:\n    import b\n'
                        'else:\n    import c\n')
        self.assertEqual({'c'}, house.imports(source))

    def test_upward(self):
        for path, text, bad in (
            ('nova/image/a.py', 'from nova.virt import b', True),
            ('nova/image/a.py', 'from nova.storage import b', False),
            ('nova/storage/a.py', 'import nova.image.b', True),
            ('nova/virt/a.py', 'from nova.cmd.image_download import b', True),
            ('nova/compute/a.py', 'import nova.cmd.image_download', True),
            ('nova/storage/rbd_export/a.py', 'import oslo_config', True),
            ('nova/storage/rbd_export/a.py', 'import json, rbd', False),
            ('nova/storage/rbd_export/a.py', 'from . import b', False),
            ('nova/tests/testbed/a.py', 'from nova import test', True),
            ('nova/tests/testbed/a.py', 'import nova.tests.testbed.b', False),
            ('tools/lib/demo/a.py', 'from benchmark import b', True),
            ('tools/lib/demo/a.py', 'from suites import b', False),
            # Tests may.
            ('nova/tests/unit/image/test_a.py', 'import nova.virt', False),
        ):
            self.assertEqual(bad, bool(house.upward_imports(
                [Source(path, text)])), (path, text))


class CirclesTest(unittest.TestCase):

    def test_circle(self):
        sources = [Source('nova/a.py', 'from nova import b'),
                   Source('nova/b.py', 'def f():\n    import nova.c.d'),
                   Source('nova/c/__init__.py', ''),
                   Source('nova/c/d.py', 'from nova.a import x'),
                   Source('nova/e.py', 'from nova import a')]
        self.assertEqual(['nova.a', 'nova.b', 'nova.c.d', 'nova.e'],
                         house.circles(sources))
        del sources[1]
        self.assertEqual([], house.circles(sources))

    def test_package_and_its_module(self):
        self.assertEqual([], house.circles(
            [Source('nova/c/__init__.py', 'from nova.c import d'),
             Source('nova/c/d.py', 'import nova.c')]))


class TwinTest(unittest.TestCase):

    def test_paths(self):
        text = 'def f():\n    pass\n'
        for path, twin in (
            ('nova/storage/a.py', 'nova/tests/unit/storage/test_a.py'),
            ('nova/tests/testbed/a.py', ''),
            ('tools/lib/demo/a.py', 'tools/tests/demo/test_a.py'),
            ('nova/storage/__init__.py', ''),
            ('doc/source/conf.py', ''),
        ):
            self.assertEqual(twin, house.twin(Source(path, text)))
        self.assertEqual('', house.twin(Source('nova/storage/a.py', 'A = 1')))


class PathEditsTest(unittest.TestCase):

    def test_what_counts(self):
        source = Source('tools/a.py', 'import sys\nsys.path.insert(0, "x")\n'
                        'sys.path[:0] = ["x"]\nsys.path = []\n'
                        'print(sys.path)\n')
        self.assertEqual(['tools/a.py:2', 'tools/a.py:3', 'tools/a.py:4'],
                         house.path_edits([source]))


class LinesTest(unittest.TestCase):

    def test_the_first_room_counts(self):
        counts = house.lines_by_room([
            Source('nova/storage/rbd_export/a.py', 'a\nb\n'),
            Source('nova/storage/a.py', 'a\n'), Source('nova/a.py', 'a')])
        self.assertEqual([2, 1, 1], [counts[room] for room in (
            'nova/storage/rbd_export', 'nova/storage', 'nova')])
