# SPDX-License-Identifier: Apache-2.0

import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
from unittest import mock

import ddt
import fixtures
import testtools

from patchset import command as nova_patchset
from patchset import patch_queue
from patchset import source_tree
from tools.tests import small_checkout
from tools.tests.small_checkout import AFTER
from tools.tests.small_checkout import BEFORE
from tools.tests.small_checkout import SERIES
from tools.tests.small_checkout import SERVICE

TOOL = small_checkout.CHECKOUT / 'tools' / 'nova_patchset.py'
OK, IMPOSSIBLE, USAGE, DIRTY, NOT_APPLIED = range(5)

# Runs the tool with something done at the Nth time it puts a file in place.
INTERRUPTED = '''
import os, runpy, signal, sys
left, real = int(sys.argv.pop(1)), os.replace
def replace(*args):
    global left
    left -= 1
    if left == 0:
        %%s
    real(*args)
os.replace = replace
runpy.run_path(%r, run_name='__main__')
''' % str(TOOL)


def snapshot(root):
    """path -> (mode, time of change, content's digest) of a whole tree."""
    found = {}
    for path in sorted(root.rglob('*')):
        facts = path.lstat()
        entry = (stat.filemode(facts.st_mode),)
        if path.is_file():
            entry += (facts.st_mtime_ns,
                      hashlib.sha256(path.read_bytes()).hexdigest())
        found[path.relative_to(root).as_posix()] = entry
    return found


