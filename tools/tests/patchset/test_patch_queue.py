# SPDX-License-Identifier: Apache-2.0

import pathlib

import ddt
import fixtures
import testtools

from patchset.errors import PatchsetError
from patchset import patch_queue
from patchset.patches import apply_hunks
from patchset.patches import parse_patch
from patchset.patches import reverse
from patchset import upstream_wheel
from tools.tests import small_checkout
from tools.tests.small_checkout import AFTER
from tools.tests.small_checkout import BEFORE
from tools.tests.small_checkout import FILES
from tools.tests.small_checkout import HEADER
from tools.tests.small_checkout import HUNK

# A tree without the file that the patch changes.
TREE = {small_checkout.SERVICE: small_checkout.SERIES}


def hunks(text, path='nova/x.py'):
    return parse_patch('p', HEADER + FILES + text).files[path]


@ddt.ddt
class ParsePatchTest(testtools.TestCase):

    def parse(self, text):
        return parse_patch('x.patch', text)

    def refuse(self, text, *said):
        exc = self.assertRaises(PatchsetError, self.parse, text)
        for part in ('patches/x.patch',) + said:
            self.assertIn(part, str(exc))

    def test_header_and_count(self):
        patch = self.parse(HEADER + FILES + HUNK)
        self.assertEqual('Count further', patch.subject)
        self.assertEqual('Four comes after three.', patch.why)
        self.assertEqual(1, patch.changed)

    def test_git_lines_are_read_over(self):
        patch = self.parse(
            b'From: A <a@b>\n' + HEADER + b'---\n nova/x.py | 1 +\n\n'
            b'diff --git a/nova/x.py b/nova/x.py\nindex 1..2 100644\n' +
            FILES + HUNK + b'-- \n2.39\n')
        self.assertEqual('Four comes after three.', patch.why)
        self.assertEqual(['nova/x.py'], list(patch.files))

    def test_several_files(self):
        patch = self.parse(HEADER + FILES + HUNK +
                           FILES.replace(b'x.py', b'y.py') + HUNK)
        self.assertEqual(['nova/x.py', 'nova/y.py'], list(patch.files))
        self.assertEqual(2, patch.changed)

    @ddt.data(b'', b'Subject: Count further\n\n', b'Four after three.\n\n')
    def test_header_must_say_why(self, header):
        self.refuse(header + FILES + HUNK, 'Subject', 'why')

    @ddt.data(b'new file mode 100644', b'deleted file mode 100644',
              b'rename from nova/y.py', b'old mode 100644',
              b'GIT binary patch')
    def test_only_lines_may_change(self, line):
        self.refuse(HEADER + b'diff --git a/nova/x.py b/nova/x.py\n' + line +
                    b'\n' + FILES + HUNK, line.decode())

    @ddt.data(b'--- a/setup.cfg\n+++ b/setup.cfg\n',
              b'--- /dev/null\n+++ b/nova/x.py\n',
              b'--- a/nova/x.py\n+++ b/nova/y.py\n',
              b'--- nova/x.py\n+++ nova/x.py\n',
              b'--- a/nova/../x.py\n+++ b/nova/../x.py\n')
    def test_only_paths_under_nova(self, files):
        self.refuse(HEADER + files + HUNK, 'one path under nova/')

    def test_same_file_twice(self):
        self.refuse(HEADER + FILES + HUNK + FILES + HUNK, 'nova/x.py',
                    'twice')

    def test_empty(self):
        self.refuse(HEADER, 'changes nothing')
        self.refuse(HEADER + FILES, 'nova/x.py', 'no hunk')

    @ddt.data(b'@@ -1,3 +1,4 @@\n one\n',
              b'@@ -1,4 +1,4 @@\n one\n two\n+more\n three\n',
              b'@@ -1,3 +1,2 @@\n one\n two\n+more\n three\n',
              b'@@ -1,3 +1,4 @@\n one\nxtwo\n+more\n three\n',
              b'@@ one @@\n one\n')
    def test_broken_hunk(self, text):
        self.refuse(HEADER + FILES + text, 'nova/x.py')

    @ddt.data(b'@@ -1,0 +1,1 @@\n+more\n', b'@@ -1,1 +1,1 @@\n one\n')
    def test_hunk_without_context_or_change(self, text):
        self.refuse(HEADER + FILES + text, 'no context, or no change')


