# SPDX-License-Identifier: Apache-2.0

"""A small checkout and a small tree, for tests of tools/nova_patchset.py."""

import hashlib
import os
import pathlib
import stat
import subprocess
import sys

import fixtures
import testtools

from patchset import patch_queue
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
        %%(what)s
    real(*args)
os.replace = replace
unlink = os.unlink
def counting_unlink(path, **kwargs):
    global left
    # Of the work on the tree, not of cleaning up.
    if not kwargs and '.nova-patchset' not in str(path):
        left -= 1
        if left == 0:
            args = (path, path)
            %%(what)s
    unlink(path, **kwargs)
os.unlink = counting_unlink
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
                  'nova/y.py': b'their y\n', 'nova/other.py': b'other\n',
                  SERVICE: SERIES}
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
