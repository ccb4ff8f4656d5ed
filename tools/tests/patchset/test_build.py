# SPDX-License-Identifier: Apache-2.0

import configparser
import email.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest
import zipfile

import fixtures
from packaging import requirements
import testtools

from patchset import patch_queue
from patchset.pin import read_pin
from patchset import upstream_wheel
from tools.tests import small_checkout

CHECKOUT = small_checkout.CHECKOUT
BUILT = ('LICENSE', 'doc', 'pyproject.toml', 'nova', 'patches', 'tools')


def copy_checkout(root, release=''):
    """Copy what a build needs, the cached wheel of upstream included.

    :param release: of that wheel, by default the newest
    """
    root.mkdir()
    for name in BUILT:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, root / name,
                            ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(source, root / name)
    cached = upstream_wheel.Wheel(CHECKOUT, release).path
    (root / 'build' / 'upstream').mkdir(parents=True)
    shutil.copy(cached, root / 'build' / 'upstream')


def pip(*args, release='', **kwargs):
    # The build's requirements are in the test environment already, so that
    # the tests need no network.
    return subprocess.run(
        [sys.executable, '-m', 'pip', '--disable-pip-version-check'] +
        [str(arg) for arg in args], stdout=subprocess.PIPE,
        env=dict(os.environ, NOVA_RELEASE=release),
        stderr=subprocess.STDOUT, text=True, **kwargs)


def read_metadata(archive):
    name = [n for n in archive.namelist() if n.endswith('/METADATA')][0]
    return email.parser.Parser().parsestr(archive.read(name).decode())


def requirement(text):
    """A requirement in one spelling, whichever way it was written."""
    parsed = requirements.Requirement(text)
    name = re.sub(r'[-_.]+', '-', parsed.name).lower()
    marker = re.sub(r'[()]', '', str(parsed.marker or ''))
    return name, str(parsed.specifier), sorted(parsed.extras), marker


def read_entry_points(archive):
    name = [n for n in archive.namelist()
            if n.endswith('.dist-info/entry_points.txt')][0]
    parser = configparser.ConfigParser(delimiters=('=',))
    parser.optionxform = str
    parser.read_string(archive.read(name).decode())
    return {group: dict(parser[group]) for group in parser.sections()}


