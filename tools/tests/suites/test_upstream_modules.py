# SPDX-License-Identifier: Apache-2.0

import ast
import pathlib

import fixtures
import testtools

from patchset import CHECKOUT
from patchset import upstream_wheel
from suites import upstream_modules


class SupersededTest(testtools.TestCase):
    """The list of what this project changes on purpose."""

    def read(self, text):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'list'
        path.write_text(text)
        return upstream_modules.read_superseded(path)

    def test_entry(self):
        self.assertEqual(
            {'a.b.c': ('a.b.c', 'because', 'd.e.f')},
            self.read('# why\n\na.b.c | because | d.e.f\n'))

    def test_not_an_entry(self):
        for text in ('a.b.c\n', 'a | b\n', 'a |  | c\n', 'a | b | c | d\n',
                     'a | b | c\na | b | c\n'):
            self.assertRaises(ValueError, self.read, text)

    def test_each_has_a_replacement_and_is_upstreams(self):
        entries = upstream_modules.read_superseded(upstream_modules.SUPERSEDED)
        self.assertLess(len(entries), 40)
        upstream = upstream_wheel.Wheel(CHECKOUT)
        for entry in entries.values():
            for name, read in ((entry.test, upstream.read),
                               (entry.replacement, self.of_ours)):
                module, test_class, method = name.rsplit('.', 2)
                text = read(module.replace('.', '/') + '.py')
                self.assertIsNotNone(text, name)
                self.assertIn((test_class, method), self.methods_in(text),
                              name)

    @staticmethod
    def of_ours(path):
        path = CHECKOUT / path
        return path.read_bytes() if path.exists() else None

    @staticmethod
    def methods_in(text):
        return [(outer.name, inner.name)
                for outer in ast.parse(text).body
                if isinstance(outer, ast.ClassDef)
                for inner in outer.body if isinstance(inner, ast.FunctionDef)]


class ModulesTest(testtools.TestCase):

    def test_packages_and_modules(self):
        names = ['nova/tests/unit/image/test_b.py', 'nova/image/test_c.py',
                 'nova/tests/unit/image/fake.py',
                 'nova/tests/unit/imagery/test_d.py',
                 'nova/tests/unit/image/deep/test_a.py']
        found = ['nova.tests.unit.image.deep.test_a',
                 'nova.tests.unit.image.test_b']
        self.assertEqual(found, upstream_modules.modules_of(
            names, ['unit.image', 'unit.image.test_b']))
        self.assertEqual(found[1:], upstream_modules.modules_of(
            names, ['unit.image.test_b']))
        self.assertRaises(ValueError, upstream_modules.modules_of, names,
                          ['unit.images'])

    def test_each_suite_is_there(self):
        names = upstream_wheel.Wheel(CHECKOUT).archive.namelist()
        for patterns in [*upstream_modules.SUITES.values(),
                         upstream_modules.CI]:
            for pattern in patterns:
                upstream_modules.modules_of(names, [pattern])
