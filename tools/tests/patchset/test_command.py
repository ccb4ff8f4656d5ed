# SPDX-License-Identifier: Apache-2.0

import shutil
import stat
import subprocess
import sys

import ddt
import testtools

from patchset import patch_queue
from patchset import source_tree
from tools.tests.small_checkout import AFTER
from tools.tests.small_checkout import BEFORE
from tools.tests.small_checkout import SERIES
from tools.tests.small_checkout import SERVICE
from tools.tests.tool_case import DIRTY
from tools.tests.tool_case import IMPOSSIBLE
from tools.tests.tool_case import NOT_APPLIED
from tools.tests.tool_case import OK
from tools.tests.tool_case import snapshot
from tools.tests.tool_case import TOOL
from tools.tests.tool_case import ToolTestCase
from tools.tests.tool_case import USAGE


@ddt.ddt
class ApplyRevertTest(ToolTestCase):

    def test_there_and_back(self):
        self.tool('check', code=NOT_APPLIED, said='would apply 34+rbd.7')
        self.assert_untouched()
        self.tool('apply', said='2 files changed, 2 added')
        self.assert_applied()
        self.tool('check', said='applied 34+rbd.7')
        self.tool('apply', said='already applied')
        self.assert_applied()
        self.tool('revert', said='reverted')
        self.assert_untouched()
        self.tool('revert', said='nothing to revert')
        self.assert_untouched()

    def test_modes(self):
        self.tool('apply')
        modes = [stat.S_IMODE((self.tree / path).stat().st_mode)
                 for path in ('nova/x.py', 'nova/y.py', 'nova/new/deep/z.py',
                              'nova/tests/unit/test_z.py')]
        self.assertEqual([stat.S_IMODE((self.tree / 'nova/other.py').stat()
                                       .st_mode), 0o640, 0o755, 0o644], modes)

    @ddt.data(0o027, 0o077)
    def test_umask(self, umask):
        (self.tree / 'nova').chmod(0o2755)
        subprocess.run(
            ['bash', '-c', 'umask %03o; exec "$@"' % umask, 'bash',
             sys.executable, str(TOOL), '--checkout', str(self.checkout),
             'apply', str(self.tree)], check=True, stdout=subprocess.DEVNULL)
        modes = [oct(stat.S_IMODE((self.tree / path).stat().st_mode))
                 for path in ('nova/new', 'nova/new/deep', 'nova/tests',
                              source_tree.RECORD,
                              source_tree.RECORD + '/originals/nova')]
        self.assertEqual(['0o2755'] * 3 + ['0o755'] * 2, modes)

    def test_without_tests(self):
        run = self.run_tool('--no-tests', 'apply', self.tree)
        self.assertEqual(OK, run.returncode)
        self.assertFalse((self.tree / 'nova/tests').exists())
        self.tool('revert')
        self.assert_untouched()

    def test_bytecode_goes_too(self):
        self.tool('apply')
        subprocess.run([sys.executable, '-m', 'compileall', '-q',
                        str(self.tree / 'nova/new')], check=True)
        self.tool('revert')
        self.assert_untouched()

    def test_git_does_not_see_the_record(self):
        git = shutil.which('git') or self.skipTest('needs git')
        subprocess.run([git, 'init', '-q', str(self.tree)], check=True)
        self.tool('apply')
        listed = subprocess.run([git, 'status', '--short', '-uall'],
                                cwd=self.tree, stdout=subprocess.PIPE).stdout
        self.assertNotIn(source_tree.RECORD.encode(), listed)

    def test_new_state_of_the_change(self):
        self.tool('apply')
        (self.checkout / 'nova/y.py').write_bytes(b'our newer y\n')
        (self.checkout / 'nova/new/deep/z.py').unlink()
        del self.modules['nova/new/deep/z.py']
        self.modules['nova/y.py'] = b'our newer y\n'
        self.tool('check', code=DIRTY, said=('nova/new/deep/z.py', 'apply'))
        self.tool('apply', said='applied')
        self.assert_applied()
        self.assertFalse((self.tree / 'nova/new').exists())
        self.tool('revert')
        self.assert_untouched()

    @ddt.data('nova/x.py', 'nova/y.py', 'nova/new/deep/z.py')
    def test_changed_since(self, path):
        self.tool('apply')
        (self.tree / path).write_bytes(b'changed\n')
        for command in ('check', 'apply', 'revert'):
            now = snapshot(self.tree)
            self.tool(command, code=DIRTY, said=path)
            self.assertEqual(now, snapshot(self.tree))
        self.tool('revert', '--keep-changed', said=path)
        self.assertEqual(b'changed\n', (self.tree / path).read_bytes())
        now = snapshot(self.tree)
        for left in (path, 'nova/new', 'nova/new/deep'):
            now.pop(left, None)
            self.before.pop(left, None)
        self.assertEqual(self.before, now)

    def test_one_file_put_back_by_hand(self):
        self.tool('apply')
        (self.tree / 'nova/x.py').write_bytes(BEFORE)
        self.tool('check', code=DIRTY, said=('nova/x.py', 'half way'))
        self.tool('apply', said='applied')
        self.assert_applied()

    def test_does_not_fit(self):
        (self.tree / 'nova/x.py').write_bytes(b'ONE\n' + BEFORE[4:])
        self.before = snapshot(self.tree)
        for command in ('check', 'apply'):
            self.tool(command, code=IMPOSSIBLE,
                      said=('patches/a.patch', 'nova/x.py', 'hunk 1'))
            self.assert_untouched()

    def test_another_series(self):
        for series, said in (
            (SERIES.replace(b'Hibiscus', b'Bobcat'), 'nova Bobcat (service '
             'version 74)'),
            (SERIES.replace(b'SION = 74', b'SION = 75'), 'nova Hibiscus '
             '(service version 75)'),
            (b'', 'no nova that says which it is in nova/objects/service.py'),
        ):
            (self.tree / SERVICE).write_bytes(series)
            self.before = snapshot(self.tree)
            for command in ('check', 'apply'):
                self.tool(command, code=IMPOSSIBLE, said=(
                    said, 'Epoxy to Hibiscus', 'nova 31 to 34'))
                self.assert_untouched()

    def test_older_series(self):
        (self.tree / SERVICE).write_bytes(SERIES.replace(
            b'SION = 74', b'SION = 68').replace(b"'Hibiscus': 74",
                                                b'"Epoxy": 68'))
        # Its lines may stand elsewhere.
        (self.tree / 'nova/x.py').write_bytes(b'zero\n' + BEFORE)
        self.before = snapshot(self.tree)
        self.tool('apply', said='applied 31+rbd.7')
        self.tool('check', said='applied 31+rbd.7')
        self.assertEqual(b'zero\n' + AFTER,
                         (self.tree / 'nova/x.py').read_bytes())
        self.tool('revert')
        self.assert_untouched()

    def test_content_of_another_series_is_replaced(self):
        ini = self.checkout / 'patches/upstream.ini'
        ini.write_text(ini.read_text().replace(
            'nova/y.py = ', 'nova/y.py =\n    %s\n    ' %
            patch_queue.digest(b'older y\n')))
        self.tool('check', code=NOT_APPLIED)
        (self.tree / 'nova/y.py').write_bytes(b'older y\n')
        self.before = snapshot(self.tree)
        self.tool('apply')
        self.assert_applied()
        self.tool('revert')
        self.assert_untouched()

    def test_collision(self):
        (self.tree / 'nova/new/deep').mkdir(parents=True)
        (self.tree / 'nova/new/deep/z.py').write_bytes(b'')
        self.before = snapshot(self.tree)
        self.tool('apply', code=IMPOSSIBLE,
                  said=('nova/new/deep/z.py', '[replacements]'))
        self.assert_untouched()

    def test_another_file_to_replace(self):
        (self.tree / 'nova/y.py').write_bytes(b'distribution patched y\n')
        self.before = snapshot(self.tree)
        self.tool('apply', code=IMPOSSIBLE, said='nova/y.py')
        self.assert_untouched()

    def test_symbolic_link(self):
        (self.tree / 'nova/x.py').unlink()
        (self.tree / 'nova/x.py').symlink_to('other.py')
        self.before = snapshot(self.tree)
        self.tool('apply', code=DIRTY, said='nova/x.py is not a regular file')
        self.assert_untouched()

    def test_not_a_tree(self):
        (self.tree / 'nova/__init__.py').unlink()
        self.tool('apply', code=IMPOSSIBLE, said='no nova/__init__.py')

    def test_file_in_place_of_a_directory(self):
        (self.tree / 'nova/new').write_bytes(b'')
        self.before = snapshot(self.tree)
        self.tool('apply', code=IMPOSSIBLE, said='nova/new')
        self.assert_untouched()

    def test_record_without_manifest(self):
        self.tool('apply')
        (self.tree / source_tree.RECORD / 'manifest.json').unlink()
        for command in ('check', 'apply', 'revert'):
            self.tool(command, code=DIRTY, said='manifest.json')

    def test_record_lost_an_original(self):
        self.tool('apply')
        (self.tree / source_tree.RECORD / 'originals/nova/x.py').unlink()
        self.tool('check', code=DIRTY, said='nova/x.py')

    def test_two_at_a_time(self):
        with source_tree.Tree(self.tree).lock():
            for command in ('apply', 'revert'):
                self.tool(command, code=IMPOSSIBLE, said='at work there')

    def test_applied_by_something_else(self):
        self.tool('apply')
        shutil.rmtree(self.tree / source_tree.RECORD)
        now = snapshot(self.tree)
        for command in ('check', 'apply'):
            self.tool(command, said='something else')
        self.tool('revert', code=IMPOSSIBLE, said='no record')
        self.assertEqual(now, snapshot(self.tree))

    def test_wrong_checkout(self):
        (self.checkout / 'patches/a.patch').unlink()
        self.tool('apply', code=IMPOSSIBLE, said='patches/a.patch')
        self.assert_untouched()

    def test_usage(self):
        for args in ((), ('apply',), ('mend', self.tree), ('export',),
                     ('export', '--release', '34', self.tree)):
            run = self.run_tool(*args)
            self.assertEqual(USAGE, run.returncode, args)
        run = self.run_tool('--help')
        self.assertEqual(OK, run.returncode)
        self.assertIn(b'exit codes:', run.stdout)


class SignalTest(testtools.TestCase):

    def test_handler_is_only_set_by_the_program(self):
        # The build imports the module, and must keep its own handlers.
        # In a process of its own: other tests set handlers in this one.
        code = ('import signal, sys; from patchset import build; '
                'sys.exit(signal.getsignal(signal.SIGTERM) != signal.SIG_DFL)')
        subprocess.run([sys.executable, '-c', code], check=True,
                       cwd=TOOL.parent / 'lib')
