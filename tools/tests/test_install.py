# SPDX-License-Identifier: Apache-2.0

"""The ways to install that the guide names, each with what it is for.

The real upstream wheel and sdist, kolla's own templates, and Debian's package.
"""

import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import venv

import fixtures
import testtools

from environment import wheel_environment
from patchset.pin import read_pin
from patchset import upstream_wheel
from tools.tests import small_checkout

CHECKOUT = small_checkout.CHECKOUT
TOOL = CHECKOUT / 'tools' / 'nova_patchset.py'
CACHE = CHECKOUT / 'build' / 'upstream'
KOLLA = ['kolla==23.0.0', 'docker', 'GitPython', 'gitdb', 'smmap']
DEB = 'python3-nova_34.0.0-4_all.deb'
DEB_SHA256 = ('529d7fe09f1f59fa353426d21ca97037f92266754b8e5a8c5c90638ce0d50c'
              'cb')
# In the archives that apt knows.
DEB_FROM = 'pool/main/n/nova/'


def snapshot(root):
    """path -> (mode, digest) of every file, and the empty directories."""
    return {path.relative_to(root).as_posix(): (
        stat.filemode(path.lstat().st_mode),
        path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest())
        for path in root.rglob('*')}


def differences(before, after):
    """What differs between two snapshots: path -> before and after."""
    return {path: (before.get(path), after.get(path))
            for path in sorted(set(before) | set(after))
            if before.get(path) != after.get(path)}


def run(*command, status=0, **kwargs):
    """Run a command and return what it says."""
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        **kwargs)
    if done.returncode != status:
        raise AssertionError('%s: status %d\n%s' % (
            ' '.join(map(str, command)), done.returncode, done.stdout))
    return done.stdout


