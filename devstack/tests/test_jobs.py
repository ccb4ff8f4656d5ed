#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Compare what the jobs and the plugin use with what devstack knows.

  devstack/tests/test_jobs.py [CHECKOUT...]

Each name that .zuul.yaml sets and the plugin reads has to be in known.yaml.
With checkouts of devstack, devstack-plugin-ceph and Tempest, those names have
to be in the code there as well: a setting that nothing reads any more has no
effect, and nothing reports that.
"""

import collections.abc
import functools
import pathlib
import re
import sys
import typing as ty
import unittest

import yaml

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
KNOWN = yaml.safe_load((HERE / 'known.yaml').read_text('utf-8'))

CHECKOUTS: dict[str, pathlib.Path] = {}


def names(kind: str) -> set[str]:
    """Return all known names of a kind."""
    return {name for part in KNOWN.values() for name in part.get(kind, ())}


def jobs(*files: pathlib.Path) -> dict[str, dict[str, ty.Any]]:
    """Return the jobs that files of Zuul define, by their name."""
    return {entry['job']['name']: entry['job'] for path in files
            for entry in yaml.safe_load(path.read_text('utf-8'))
            if 'job' in entry}


@functools.cache
def zuul_files(checkout: pathlib.Path) -> list[pathlib.Path]:
    """Return the files that define jobs in a checkout."""
    return [*checkout.glob('.zuul.yaml'), *checkout.glob('zuul.d/*.yaml')]


@functools.cache
def code(checkout: pathlib.Path) -> str:
    """Return all shell code and YAML of a checkout, without comments.

    What sets a variable does not count: no job of another project shows that
    a name is read.
    """
    text = []
    for path in sorted(checkout.rglob('*')):
        if ('.git' in path.parts or not path.is_file() or
                path.suffix in ('.rst', '.md', '.txt') or
                path.name in ('.zuul.yaml', 'known.yaml') or
                {'zuul.d', 'doc', 'releasenotes', 'samples'} &
                set(path.relative_to(checkout).parts)):
            continue
        try:
            text.append(re.sub(r'(?m)(^|\s)#.*$', r'\1',
                               path.read_text('utf-8')))
        except UnicodeDecodeError:
            continue
    return '\n'.join(text)


class JobsTestCase(unittest.TestCase):

    def setUp(self):
        self.jobs = jobs(PROJECT / '.zuul.yaml')
        self.settings = names('settings') | set(re.findall(
            r'(?m)^([A-Z_]+)=', (HERE.parent / 'settings').read_text('utf-8')))
        self.plugin = ''.join(
            re.sub(r'(?m)^\s*#.*$', '', (HERE.parent / name).read_text(
                'utf-8')) for name in ('settings', 'plugin.sh'))

    def variables(self) -> collections.abc.Iterator[tuple[str, str, ty.Any]]:
        """Yield job, name and value of each variable of our devstack jobs."""
        for name, job in self.jobs.items():
            if name.startswith('nova-rbd-ceph-'):
                places = [job.get('vars', {}),
                          *job.get('group-vars', {}).values()]
                for place in places:
                    for variable, value in place.items():
                        yield name, variable, value

    def test_settings_are_read(self):
        for job, variable, value in self.variables():
            if variable == 'devstack_localrc':
                self.assertLessEqual(set(value), self.settings, job)

    def test_services_are_known(self):
        for job, variable, value in self.variables():
            if variable == 'devstack_services':
                self.assertLessEqual(set(value), names('services'), job)

    def test_variables_are_read(self):
        playbook = (PROJECT / 'playbooks' / 'check-downloads.yaml').read_text(
            'utf-8')
        ours = set(re.findall(r'\brbd_download_\w+', playbook))
        for job, variable, _value in self.variables():
            self.assertIn(variable, ours | names('job-variables'), job)

    def test_parents_are_known(self):
        parents = set(self.jobs) | names('jobs') | {'openstack-tox'}
        for name, job in self.jobs.items():
            self.assertIn(job.get('parent', 'openstack-tox'), parents, name)

    def test_the_files_that_are_named_are_there(self):
        for _job, variable, value in self.variables():
            if variable == 'tempest_test_exclude_list':
                self.assertTrue(
                    (PROJECT / value.rpartition('}}/')[2]).is_file(), value)
        for job in self.jobs.values():
            for phase in ('pre-run', 'run', 'post-run'):
                if phase in job:
                    self.assertTrue((PROJECT / job[phase]).is_file(), job)

    def test_all_is_of_the_release_that_the_patch_set_is_for(self):
        release = re.search(
            r'(?m)^\[(\d+)\.[\d.]+\]$',
            (PROJECT / 'patches' / 'upstream.ini').read_text('utf-8'))
        # Two a year since 29.
        year, half = divmod(int(release[1]) - 29, 2)
        branch = 'stable/%d.%d' % (2024 + year, 1 + half)
        found = 0
        for name, job in self.jobs.items():
            if job.get('parent', '').startswith('devstack-plugin-ceph'):
                found += 1
                self.assertEqual(branch, job.get('override-checkout'), name)
                nova = [p['override-checkout'] for p in
                        job['required-projects']
                        if p['name'] == 'openstack/nova']
                self.assertEqual([release[0].strip('[]')], nova, name)
        self.assertEqual(2, found)
        readme = (HERE.parent / 'README.rst').read_text('utf-8')
        self.assertIn('NOVA_BRANCH=%s\n' % release[0].strip('[]'), readme)
        self.assertIn('devstack-plugin-ceph %s\n' % branch, readme)
        self.assertIn('--branch %s ' % branch, readme)

    def test_image_formats_are_not_left_out(self):
        left_out = [line for line in (HERE.parent / 'tempest_skiplist.txt')
                    .read_text('utf-8').splitlines()
                    if line and not line.startswith('#')]
        formats = 'tempest.api.image.v2.test_images_formats.ImagesFormatTest'
        for regex in left_out:
            self.assertIsNone(re.search(regex, formats), regex)

    def test_the_plugin_uses_what_is_known(self):
        known = self.settings | names('variables') | {'LINENO', 'BASH_SOURCE'}
        for name in re.findall(r'\$\{?([A-Z][A-Z0-9_]+)', self.plugin):
            if not name.startswith('NOVA_RBD_'):
                self.assertIn(name, known)
        for name in names('functions'):
            self.assertRegex(self.plugin, r'\b%s\b' % name)

    def test_the_phases_are_known(self):
        phases = re.findall(r'"\$1" == "(\w+)"(?: && "\$2" == "([\w-]+)")?',
                            self.plugin)
        self.assertEqual(set(KNOWN['devstack']['phases']),
                         {' '.join(filter(None, phase)) for phase in phases})


class CheckoutsTestCase(unittest.TestCase):
    """What is known is so in the checkouts that were given."""

    def setUp(self):
        if not CHECKOUTS:
            self.skipTest('no checkout was given')
        self.code = {name: code(path) for name, path in CHECKOUTS.items()}
        self.jobs = jobs(*(file for path in CHECKOUTS.values()
                           for file in zuul_files(path)))

    def each(self, kind: str) -> collections.abc.Iterator[tuple[str, str]]:
        for project, text in self.code.items():
            for name in KNOWN[project].get(kind, ()):
                yield name, text

    def assert_read(self, name: str, text: str) -> None:
        # Not an assignment alone, unless it takes a value that was there.
        if not re.search(r'\b%s\b(?!=)|\b%s=.*\b%s\b' % ((name,) * 3), text):
            self.fail('nothing reads %s' % name)

    def test_names(self):
        for kind in ('settings', 'variables', 'job-variables'):
            for name, text in self.each(kind):
                with self.subTest(name):
                    self.assert_read(name, text)

    def test_functions(self):
        for name, text in self.each('functions'):
            with self.subTest(name):
                self.assertRegex(text, r'(?m)^function %s\b' % name)

    def test_services(self):
        if 'devstack' not in CHECKOUTS:
            self.skipTest('no checkout of devstack was given')
        services = self.jobs['devstack']['vars']['devstack_services']
        for name in KNOWN['devstack']['services']:
            self.assertIn(name, services)

    def test_phases(self):
        for name, text in self.each('phases'):
            with self.subTest(name):
                self.assertRegex(
                    text, r'(?m)^\s*run_phase %s$' % re.escape(name))

    def test_parents(self):
        for name, text in self.each('jobs'):
            with self.subTest(name):
                job = self.jobs[name]
                while 'nodeset' not in job:
                    job = self.jobs[job['parent']]
                self.assertEqual(KNOWN['devstack-plugin-ceph']['jobs'][name],
                                 job['nodeset'])

    def test_nodesets(self):
        nodesets = {entry['nodeset']['name']: entry['nodeset']
                    for path in CHECKOUTS.values()
                    for file in zuul_files(path)
                    for entry in yaml.safe_load(file.read_text('utf-8'))
                    if 'nodeset' in entry}
        for name, _text in self.each('nodesets'):
            with self.subTest(name):
                self.assertEqual(
                    KNOWN['devstack']['nodesets'][name],
                    [node['name'] for node in nodesets[name]['nodes']])


if __name__ == '__main__':
    for argument in sys.argv[1:]:
        checkout = pathlib.Path(argument).resolve()
        if checkout.name not in KNOWN or not checkout.is_dir():
            sys.exit('%s is not a checkout of %s' % (argument,
                                                     ', '.join(KNOWN)))
        CHECKOUTS[checkout.name] = checkout
    unittest.main(argv=sys.argv[:1])
