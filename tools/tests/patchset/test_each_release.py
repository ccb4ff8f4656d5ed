# SPDX-License-Identifier: Apache-2.0

"""What holds of the change on each release of patches/upstream.ini."""

import ast
import functools
import pathlib
import shutil
import subprocess
import sys

import ddt
import fixtures
import testtools

from patchset import patch_queue
from patchset.pin import read_pin
from patchset import source_tree
from patchset import upstream_wheel
from tools.tests.small_checkout import CHECKOUT
from tools.tests.tool_case import NOT_APPLIED
from tools.tests.tool_case import OK
from tools.tests.tool_case import snapshot
from tools.tests.tool_case import TOOL

PIN = read_pin(CHECKOUT)
RELEASES = [release.name for release in PIN.releases]

# What only newer releases have, and is asked for before it is used: module of
# ours -> names.
ASKED_FOR = {'nova/cmd/image_download/cli.py': {'nova.monkey_patch.patch'}}


@functools.lru_cache(maxsize=None)
def plan(release):
    wheel = upstream_wheel.Wheel(CHECKOUT, release)
    patchset = patch_queue.Patchset(CHECKOUT, tests=False)
    return patchset.plan(wheel.read, exact=PIN.release == release)


class Names:
    """The names that modules of a release have with the change applied.

    :param release: name of it
    """

    def __init__(self, release):
        self.upstream = upstream_wheel.Wheel(CHECKOUT, release)
        self.changes = plan(release)

    def source(self, module):
        """(source, is it a package) of a module, None if there is none."""
        path = module.replace('.', '/')
        for name, package in ((path + '.py', False),
                              (path + '/__init__.py', True)):
            found = (self.changes[name].new if name in self.changes
                     else self.upstream.read(name))
            if found is not None:
                return found, package
        return None

    @functools.lru_cache(maxsize=None)
    def members(self, module):
        """name -> dotted name of what it stands for, of the top level."""
        found = {}

        def visit(node):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                    found[child.name] = ''
                    continue
                if isinstance(child, (ast.Import, ast.ImportFrom)):
                    found.update(imported(child))
                elif (isinstance(child, ast.Name) and
                        isinstance(child.ctx, ast.Store)):
                    found[child.id] = ''
                visit(child)

        visit(ast.parse(self.source(module)[0]))
        return found

    def lacks(self, dotted):
        """Whether a dotted name that begins with nova. leads nowhere."""
        module, rest = 'nova', dotted.split('.')[1:]
        while rest:
            name = rest.pop(0)
            if self.source('%s.%s' % (module, name)):
                module = '%s.%s' % (module, name)
                continue
            members = self.members(module)
            if name not in members:
                return not name.startswith('__')
            module = members[name]
            if not module.startswith('nova.') or not self.source(module):
                return False
        return False


def imported(node):
    """name -> dotted name, of an import."""
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name: '%s.%s' % (node.module, alias.name)
                for alias in node.names}
    return {alias.asname or alias.name.split('.')[0]:
            alias.name if alias.asname else alias.name.split('.')[0]
            for alias in node.names}


def used(source):
    """The dotted names of nova that a module uses."""
    tree = ast.parse(source)
    aliases, found = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            here = imported(node)
            aliases.update(here)
            found.update(here.values())
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in aliases:
            found.add('.'.join([aliases[node.id], *parts]))
    return {name for name in found if name.startswith('nova.')}


@ddt.ddt
class NamesTest(testtools.TestCase):
    """Each name of nova that a module of ours uses is in each release."""

    @ddt.data(*RELEASES)
    def test_names(self, release):
        names = Names(release)
        lacking = {}
        for path, change in plan(release).items():
            ours = change.old is None or path in PIN.replacements
            if ours and path.endswith('.py'):
                gone = {name for name in used(change.new)
                        if names.lacks(name)} - ASKED_FOR.get(path, set())
                if gone:
                    lacking[path] = gone
        self.assertEqual({}, lacking)

    def test_what_it_finds(self):
        # So the test above can fail at all.
        names = Names('33.0.2')
        source = (b'from nova import utils\nimport nova.conf\n'
                  b'from nova.image import glance as g\n'
                  b'def f(x):\n    utils.get_eventlet().tpool\n'
                  b'    utils.tpool_wrap(x.y)\n    nova.conf.CONF.glance\n'
                  b'    g.objects.nothing.at_all\n    g.no_such()\n')
        self.assertEqual(
            {'nova.utils.get_eventlet', 'nova.image.glance.no_such',
             'nova.image.glance.objects.nothing',
             'nova.image.glance.objects.nothing.at_all'},
            {name for name in used(source) if names.lacks(name)})
        self.assertTrue(names.lacks('nova.no_such_module'))


