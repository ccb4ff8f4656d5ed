# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import zipfile

import fixtures
import testtools

from patchset import devtree
from patchset.errors import PatchsetError
from patchset import patch_queue
from tools.tests import small_checkout

PATCHED, REPLACED = 'nova/checks.py', 'nova/i18n.py'
RELEASE = {PATCHED: b'first\nsecond\n', REPLACED: b'theirs = True\n',
           'nova/__init__.py': b'', 'nova/utils.py': b'u = 1\n',
           small_checkout.SERVICE: small_checkout.SERIES,
           'nova-34.0.0.dist-info/METADATA': b''}

OLDER = (b'SERVICE_VERSION = 68\n'
         b"SERVICE_VERSION_ALIASES = {\n    'Epoxy': 68,\n}\n")


class RefreshTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.tree = self.root / 'build' / 'tree'
        small_checkout.make(self.root, patches={},
                            modules={'nova/new/a.py': b'a = 1\n'})
        wheel = (self.root / 'build' / 'upstream' /
                 'nova-34.0.0-py3-none-any.whl')
        wheel.parent.mkdir(parents=True)
        with zipfile.ZipFile(wheel, 'w') as archive:
            for path, text in RELEASE.items():
                archive.writestr(path, text)
        ini = self.root / 'patches' / 'upstream.ini'
        ini.write_text(ini.read_text().replace(
            'sha256 = 00', 'sha256 = %s' % patch_queue.digest(
                wheel.read_bytes())))
        devtree.refresh(self.root)

    def set_replacements(self, text):
        ini = self.root / 'patches' / 'upstream.ini'
        head = ini.read_text().partition('[replacements]')[0]
        ini.write_text('%s[replacements]\n%s\n[scripts]\n' % (head, text))

    def add_patch(self):
        (self.root / 'patches' / 'a.patch').write_bytes(
            b'Subject: Say more\n\nFor this test.\n\n--- a/%s\n+++ b/%s\n'
            b'@@ -1,1 +1,2 @@\n+# more\n first\n' % (
                PATCHED.encode(), PATCHED.encode()))
        (self.root / 'patches' / 'series').write_text('a.patch\n')

    def assert_upstream(self, path):
        full = self.tree / path
        self.assertFalse(full.is_symlink())
        self.assertEqual(RELEASE[path], full.read_bytes())

    def test_new_tree(self):
        self.assert_upstream(PATCHED)
        self.assertEqual(self.root / 'nova/new/a.py',
                         (self.tree / 'nova/new/a.py').resolve())
        count = sum(len(files) for _, _, files in os.walk(self.tree / 'nova'))
        theirs = [name for name in RELEASE if name.startswith('nova/')]
        self.assertEqual(len(theirs) + 1, count)

    def test_file_added_and_removed(self):
        (self.root / 'nova/new/b.py').write_text('')
        (self.root / 'nova/new/a.py').unlink()
        devtree.refresh(self.root)
        self.assertEqual(['b.py'], os.listdir(self.tree / 'nova/new'))
        (self.root / 'nova/new/b.py').unlink()
        (self.tree / 'nova/new/__pycache__').mkdir()
        devtree.refresh(self.root)
        self.assertFalse((self.tree / 'nova/new').exists())

    def test_patch_added_and_removed(self):
        self.add_patch()
        devtree.refresh(self.root)
        self.assertTrue((self.tree / PATCHED).read_bytes().startswith(
            b'# more\n'))
        (self.root / 'patches' / 'a.patch').unlink()
        (self.root / 'patches' / 'series').write_text('')
        devtree.refresh(self.root)
        self.assert_upstream(PATCHED)

    def test_replacement_added_and_removed(self):
        (self.root / REPLACED).write_text('ours = True\n')
        self.set_replacements('%s = %s' % (REPLACED, patch_queue.digest(
            RELEASE[REPLACED])))
        devtree.refresh(self.root)
        self.assertEqual(self.root / REPLACED,
                         (self.tree / REPLACED).resolve())
        (self.root / REPLACED).unlink()
        self.set_replacements('')
        devtree.refresh(self.root)
        self.assert_upstream(REPLACED)

    def test_only_what_differs_is_touched(self):
        self.add_patch()
        devtree.refresh(self.root)
        before = [(self.tree / path).lstat().st_ino
                  for path in (PATCHED, 'nova/new/a.py', 'nova/utils.py')]
        devtree.refresh(self.root)
        self.assertEqual(before, [
            (self.tree / path).lstat().st_ino
            for path in (PATCHED, 'nova/new/a.py', 'nova/utils.py')])

    def test_broken_patch_leaves_the_tree(self):
        self.add_patch()
        patch = self.root / 'patches' / 'a.patch'
        patch.write_bytes(patch.read_bytes().replace(b'-1,1 +1,2',
                                                     b'-2,1 +2,2'))
        exc = self.assertRaises(PatchsetError, devtree.refresh,
                                self.root)
        self.assertIn('a.patch', str(exc))
        self.assert_upstream(PATCHED)

    def test_tree_of_an_older_release(self):
        wheel = (self.root / 'build' / 'upstream' /
                 'nova-31.3.1-py3-none-any.whl')
        with zipfile.ZipFile(wheel, 'w') as archive:
            for path, text in dict(RELEASE, **{
                    small_checkout.SERVICE: OLDER}).items():
                archive.writestr(path, text)
        ini = self.root / 'patches' / 'upstream.ini'
        ini.write_text(ini.read_text().replace(
            'sha256 = 11', 'sha256 = %s' % patch_queue.digest(
                wheel.read_bytes())))
        self.assertIn('nova 31.3.1+rbd.7',
                      devtree.refresh(self.root, '31'))
        older = self.root / 'build' / 'tree-31'
        self.assertEqual(older, devtree.place(self.root, '31.3.1'))
        self.assertEqual(OLDER, (older / small_checkout.SERVICE).read_bytes())
        self.assertEqual(self.root / 'nova/new/a.py',
                         (older / 'nova/new/a.py').resolve())
        # The one beside it is as it was.
        self.assert_upstream(small_checkout.SERVICE)
        exc = self.assertRaises(PatchsetError, devtree.refresh, self.root,
                                '35')
        self.assertIn('not made for nova 35 but for 34.0.0, 31.3.1', str(exc))

    def test_another_release(self):
        stamp = self.tree / devtree.STAMP
        stamp.write_text(stamp.read_text().replace('"sha256": "',
                                                   '"sha256": "00'))
        (self.tree / 'nova' / 'utils.py').write_text('older')
        (self.tree / 'nova' / 'gone.py').write_text('older')
        devtree.refresh(self.root)
        self.assert_upstream('nova/utils.py')
        self.assertFalse((self.tree / 'nova/gone.py').exists())
        self.assertEqual(['.lock', 'tree', 'upstream'],
                         sorted(os.listdir(self.root / 'build')))