@ddt.ddt
class ApplyHunksTest(testtools.TestCase):

    def apply(self, data, text=HUNK, exact=True):
        return apply_hunks(data, hunks(text), 'x.patch: nova/x.py',
                                       exact)

    def refuse(self, data, *said, **kwargs):
        exc = self.assertRaises(PatchsetError, self.apply, data,
                                **kwargs)
        for part in ('x.patch: nova/x.py', 'hunk 1') + said:
            self.assertIn(part, str(exc))

    def test_applies(self):
        self.assertEqual(AFTER, self.apply(BEFORE))

    def test_reverse(self):
        undone = apply_hunks(
            AFTER, reverse(hunks(HUNK)), '', True)
        self.assertEqual(BEFORE, undone)

    def test_two_hunks_and_back(self):
        text = (HUNK + b'@@ -7,3 +8,2 @@\n seven\n-eight\n nine\n')
        before = BEFORE + b'four\nfive\nsix\nseven\neight\nnine\n'
        after = AFTER + b'four\nfive\nsix\nseven\nnine\n'
        self.assertEqual(after, self.apply(before, text))
        self.assertEqual(before, apply_hunks(
            after, reverse(hunks(text)), '', True))

    def test_a_context_line_differs(self):
        # GNU patch would take this with fuzz 1.
        self.refuse(b'ONE\ntwo\nthree\n', "line 1 is 'ONE\\n'", "'one\\n'",
                    exact=False)

    def test_trailing_blank_differs(self):
        self.refuse(b'one\ntwo \nthree\n', 'line 2', exact=False)

    def test_elsewhere(self):
        data = b'zero\n' + BEFORE
        self.refuse(data, 'stand at line 2', 'refresh')
        self.assertEqual(b'zero\n' + AFTER, self.apply(data, exact=False))

    def test_in_two_places(self):
        self.refuse(b'zero\n' + BEFORE * 2, '2 and 5', exact=False)

    def test_named_place_wins_over_another(self):
        self.assertEqual(AFTER + BEFORE, self.apply(BEFORE * 2))

    def test_file_too_short(self):
        self.refuse(b'one\n', 'line 2')
        self.refuse(b'', 'line 1')

    @ddt.data(True, False)
    def test_no_newline_at_the_end(self, has_newline):
        text = (b'@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n'
                b'+TWO\n' + b'' if has_newline else
                b'@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n'
                b'+TWO\n\\ No newline at end of file\n')
        self.assertEqual(b'one\nTWO' + b'\n' * has_newline,
                         self.apply(b'one\ntwo', text))

    def test_blank_context_line_without_its_space(self):
        self.assertEqual(b'one\n\nmore\ntwo\n', self.apply(
            b'one\n\ntwo\n', b'@@ -1,3 +1,4 @@\n one\n\n+more\n two\n'))


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

    def test_version(self):
        patchset = self.load()
        self.assertEqual('34.0.0+rbd.7', patchset.pin.version)
        self.assertEqual('nova-34.0.0-py3-none-any.whl', patchset.pin.wheel)

    def test_upstream_ini_missing_or_wrong(self):
        self.load()
        ini = self.root / 'patches' / 'upstream.ini'
        for text in ('', '[upstream]\nrelease = 34.0.0\n',
                     ini.read_text().replace('7', 'seven'), None):
            if text is None:
                ini.unlink()
            else:
                ini.write_text(text)
            self.refuse_now('upstream.ini')

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
        patchset = self.load(modules={'nova/y.py': b'ours'})
        (self.root / 'nova' / 'y.py').chmod(0o755)
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
