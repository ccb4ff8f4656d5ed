# SPDX-License-Identifier: Apache-2.0

import ddt
import testtools

from patchset.errors import PatchsetError
from patchset.patches import apply_hunks
from patchset.patches import parse_patch
from patchset.patches import reverse
from tools.tests.small_checkout import AFTER
from tools.tests.small_checkout import BEFORE
from tools.tests.small_checkout import FILES
from tools.tests.small_checkout import HEADER
from tools.tests.small_checkout import HUNK


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