class NewestWheelTest(testtools.TestCase):
    """pip wheel, and what is in it."""

    # What upstream's wheel of the release has.
    RELEASE = '34.0.0'
    PYTHON = '>=3.11'
    SCRIPTS = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = fixtures.TempDir()
        temporary.setUp()
        cls.addClassCleanup(temporary.cleanUp)
        top = pathlib.Path(temporary.path)
        cls.checkout = top / 'checkout'
        copy_checkout(cls.checkout, cls.RELEASE)
        cls.run_ = pip('wheel', '--no-deps', '--no-build-isolation',
                       '--wheel-dir', top / 'dist', cls.checkout,
                       release=cls.RELEASE)
        if cls.run_.returncode:
            raise AssertionError(cls.run_.stdout)
        cls.wheels = list((top / 'dist').iterdir())
        cls.ours = zipfile.ZipFile(cls.wheels[0])
        cls.addClassCleanup(cls.ours.close)
        cls.wheel = upstream_wheel.Wheel(CHECKOUT, cls.RELEASE)
        cls.theirs = cls.wheel.archive
        cls.patchset = patch_queue.Patchset(cls.checkout,
                                            release=cls.RELEASE)

    def test_name(self):
        version = '%s+rbd.%d' % (self.RELEASE, self.patchset.pin.revision)
        self.assertEqual(['nova-%s-py3-none-any.whl' % version],
                         [path.name for path in self.wheels])
        self.assertEqual(version, self.patchset.pin.version)

    def test_every_file(self):
        changes = self.patchset.plan(self.wheel.read, exact=False)
        names = set(self.ours.namelist())
        for entry in self.theirs.infolist():
            name = entry.filename
            if '.dist-info/' in name:
                continue
            ours = name.replace(
                'nova-%s.data' % self.patchset.pin.release,
                'nova-%s.data' % self.patchset.pin.version)
            self.assertIn(ours, names)
            wanted = changes[name].new if name in changes else (
                self.theirs.read(name))
            self.assertEqual(wanted, self.ours.read(ours), name)
            self.assertEqual(entry.external_attr >> 16 & 0o111,
                             self.ours.getinfo(ours).external_attr >> 16 &
                             0o111, name)
            names.discard(ours)
        # What is made for shells and man is tested below.
        names = {n for n in names if '.dist-info/' not in n and
                 '.data/data/share/' not in n}
        self.assertEqual({path for path, change in changes.items()
                          if change.old is None}, names)
        for name in names:
            self.assertEqual((self.checkout / name).read_bytes(),
                             self.ours.read(name), name)

    def test_data_files(self):
        # test_every_file would not see that upstream's have moved.
        prefix = 'nova-%s.data/data/etc/nova/' % self.patchset.pin.version
        for name in ('api-paste.ini', 'rootwrap.conf',
                     'rootwrap.d/compute.filters'):
            self.assertIn(prefix + name, self.ours.namelist())
        scripts = [name.rpartition('/')[2] for name in self.ours.namelist()
                   if '.data/scripts/' in name]
        self.assertEqual(list(self.SCRIPTS), sorted(scripts))

    def test_what_shells_and_man_find(self):
        prefix = 'nova-%s.data/data/' % self.patchset.pin.version
        for name, words in (
            ('share/bash-completion/completions/nova-image-download',
             'complete -o'),
            ('share/zsh/site-functions/_nova-image-download',
             '#compdef nova-image-download'),
            ('share/nova/nova-image-download.tcsh',
             'complete nova-image-download'),
            ('share/man/man1/nova-image-download.1',
             '.TH "nova-image-download" "1"'),
        ):
            self.assertIn(words, self.ours.read(prefix + name).decode())

    def test_metadata(self):
        ours, theirs = read_metadata(self.ours), self.wheel.metadata()
        self.assertEqual(self.patchset.pin.version, ours['Version'])
        for field in ('Name', 'Summary', 'License', 'License-Expression'):
            self.assertEqual(theirs[field], ours[field], field)
        self.assertEqual(self.PYTHON, ours['Requires-Python'])
        self.assertEqual('OpenStack <openstack-discuss@lists.openstack.org>',
                         ours['Author-email'])
        self.assertEqual('text/x-rst', ours['Description-Content-Type'])
        if theirs['Home-page']:
            # hatchling writes it as one of the others.
            theirs['Project-URL'] = 'Homepage, ' + theirs['Home-page']
        for field in ('Classifier', 'Project-URL', 'Provides-Extra',
                      'License-File'):
            self.assertEqual(sorted(theirs.get_all(field)),
                             sorted(ours.get_all(field)), field)
        self.assertEqual(theirs.get_payload().strip(),
                         ours.get_payload().strip())

    def test_requirements(self):
        ours, theirs = ([requirement(line) for line in
                         metadata.get_all('Requires-Dist')]
                        for metadata in (read_metadata(self.ours),
                                         self.wheel.metadata()))
        self.assertEqual(sorted(theirs), sorted(ours))
        # With an extra that has a condition of its own, too.
        self.assertIn('zvmcloudconnector', [line[0] for line in ours])

    def test_entry_points(self):
        wanted = read_entry_points(self.theirs)
        wanted['console_scripts'].update(self.patchset.pin.scripts)
        self.assertEqual(wanted, read_entry_points(self.ours))

    def test_licences(self):
        at = 'nova-%s.dist-info/licenses/' % self.patchset.pin.version
        theirs, = (name for name in self.theirs.namelist()
                   if name.endswith('/AUTHORS'))
        self.assertEqual(self.theirs.read(theirs), self.ours.read(
            at + 'AUTHORS'))
        self.assertIn(b'Apache License', self.ours.read(at + 'LICENSE'))

    def test_nothing_is_left(self):
        self.assertEqual(['upstream'], [
            path.name for path in (self.checkout / 'build').iterdir()])

    def test_version_at_run_time(self):
        # Nova reads its version through pbr, which reads the metadata.
        site = self.useFixture(fixtures.TempDir()).path
        self.ours.extractall(site)
        run = subprocess.run(
            [sys.executable, '-c',
             'import sys; sys.path.insert(0, %r); import nova.version as v; '
             'print(v.__file__, v.version_info.version_string(), '
             'v.version_info.release_string())' % site],
            stdout=subprocess.PIPE, text=True, check=True)
        where, version, release = run.stdout.split()
        self.assertTrue(where.startswith(site))
        self.assertEqual(self.patchset.pin.release, version)
        self.assertEqual(self.patchset.pin.version, release)


