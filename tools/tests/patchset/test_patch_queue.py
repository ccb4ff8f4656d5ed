# SPDX-License-Identifier: Apache-2.0

import pathlib

import fixtures
import testtools

from patchset.errors import PatchsetError
from patchset import patch_queue
from patchset import upstream_wheel
from tools.tests import small_checkout
from tools.tests.small_checkout import AFTER
from tools.tests.small_checkout import BEFORE
from tools.tests.small_checkout import FILES
from tools.tests.small_checkout import HEADER
from tools.tests.small_checkout import HUNK

# A tree without the file that the patch changes.
TREE = {small_checkout.SERVICE: small_checkout.SERIES}


class PatchsetTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def load(self, **kwargs):
        small_checkout.make(self.root, **kwargs)
        return patch_queue.Patchset(self.root)

    def refuse(self, *said, **kwargs):
        exc = self.assertRaises(PatchsetError, self.load, **kwargs)
        for part in said:
            self.assertIn(part, str(exc))

    def refuse_now(self, *said):
        exc = self.assertRaises(PatchsetError,
                                patch_queue.Patchset, self.root)
        for part in said:
            self.assertIn(part, str(exc))

    def refuse_plan(self, patchset, tree, *said):
        exc = self.assertRaises(PatchsetError, patchset.plan,
                                tree.get, True)
        for part in said:
            self.assertIn(part, str(exc))

    def test_empty_series(self):
        patchset = self.load(patches={})
        self.assertEqual([], patchset.patches)
        self.assertEqual({}, patchset.plan(TREE.get, True))

    def test_series_missing(self):
        self.load()
        (self.root / 'patches' / 'series').unlink()
        self.refuse_now('patches/series')

    def test_series_names_a_missing_patch(self):
        self.load()
        (self.root / 'patches' / 'a.patch').unlink()
        self.refuse_now('patches/a.patch', 'listed in patches/series')

    def test_patch_not_in_series(self):
        self.load()
        (self.root / 'patches' / 'b.patch').write_bytes(HEADER)
        self.refuse_now('patches/b.patch is not listed')

    def test_patch_twice_in_series(self):
        self.load()
        with open(self.root / 'patches' / 'series', 'a') as stream:
            stream.write('a.patch\n')
        self.refuse_now('patches/a.patch is listed twice')

    def test_replacement_does_not_exist(self):
        self.refuse('nova/y.py', 'no such file',
                    replacements='nova/y.py = 00')

    def test_script_without_a_module(self):
        self.refuse('nova-y', 'nova.cmd.y:main',
                    scripts='nova-y = nova.cmd.y:main')

    def test_script(self):
        patchset = self.load(scripts='nova-y = nova.cmd.y:main',
                             modules={'nova/cmd/y.py': b''})
        self.assertEqual({'nova-y': 'nova.cmd.y:main'}, patchset.pin.scripts)

    def test_patch_of_our_own_file(self):
        self.refuse('patches/a.patch', 'nova/x.py', 'a file of the checkout',
                    modules={'nova/x.py': BEFORE})

    def test_litter_is_left_out(self):
        patchset = self.load(modules={
            'nova/y.py': b'', 'nova/y.py~': b'', 'nova/y.py.orig': b'',
            'nova/.y.py.swp': b'', 'nova/__pycache__/y.pyc': b''})
        self.assertEqual(['nova/y.py'], list(patchset.modules))

    def test_without_tests(self):
        small_checkout.make(self.root, modules={'nova/y.py': b'',
                                     'nova/tests/unit/test_y.py': b''})
        for tests, count in ((True, 2), (False, 1)):
            patchset = patch_queue.Patchset(self.root, tests=tests)
            self.assertEqual(count, len(patchset.modules))

    def test_plan(self):
        self.load(modules={'nova/y.py': b'ours'})
        (self.root / 'nova' / 'y.py').chmod(0o755)
        patchset = patch_queue.Patchset(self.root)
        changes = patchset.plan(dict(TREE, **{'nova/x.py': BEFORE}).get, True)
        self.assertEqual(
            {'nova/y.py': patch_queue.Change(None, b'ours', True),
             'nova/x.py': patch_queue.Change(BEFORE, AFTER, False)}, changes)

    def test_plan_of_two_patches_to_one_file(self):
        second = (b'Subject: And on\n\nIt goes on.\n' + FILES +
                  b'@@ -3,2 +3,3 @@\n more\n+still\n three\n')
        patchset = self.load(patches={'a.patch': HEADER + FILES + HUNK,
                                      'b.patch': second})
        tree = dict(TREE, **{'nova/x.py': BEFORE})
        change = patchset.plan(tree.get, True)['nova/x.py']
        self.assertEqual(BEFORE, change.old)
        self.assertEqual(b'one\ntwo\nmore\nstill\nthree\n', change.new)
        self.assertTrue(patchset.is_in({'nova/x.py': change.new}.get))

    def test_unlisted_collision(self):
        patchset = self.load(modules={'nova/y.py': b'ours'})
        self.refuse_plan(patchset, dict(TREE, **{
            'nova/x.py': BEFORE, 'nova/y.py': b'theirs'}),
                         'nova/y.py', '[replacements]')

    def test_replacement(self):
        patchset = self.load(modules={'nova/y.py': b'ours'},
                             replacements='nova/y.py = %s' %
                             patch_queue.digest(b'theirs'))
        tree = dict(TREE, **{'nova/x.py': BEFORE, 'nova/y.py': b'theirs'})
        self.assertEqual(b'ours', patchset.plan(tree.get, True)
                         ['nova/y.py'].new)
        tree['nova/y.py'] = b'another'
        self.refuse_plan(patchset, tree, 'nova/y.py', 'has another one')
        del tree['nova/y.py']
        self.refuse_plan(patchset, tree, 'nova/y.py', 'has none')

    def test_patched_file_missing_in_tree(self):
        self.refuse_plan(self.load(), TREE, 'patches/a.patch', 'nova/x.py')

    def test_failing_patch(self):
        self.refuse_plan(self.load(),
                         dict(TREE, **{'nova/x.py': b'else\n'}),
                         'patches/a.patch', 'nova/x.py', 'hunk 1')

    def test_is_in(self):
        patchset = self.load(modules={'nova/y.py': b'ours'})
        tree = {'nova/x.py': AFTER, 'nova/y.py': b'ours'}
        self.assertTrue(patchset.is_in(tree.get))
        self.assertFalse(patchset.is_in(dict(tree, **{
            'nova/x.py': BEFORE}).get))
        self.assertFalse(patchset.is_in(dict(tree, **{
            'nova/y.py': b'older'}).get))
        self.assertFalse(patchset.is_in({}.get))