class ToolTestCase(testtools.TestCase):
    """A small checkout and a small tree, and the program itself."""

    def setUp(self):
        super().setUp()
        top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.checkout = top / 'checkout'
        self.tree = top / 'tree'
        self.modules = {'nova/y.py': b'our y\n', 'nova/new/deep/z.py': b'z\n',
                        'nova/tests/unit/test_z.py': b'test\n'}
        theirs = {'nova/__init__.py': b'', 'nova/x.py': BEFORE,
                  SERVICE: SERIES,
                  'nova/y.py': b'their y\n', 'nova/other.py': b'other\n'}
        small_checkout.make(
            self.checkout, modules=self.modules,
            replacements='nova/y.py = %s' %
            patch_queue.digest(theirs['nova/y.py']))
        (self.checkout / 'nova/new/deep/z.py').chmod(0o755)
        for path, text in theirs.items():
            (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
            (self.tree / path).write_bytes(text)
        (self.tree / 'nova' / 'y.py').chmod(0o640)
        os.utime(self.tree / 'nova' / 'y.py', (1e9, 1e9))
        self.before = snapshot(self.tree)

    def run_tool(self, *args, program=None):
        command = [sys.executable] + ([str(TOOL)] if program is None
                                      else ['-c', program[0], program[1]])
        return subprocess.run(
            command + ['--checkout', str(self.checkout)] +
            [str(arg) for arg in args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def tool(self, *args, code=OK, said=(), program=None):
        """Run it on the tree and check its exit code and its one line."""
        run = self.run_tool(args[0], self.tree, *args[1:], program=program)
        output = (run.stderr if code not in (OK, NOT_APPLIED)
                  else run.stdout + run.stderr).decode()
        self.assertEqual(code, run.returncode, output)
        self.assertEqual(1, len(output.splitlines()), output)
        for part in (said,) if isinstance(said, str) else said:
            self.assertIn(part, output)

    def assert_untouched(self):
        self.assertEqual(self.before, snapshot(self.tree))

    def assert_applied(self):
        for path, text in dict(self.modules, **{'nova/x.py': AFTER,
                                                'nova/other.py': b'other\n'}
                               ).items():
            self.assertEqual(text, (self.tree / path).read_bytes(), path)


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

    @testtools.skipIf(os.geteuid(), 'only root can give files away')
    def test_owner(self):
        os.chown(self.tree / 'nova', 12345, 12345)
        os.chown(self.tree / 'nova' / 'x.py', 12346, 12346)
        self.tool('apply')
        owners = [(self.tree / path).stat().st_uid
                  for path in ('nova/x.py', 'nova/new', 'nova/new/deep/z.py')]
        self.assertEqual([12346, 12345, 12345], owners)
        self.tool('revert')
        self.assertEqual(12346, (self.tree / 'nova/x.py').stat().st_uid)

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


@ddt.ddt
class InterruptedTest(ToolTestCase):
    """At each step of the work: killed, stopped, or out of space."""

    FILES = 4
    KILL = INTERRUPTED % 'os._exit(9)'

    def killed(self, command, at):
        run = self.run_tool(command, self.tree, program=(self.KILL, str(at)))
        self.assertEqual(9, run.returncode, run.stderr)

    def test_there_are_that_many_steps(self):
        self.tool('apply', program=(self.KILL, str(self.FILES + 1)))
        self.assert_applied()

    @ddt.data(1, 2, 3, 4)
    def test_apply_killed_then_reverted(self, at):
        self.killed('apply', at)
        self.tool('check', code=DIRTY, said='half way')
        self.tool('revert', said='reverted')
        self.assert_untouched()

    @ddt.data(1, 2, 3, 4)
    def test_apply_killed_then_applied(self, at):
        self.killed('apply', at)
        self.tool('apply', said='applied')
        self.assert_applied()
        self.tool('check')
        self.tool('revert')
        self.assert_untouched()

    @ddt.data(1, 2)
    def test_revert_killed_then_reverted(self, at):
        self.tool('apply')
        self.killed('revert', at)
        self.tool('revert', said='reverted')
        self.assert_untouched()

    @ddt.data(1, 2)
    def test_revert_killed_then_applied(self, at):
        self.tool('apply')
        self.killed('revert', at)
        self.tool('apply', said='applied')
        self.assert_applied()
        self.tool('revert')
        self.assert_untouched()

    @ddt.data(1, 2, 3, 4)
    def test_stopped(self, at):
        for name, code in (('SIGTERM', 143), ('SIGINT', 130)):
            stop = 'os.kill(os.getpid(), signal.%s)' % name
            run = self.run_tool('apply', self.tree,
                                program=(INTERRUPTED % stop, str(at)))
            self.assertEqual(code, run.returncode, run.stderr)
            self.assert_untouched()

    @ddt.data(1, 2, 3, 4)
    def test_disk_full_or_the_like(self, at):
        fail = 'raise OSError(28, "No space left on device", args[1])'
        self.tool('apply', code=IMPOSSIBLE, said='No space left',
                  program=(INTERRUPTED % fail, str(at)))
        self.assert_untouched()

    def test_disk_full_while_staging(self):
        tree = source_tree.Tree(self.tree)
        patchset = patch_queue.Patchset(self.checkout)
        with mock.patch.object(os, 'rename', side_effect=OSError(28, 'full')):
            self.assertRaises(OSError, nova_patchset.apply, patchset, tree)
        self.assert_untouched()

    def test_killed_while_staging(self):
        # What a run that was killed that early leaves behind.
        left = self.tree / (source_tree.RECORD + '.tmp')
        left.mkdir()
        self.tool('check', code=NOT_APPLIED)
        self.tool('apply')
        self.assertFalse(left.exists())
        self.tool('revert')
        self.assert_untouched()


class ExportTest(ToolTestCase):

    def commit(self, mail, *options):
        """Have git am take the mail on the small tree."""
        git = shutil.which('git') or self.skipTest('needs git')
        for args in (['init', '-q'], ['add', '-A'],
                     ['commit', '-q', '-m', 'release'],
                     ['am', '-q', *options]):
            subprocess.run([git, '-c', 'user.name=A', '-c', 'user.email=a@b.c']
                           + args, cwd=self.tree, check=True, input=mail,
                           stdout=subprocess.DEVNULL)

    def test_files_without_a_last_newline(self):
        (self.checkout / 'nova/new/deep/z.py').write_bytes(b'a\rb\r\nno end')
        (self.tree / 'nova/y.py').write_bytes(b'their y\nno end')
        ini = self.checkout / 'patches/upstream.ini'
        ini.write_text(ini.read_text().replace(
            patch_queue.digest(b'their y\n'),
            patch_queue.digest(b'their y\nno end')))
        self.commit(self.run_tool('export', self.tree).stdout, '--keep-cr')
        self.modules['nova/new/deep/z.py'] = b'a\rb\r\nno end'
        self.assert_applied()
        self.assertTrue(os.access(self.tree / 'nova/new/deep/z.py', os.X_OK))

    def test_author(self):
        self.commit(self.run_tool('export', '--author',
                                  'Zoë Ops <zoe@example.org>',
                                  self.tree).stdout)
        author = subprocess.run(
            ['git', 'log', '-1', '--format=%an <%ae>'], cwd=self.tree,
            stdout=subprocess.PIPE, check=True).stdout.decode()
        self.assertEqual('Zoë Ops <zoe@example.org>\n', author)

    def test_reader_went_away(self):
        # As with "| head": no traceback.
        run = subprocess.run(
            '%s %s --checkout %s export %s | true' % (
                sys.executable, TOOL, self.checkout, self.tree), shell=True,
            stderr=subprocess.PIPE)
        self.assertEqual(b'', run.stderr)


class SignalTest(testtools.TestCase):

    def test_handler_is_only_set_by_the_program(self):
        # The build imports the module, and must keep its own handlers.
        # In a process of its own: other tests set handlers in this one.
        code = ('import signal, sys; from patchset import build; '
                'sys.exit(signal.getsignal(signal.SIGTERM) != signal.SIG_DFL)')
        subprocess.run([sys.executable, '-c', code], check=True,
                       cwd=TOOL.parent / 'lib')