class GazpachoWheelTest(NewestWheelTest):

    RELEASE = '33.0.2'
    PYTHON = '>=3.10'


class FlamingoWheelTest(NewestWheelTest):

    RELEASE = '32.2.1'
    PYTHON = '>=3.10'
    SCRIPTS = ('nova-api-wsgi', 'nova-metadata-wsgi')


class EpoxyWheelTest(FlamingoWheelTest):

    RELEASE = '31.3.1'
    PYTHON = '>=3.9'


class DalmatianWheelTest(FlamingoWheelTest):

    RELEASE = '30.3.0'
    PYTHON = '>=3.9'


class CaracalWheelTest(FlamingoWheelTest):

    RELEASE = '29.4.0'
    PYTHON = '>=3.9'


class EditableTest(testtools.TestCase):
    """pip install -e, as far as it goes without another environment."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = fixtures.TempDir()
        temporary.setUp()
        cls.addClassCleanup(temporary.cleanUp)
        top = pathlib.Path(temporary.path)
        cls.checkout = top / 'checkout'
        copy_checkout(cls.checkout)
        run = subprocess.run(
            [sys.executable, '-c', 'import hatchling.build as b; '
             'print(b.build_editable(%r))' % str(top)],
            cwd=cls.checkout, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        if run.returncode:
            raise AssertionError(run.stdout)
        cls.site = top / 'site'
        with zipfile.ZipFile(top / run.stdout.split()[-1]) as wheel:
            cls.names = wheel.namelist()
            cls.entry_points = read_entry_points(wheel)
            wheel.extractall(cls.site)

    def python(self, code, cwd):
        # The paths of our .pth file come before the test environment's.
        code = ('import site, sys; old = list(sys.path); sys.path[:] = []; '
                'site.addsitedir(%r); sys.path += old; ' % str(self.site) +
                code)
        return subprocess.run([sys.executable, '-c', code], cwd=cwd,
                              check=True, stdout=subprocess.PIPE,
                              text=True).stdout.strip()

    def test_imports_from_the_tree(self):
        code = ('import nova.version; from nova.conf import rbd_download; '
                'print(nova.__file__, nova.version.version_info'
                '.release_string(), rbd_download.__file__)')
        tree = str(self.checkout / 'build' / 'tree' / 'nova')
        version = read_pin(CHECKOUT).version
        # The checkout has a directory nova/ too: it must not get in the way.
        for cwd in ('/', self.checkout):
            self.assertEqual(
                '%s/__init__.py %s %s/conf/rbd_download.py' % (
                    tree, version, tree), self.python(code, cwd))

    def test_an_edit_counts_at_once(self):
        with open(self.checkout / 'nova/conf/rbd_download.py', 'a') as stream:
            stream.write('\nEDITED = 5\n')
        self.assertEqual('5', self.python(
            'from nova.conf import rbd_download as r; print(r.EDITED)', '/'))

    def test_scripts(self):
        self.assertIn('nova-compute', self.entry_points['console_scripts'])
        self.assertTrue([name for name in self.names
                         if name.endswith('/etc/nova/api-paste.ini')])


class BrokenBuildTest(testtools.TestCase):
    """Each thing that may be wrong ends the build and names the file."""

    def setUp(self):
        super().setUp()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.checkout = self.top / 'checkout'
        copy_checkout(self.checkout)
        self.patches = self.checkout / 'patches'

    def refuse(self, *said):
        run = subprocess.run(
            [sys.executable, '-c', 'import hatchling.build as b; '
             'b.build_wheel(%r)' % str(self.top / 'dist')], cwd=self.checkout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertNotEqual(0, run.returncode)
        line = [text for text in run.stdout.splitlines()
                if 'PatchsetError:' in text]
        self.assertEqual(1, len(line), run.stdout)
        for part in said:
            self.assertIn(part, line[0])
        self.assertFalse((self.top / 'dist').exists() and
                         list((self.top / 'dist').iterdir()))
        self.assertEqual([], list((self.checkout / 'build').glob('stage.*')))

    def first_patch(self):
        patchset = patch_queue.Patchset(self.checkout)
        if not patchset.patches:
            raise unittest.SkipTest('the queue is empty')
        patch = patchset.patches[0]
        return self.patches / patch.name, list(patch.files)[0]

    def test_collision(self):
        (self.checkout / 'nova/utils.py').write_text('')
        self.refuse('nova/utils.py', 'upstream.ini')

    def test_patch_needs_fuzz(self):
        path, changed = self.first_patch()
        lines = path.read_bytes().splitlines(keepends=True)
        at = [i for i, line in enumerate(lines) if line.startswith(b'@@')][0]
        lines[at + 1] = b' something else\n'
        path.write_bytes(b''.join(lines))
        self.refuse(path.name, changed, 'hunk 1')

    def test_patch_fits_elsewhere(self):
        path, changed = self.first_patch()
        text = path.read_bytes()
        path.write_bytes(re.sub(
            rb'@@ -(\d+),(\d+) \+(\d+)',
            lambda m: b'@@ -%d,%s +%d' % (int(m[1]) + 1, m[2],
                                          int(m[3]) + 1), text, count=1))
        self.refuse(path.name, changed, 'refresh')

    def test_patch_missing(self):
        path, _ = self.first_patch()
        path.unlink()
        self.refuse(path.name, 'series')

    def test_patch_not_listed(self):
        path, _ = self.first_patch()
        shutil.copy(path, self.patches / '9999-more.patch')
        self.refuse('9999-more.patch', 'series')

    def test_replacement_missing(self):
        with open(self.patches / 'upstream.ini') as stream:
            text = stream.read()
        (self.patches / 'upstream.ini').write_text(text.replace(
            '[replacements]\n', '[replacements]\nnova/utils.py = 00\n'))
        self.refuse('nova/utils.py')

    def test_wrong_hash(self):
        wheel = upstream_wheel.Wheel(self.checkout)
        with open(wheel.path, 'ab') as stream:
            stream.write(b'x')
        self.refuse(wheel.path.name, wheel.pin.sha256)

    def test_release_that_is_not_listed(self):
        self.useFixture(fixtures.EnvironmentVariable('NOVA_RELEASE', '35'))
        self.refuse('nova 35', '34.0.0, 33.0.2')

    def test_script_that_upstream_has_too(self):
        module = next(iter(patch_queue.Patchset(self.checkout).modules))
        name = module[:-len('.py')].replace('/', '.')
        text = (self.patches / 'upstream.ini').read_text()
        (self.patches / 'upstream.ini').write_text(text.replace(
            '[scripts]\n', '[scripts]\nnova-compute = %s:main\n' % name))
        self.refuse('nova-compute')