@ddt.ddt
class HooksTest(testtools.TestCase):
    """Where our names stand in upstream's files."""

    # Where upstream's files have our names: file -> (function, name) pairs;
    # None for the module itself. Less context than usual is answered by this.
    HOOKS = {
        'nova/image/glance.py': [
            ('GlanceImageServiceV2.download', 'direct_download')],
        'nova/conf/__init__.py': [(None, 'rbd_download')],
        'nova/virt/images.py': [
            ('fetch', 'image_fetch'), ('fetch', 'image_fetch'),
            ('fetch_to_raw', 'image_fetch'),
            ('fetch_to_raw', 'image_fetch')],
        'nova/virt/libvirt/imagecache.py': [
            ('ImageCacheManager.update', 'image_leftovers')],
    }

    def uses(self, source, names):
        """(function or None, name) for each use of names in a module."""
        found = []

        def visit(node, path):
            for child in ast.iter_child_nodes(node):
                inside = path
                if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                    inside = path + [child.name]
                elif isinstance(child, ast.Name) and child.id in names:
                    found.append(('.'.join(path) or None, child.id))
                visit(child, inside)

        visit(ast.parse(source), [])
        return found

    @ddt.data(*RELEASES)
    def test_hooks_stand_where_they_belong(self, release):
        changes = plan(release)
        patched = {path for path, change in changes.items()
                   if change.old is not None} - {'nova/storage/rbd_utils.py'}
        self.assertEqual(set(self.HOOKS), patched)
        for path, hooks in self.HOOKS.items():
            names = {name for _, name in hooks}
            self.assertEqual(hooks, self.uses(changes[path].new, names), path)
            self.assertEqual([], self.uses(changes[path].old, names), path)

    @ddt.data(*RELEASES)
    def test_hooks_are_what_they_are_meant_to_be(self, release):
        changes = plan(release)
        functions = {
            (path, node.name): node
            for path in self.HOOKS
            for node in ast.walk(ast.parse(changes[path].new))
            if isinstance(node, ast.FunctionDef)}

        def decorators(path, name):
            return [ast.unparse(node) for node in
                    functions[path, name].decorator_list]

        def lines(path, name):
            return ast.unparse(functions[path, name])

        images = 'nova/virt/images.py'
        self.assertEqual(['image_fetch.fetch_once(staged=True)'],
                         decorators(images, 'fetch'))
        self.assertEqual(['image_fetch.fetch_once()'],
                         decorators(images, 'fetch_to_raw'))
        self.assertIn('image_fetch.sync_file(staged)\n',
                      lines(images, 'fetch_to_raw'))
        self.assertIn('remove=image_fetch.discard', lines(images, 'fetch'))
        self.assertIn('image_leftovers.reclaim(base_dir, self.lock_path)\n',
                      lines('nova/virt/libvirt/imagecache.py', 'update'))
        glance = changes['nova/image/glance.py'].new.decode()
        self.assertNotIn("_download_handlers['rbd']", glance)
        self.assertIn('    @direct_download.before_http\n'
                      '    def download(self, context, image_id, ', glance)
        self.assertIn('\nrbd_download.register_opts(CONF)\n',
                      changes['nova/conf/__init__.py'].new.decode())

    @ddt.data(*RELEASES)
    def test_it_compiles(self, release):
        # Broken by a patch, a file may still be a text that patches well.
        for path, change in plan(release).items():
            if path.endswith('.py'):
                compile(change.new, path, 'exec')

    def test_a_tree_says_which_it_is(self):
        pin = PIN
        for release in pin.releases:
            wheel = upstream_wheel.Wheel(CHECKOUT,
                                         release.name)
            self.assertEqual(release, pin.recognise(wheel.read))


class RealReleaseTest(testtools.TestCase):
    """Our own change on the newest release."""

    RELEASE = '34'

    def setUp(self):
        super().setUp()
        top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.tree = top / 'tree'
        # A copy: somebody may edit the checkout while this runs.
        self.checkout = top / 'checkout'
        for name in ('nova', 'patches'):
            shutil.copytree(CHECKOUT / name,
                            self.checkout / name)
        self.wheel = upstream_wheel.Wheel(CHECKOUT,
                                          self.RELEASE)
        cached = self.checkout / 'build' / 'upstream'
        cached.mkdir(parents=True)
        shutil.copy(self.wheel.path, cached)
        self.wheel.extract('nova/', self.tree / 'nova')

    def tool(self, *args, code=OK):
        run = subprocess.run(
            [sys.executable, str(TOOL), '--checkout', str(self.checkout)] +
            [str(arg) for arg in args], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.assertEqual(code, run.returncode, run.stderr)
        return run.stdout

    def git(self, *args, **kwargs):
        git = shutil.which('git') or self.skipTest('needs git')
        subprocess.run([git, '-c', 'user.name=A', '-c', 'user.email=a@b.c'] +
                       list(args), cwd=self.tree, check=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       **kwargs)

    def contents(self):
        return {path: entry[2:] for path, entry in snapshot(self.tree).items()
                if not path.startswith(('.git', source_tree.RECORD))}

    def test_there_and_back(self):
        before = snapshot(self.tree)
        self.tool('check', self.tree, code=NOT_APPLIED)
        self.tool('apply', self.tree)
        self.tool('check', self.tree)
        ours = patch_queue.Patchset(self.checkout)
        for path, full in ours.modules.items():
            self.assertEqual(full.read_bytes(),
                             (self.tree / path).read_bytes(), path)
        self.tool('revert', self.tree)
        self.assertEqual(before, snapshot(self.tree))

    def test_git_am_takes_the_mail(self):
        self.git('init', '-q')
        self.git('add', '-A')
        self.git('commit', '-q', '-m', 'release')
        self.useFixture(fixtures.EnvironmentVariable('SOURCE_DATE_EPOCH',
                                                     '1790000000'))
        mail = self.tool('export', self.tree)
        self.assertEqual(mail, self.tool('export', '--release',
                                         self.RELEASE))
        self.tool('apply', self.tree)
        # The mail is the same when the change is on the tree already.
        self.assertEqual(mail, self.tool('export', self.tree))
        applied = self.contents()
        self.tool('revert', self.tree)
        self.git('am', '-q', input=mail)
        self.assertEqual(applied, self.contents())
        self.git('diff', '--quiet', 'HEAD')
        self.tool('check', self.tree)


class OldestReleaseTest(RealReleaseTest):
    """The same on the oldest release that is supported."""

    RELEASE = '29'