class OurQueueTest(testtools.TestCase):
    """The promises about patches/ of this checkout."""

    def setUp(self):
        super().setUp()
        self.patchset = patch_queue.Patchset(small_checkout.CHECKOUT)

    def test_it_stays_small(self):
        changed = {p.name: p.changed for p in self.patchset.patches}
        self.assertLessEqual(sum(changed.values()), 30, changed)

    def test_headers_are_short(self):
        for patch in self.patchset.patches:
            self.assertLessEqual(len(patch.subject), 72, patch.name)
            self.assertRegex(patch.name, r'^\d{4}-[a-z0-9-]+\.patch$')

    def test_one_purpose_each(self):
        # What can be counted of that: no file is changed by two patches,
        # and no patch reaches over more than two files.
        seen = []
        for patch in self.patchset.patches:
            self.assertLessEqual(len(patch.files), 2, patch.name)
            seen += list(patch.files)
        self.assertEqual(len(set(seen)), len(seen), seen)

    def test_it_does_not_fit_a_changed_release(self):
        # So the test above can fail at all.
        if not self.patchset.patches:
            self.skipTest('the queue is empty')
        wheel = upstream_wheel.Wheel(small_checkout.CHECKOUT)
        path = list(self.patchset.patches[0].files)[0]
        exc = self.assertRaises(
            PatchsetError, self.patchset.plan,
            lambda p: b'\n' + wheel.read(p) if p == path else wheel.read(p),
            True)
        self.assertIn(path, str(exc))
        self.assertIn('refresh', str(exc))