class InstallCase(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.version = read_pin(CHECKOUT).version
        self.upstream = upstream_wheel.Wheel(CHECKOUT)

    def environment(self):
        """A virtual environment with upstream's wheel, as users have it."""
        folder = self.top / 'venv'
        venv.create(folder)
        # Upstream's wheel by its name, and not as a file, which pip would
        # note down; and no network.
        self.useFixture(fixtures.EnvironmentVariable(
            'PIP_FIND_LINKS', str(self.upstream.path.parent)))
        self.useFixture(fixtures.EnvironmentVariable('PIP_NO_INDEX', '1'))
        # Compiling all of Nova takes long. What runs gets compiled, too.
        self.useFixture(fixtures.EnvironmentVariable('PIP_NO_COMPILE', 'no'))
        self.python = folder / 'bin' / 'python'
        self.pip('install', '--no-deps',
                 'nova==%s' % self.upstream.pin.release)
        return folder

    def pip(self, *arguments):
        wheel_environment.pip('--python', self.python, *arguments)

    def command(self, *command, **kwargs):
        """Run one with Nova's requirements taken from this environment."""
        return run(*command, cwd=self.top, env=dict(
            os.environ, PYTHONPATH=self.requirements,
            PYTHONDONTWRITEBYTECODE=''), **kwargs)

    @property
    def requirements(self):
        return os.pathsep.join(path for path in sys.path if path.endswith(
            ('site-packages', 'dist-packages')))


class VirtualEnvironmentTest(InstallCase):
    """pip install of our wheel, and back."""

    def test_there_and_back(self):
        folder = self.environment()
        before = snapshot(folder)
        wheel = wheel_environment.build_wheel(CHECKOUT, self.top / 'dist')
        for way_back in (self.install_upstream_over_it, self.uninstall):
            self.pip('install', '--no-deps', wheel)
            self.assertIn('Version: %s\n' % self.version, run(
                sys.executable, '-m', 'pip', '--python', self.python, 'show',
                'nova'))
            said = self.command(folder / 'bin' / 'nova-image-download',
                                '--help')
            self.assertIn('check', said)
            self.assertTrue(list(folder.rglob(
                'image_download/__pycache__/cli.*.pyc')))
            way_back()
            # pip leaves the directories of the completion and the manual
            # page, empty.
            self.assertEqual({}, differences(before, {
                path: entry for path, entry in snapshot(folder).items()
                if entry[1] or path.split('/')[0] != 'share'}))

    def install_upstream_over_it(self):
        self.pip('install', '--no-deps', '--force-reinstall',
                 'nova==%s' % self.upstream.pin.release)

    def uninstall(self):
        self.pip('uninstall', '--yes', 'nova')
        self.assertEqual([], list(self.python.parents[1].rglob('*nova*')))
        self.pip('install', '--no-deps',
                 'nova==%s' % self.upstream.pin.release)


class KollaTest(InstallCase):
    """The override for kolla-build, in kolla's own template."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = fixtures.TempDir()
        temporary.setUp()
        cls.addClassCleanup(temporary.cleanUp)
        top = pathlib.Path(temporary.path)
        kolla = CHECKOUT / 'build' / KOLLA[0].replace('==', '-')
        if not kolla.exists():
            wheel_environment.pip('install', '--no-compile', '--no-deps',
                                  '--target', top / 'kolla', *KOLLA)
            shutil.move(top / 'kolla', kolla)
        run(sys.executable, '-m', 'kolla.cmd.build', '--template-only',
            '--work-dir', top, '--template-override',
            CHECKOUT / 'tools' / 'kolla' / 'template-overrides.j2',
            '^nova-compute$', cwd=top,
            env=dict(os.environ, PYTHONPATH=str(kolla)))
        found, = top.rglob('nova-compute/Dockerfile')
        cls.dockerfile = found.read_text()

    def commands(self):
        """What our block in the Dockerfile runs."""
        text = self.dockerfile
        ours = text[text.index('ADD additions-archive /'):]
        match = re.search(r'(?s)\nRUN (.*?[^\\])\n', ours)
        # It runs as root still.
        self.assertNotIn('USER', text[text.rindex('FROM'):
                                      text.index(match[0])])
        self.assertIn('\nUSER nova', ours)
        return match[1]

    def test_what_the_image_gets(self):
        site, = self.environment().glob('lib/*/site-packages')
        # ADD unpacks the archive that kolla-build makes of the addition.
        root = self.top / 'root'
        (root / 'usr/local/bin').mkdir(parents=True)
        for name in ('nova', 'patches', 'tools'):
            shutil.copytree(CHECKOUT / name,
                            root / 'additions/nova-rbd-archive-main' / name,
                            ignore=shutil.ignore_patterns('__pycache__'))
        commands = re.sub(r'(?<= )/(?=additions|usr)', '%s/' % root,
                          self.commands())
        self.assertEqual(4, commands.count(str(root)), commands)
        said = run('sh', '-c', commands, env=dict(
            os.environ, PATH='%s:%s' % (self.python.parent,
                                        os.environ['PATH'])))
        # A tree in place is named by its series.
        self.assertIn('applied %s+rbd.' % self.version.split('.')[0], said)
        self.assertFalse((root / 'additions').exists())
        self.assertIn('applied', run(sys.executable, TOOL, '--no-tests',
                                     'check', site))
        said = self.command(root / 'usr/local/bin/nova-image-download',
                            '--help')
        self.assertIn('check', said)

    def test_failure_ends_the_build(self):
        # As for an image of another release, whose lines do not fit.
        site, = self.environment().glob('lib/*/site-packages')
        (site / 'nova/storage/rbd_utils.py').write_text('# another\n')
        root = self.top / 'root'
        shutil.copytree(CHECKOUT, root / 'additions/x', symlinks=True,
                        ignore=lambda folder, names: [
                            name for name in names if folder == str(CHECKOUT)
                            and name not in ('nova', 'patches', 'tools')])
        commands = self.commands().replace(' /additions',
                                           ' %s/additions' % root)
        said = run('sh', '-c', commands, status=1, env=dict(
            os.environ, PATH='%s:%s' % (self.python.parent,
                                        os.environ['PATH'])))
        self.assertIn('rbd_utils.py', said)

    def test_name_of_the_addition(self):
        conf = (CHECKOUT / 'tools/kolla/kolla-build.conf').read_text()
        self.assertIn('[nova-compute-additions-', conf)


class SdistTest(InstallCase):
    """The exported patch on upstream's sdist."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = fixtures.TempDir()
        temporary.setUp()
        cls.addClassCleanup(temporary.cleanUp)
        cls.source = upstream_wheel.Sdist(CHECKOUT).extract(
            pathlib.Path(temporary.path))
        cls.patch_ = pathlib.Path(temporary.path) / 'nova-rbd.patch'
        cls.patch_.write_text(run(sys.executable, TOOL, 'export',
                                  '--release'))
        # What the tool itself makes of it.
        applied = pathlib.Path(temporary.path) / 'applied'
        shutil.copytree(cls.source / 'nova', applied / 'nova')
        run(sys.executable, TOOL, 'apply', applied)
        cls.wanted = snapshot(applied / 'nova')

    def setUp(self):
        super().setUp()
        self.tree = self.top / 'tree'
        shutil.copytree(self.source / 'nova', self.tree / 'nova')

    def test_patch(self):
        with open(self.patch_) as stream:
            said = subprocess.run(
                ['patch', '-p1', '--fuzz=0', '--batch'], cwd=self.tree,
                stdin=stream, stdout=subprocess.PIPE, text=True, check=True
            ).stdout
        self.assertNotIn('offset', said)
        self.assertNotIn('fuzz', said)
        # Directories that patch makes have the modes of the umask, ours those
        # of their parents.
        self.assertEqual({}, differences(*(
            {path: entry for path, entry in found.items() if entry[1]}
            for found in (self.wanted, snapshot(self.tree / 'nova')))))

    def test_git_am(self):
        git = ['git', '-C', self.tree, '-c', 'user.name=A',
               '-c', 'user.email=a@example.com', '-c', 'gc.auto=0']
        run(*git, 'init', '-q')
        run(*git, 'add', 'nova')
        run(*git, 'commit', '-qm', 'Release')
        run(*git, 'am', self.patch_)
        self.assertEqual('', run(*git, 'status', '--porcelain'))
        # git knows of no modes but one bit.
        self.assertEqual({}, differences(*(
            {path: digest for path, (_, digest) in found.items()}
            for found in (self.wanted, snapshot(self.tree / 'nova')))))

    def test_wheel_and_sdist_are_the_same_source(self):
        upstream = {name[len('nova/'):]: hashlib.sha256(
            self.upstream.read(name)).hexdigest()
            for name in self.upstream.archive.namelist()
            if name.startswith('nova/')}
        found = {name: digest for name, (_, digest) in snapshot(
            self.tree / 'nova').items() if digest}
        self.assertEqual(upstream, found)


class DebianTest(InstallCase):
    """Debian's package of the release."""

    def setUp(self):
        super().setUp()
        package = CACHE / DEB
        if not package.exists():
            self.fetch(package)
        run('dpkg-deb', '-x', package, self.top)
        self.site = self.top / 'usr/lib/python3/dist-packages'

    def fetch(self, package):
        fresh = self.top / 'package'
        archives = set(run('apt-get', 'indextargets', '--format',
                           '$(REPO_URI)', 'Created-By: Packages').split())
        for archive in sorted(archives):
            done = subprocess.run(
                ['/usr/lib/apt/apt-helper', 'download-file',
                 archive + DEB_FROM + DEB, str(fresh),
                 'SHA256:' + DEB_SHA256], cwd=self.top,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if not done.returncode:
                fresh.rename(package)
                return
        self.skipTest('no archive that apt knows has %s now' % DEB)

    def tool(self, *arguments, status=0):
        return run(sys.executable, TOOL, *arguments, self.site,
                   status=status)

    def test_there_and_back(self):
        before = snapshot(self.top)
        self.assertIn('would apply', self.tool('check', status=4))
        self.assertIn('applied 34+rbd.%d' % read_pin(CHECKOUT).revision,
                      self.tool('--no-tests', 'apply'))
        self.assertIn('applied', self.tool('--no-tests', 'check'))
        said = run(sys.executable, '-m', 'nova.cmd.image_download', '--help',
                   cwd=self.top, env=dict(
                       os.environ, PYTHONDONTWRITEBYTECODE='1',
                       PYTHONPATH=os.pathsep.join([str(self.site),
                                                   self.requirements])))
        self.assertIn('check', said)
        self.tool('revert')
        self.assertEqual({}, differences(before, snapshot(self.top)))

    def test_patch(self):
        # As a package of one's own would take it, but without fuzz.
        patch = run(sys.executable, TOOL, '--no-tests', 'export', '--release')
        subprocess.run(['patch', '-p1', '--fuzz=0', '--batch'],
                       cwd=self.site, input=patch, text=True, check=True,
                       stdout=subprocess.PIPE)
        self.assertIn('applied', self.tool('--no-tests', 'check'))
