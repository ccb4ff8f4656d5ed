# SPDX-License-Identifier: Apache-2.0

"""Our nova, built out of upstream's: metadata and files of the wheel.

The wheel holds upstream's files with the change applied; its metadata is
upstream's, with our version and our console scripts. Upstream's pbr.json is
left out: it names the commit of the release, and this is not that commit.
"""

import atexit
import configparser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import typing as ty

from packaging import requirements

from patchset import command
from patchset import devtree
from patchset.errors import PatchsetError
from patchset import manual_page
from patchset import patch_queue
from patchset import source_tree
from patchset import upstream_wheel

# Fields of upstream's METADATA that are carried over below, or that
# hatchling writes by itself. Another one, in a later release, must not be
# lost silently.
KNOWN = {'metadata-version', 'name', 'version', 'dynamic', 'license-file',
         'summary', 'author', 'author-email', 'home-page', 'license',
         'license-expression', 'project-url', 'classifier',
         'requires-python', 'description-content-type', 'requires-dist',
         'provides-extra'}

# The oldest Python that our modules run on, whatever upstream's say.
OLDEST_PYTHON = 9
REQUIRES_PYTHON = re.compile(r'>=3\.(\d+)')

# Names the release to build, by default the newest. There is no other way to
# say so to what pip calls.
VARIABLE = 'NOVA_RELEASE'


def fill_project(root: pathlib.Path, metadata: ty.Dict[str, ty.Any]) -> None:
    """Fill the [project] table from upstream's wheel.

    :param root: the checkout
    :param metadata: the table
    :raises PatchsetError: if the change does not fit the release
    """
    release = os.environ.get(VARIABLE, '')
    patchset = patch_queue.Patchset(root, release=release)
    wheel = upstream_wheel.Wheel(root, release)
    # A build that cannot work is to end here, before it takes time.
    patchset.plan(wheel.read, exact=patchset.pin.newest)
    theirs = wheel.metadata()
    unknown = {key.lower() for key in theirs.keys()} - KNOWN
    if unknown:
        raise PatchsetError(
            '%s: METADATA has fields that patchset/build.py does not '
            'know: %s' % (wheel.path, ', '.join(sorted(unknown))))
    name, _, address = theirs['Author-email'].rpartition(' <')
    metadata.update({
        'version': patchset.pin.version,
        'description': theirs['Summary'],
        # Nova 32 and older does not say which form it has.
        'readme': {'content-type': (theirs['Description-Content-Type'] or
                                    'text/x-rst'),
                   'text': theirs.get_payload()},
        # Nova 32 and older has them in two fields.
        'authors': [{'name': name or theirs['Author'],
                     'email': address.rstrip('>')}],
        'classifiers': theirs.get_all('Classifier'),
        'requires-python': _requires_python(theirs['Requires-Python']),
        'urls': {label: url for label, _, url in (
            str(field).partition(', ')
            for field in theirs.get_all('Project-URL', []))},
    })
    if theirs['Home-page']:
        metadata['urls']['Homepage'] = theirs['Home-page']
    if theirs['License-Expression']:
        metadata['license'] = theirs['License-Expression']
    elif theirs['License']:
        metadata['license'] = {'text': theirs['License']}
    metadata.update(_dependencies(theirs))
    metadata.update(_entry_points(wheel, patchset))
    # hatchling takes LICENSE and AUTHORS of the checkout's top directory
    # as licence files. The list of Nova's authors is upstream's.
    # Metadata 2.1, of Nova 29, has it beside METADATA.
    (root / 'AUTHORS').write_text(
        wheel.info('AUTHORS' if theirs['Metadata-Version'] < '2.4'
                   else 'licenses/AUTHORS'), 'utf-8')


def _requires_python(theirs: str) -> str:
    match = REQUIRES_PYTHON.fullmatch(theirs)
    if not match:
        raise PatchsetError(
            'METADATA of upstream: cannot read Requires-Python: %r' % theirs)
    return '>=3.%d' % max(int(match[1]), OLDEST_PYTHON)


def _dependencies(theirs: ty.Any) -> ty.Dict[str, ty.Any]:
    always: ty.List[str] = []
    extras: ty.Dict[str, ty.List[str]] = {
        name: [] for name in theirs.get_all('Provides-Extra', [])}
    for line in theirs.get_all('Requires-Dist'):
        # In one spelling: releases differ in quotes and blanks.
        parsed = requirements.Requirement(line)
        marker, parsed.marker = str(parsed.marker or ''), None
        match = re.search(r'(?:^| and )extra == "([^"]+)"$', marker)
        if match:
            rest = marker[:match.start()]
            extras[match[1]].append(
                str(parsed) + ('; ' + rest if rest else ''))
        elif 'extra' in marker:
            raise PatchsetError(
                'METADATA of upstream: cannot read %r' % line)
        else:
            always.append(str(requirements.Requirement(line)))
    return {'dependencies': always, 'optional-dependencies': extras}


def _entry_points(wheel: upstream_wheel.Wheel,
                  patchset: patch_queue.Patchset) -> ty.Dict[str, ty.Any]:
    parser = configparser.ConfigParser(delimiters=('=',),
                                       interpolation=None)
    parser.optionxform = str            # type: ignore
    parser.read_string(wheel.info('entry_points.txt'))
    points = {group: dict(parser[group]) for group in parser.sections()}
    scripts = points.pop('console_scripts')
    for script in set(scripts) & set(patchset.pin.scripts):
        raise PatchsetError(
            'patches/upstream.ini: upstream has a script %s too' % script)
    return {'scripts': dict(scripts, **patchset.pin.scripts),
            'entry-points': points}


def give_files(root: pathlib.Path, version: str,
               build_data: ty.Dict[str, ty.Any]) -> None:
    """Give hatchling the files of the wheel.

    :param root: the checkout
    :param version: "standard", or "editable" for the development tree
    :param build_data: what hatchling is to put into the wheel
    """
    release = os.environ.get(VARIABLE, '')
    wheel = upstream_wheel.Wheel(root, release)
    stage = pathlib.Path(tempfile.mkdtemp(dir=root / 'build',
                                          prefix='stage.'))
    # hatchling runs no hook when a build fails.
    atexit.register(shutil.rmtree, stage, ignore_errors=True)
    # Nova 32 and older has programs for WSGI servers among them.
    for kind in ('data', 'scripts'):
        wheel.extract('nova-%s.data/%s/' % (wheel.pin.release, kind),
                      stage / kind)
    if version == 'editable':
        if not wheel.pin.newest:
            raise PatchsetError(
                '%s=%s: only the newest release, %s, is installed as editable'
                % (VARIABLE, release, wheel.pin.releases[0].name))
        # The .pth file that leads there is dev-mode-dirs' doing.
        devtree.refresh(root)
    else:
        wheel.extract('nova/', stage / 'lib' / 'nova')
        command.apply(patch_queue.Patchset(root, release=release),
                      source_tree.Tree(stage / 'lib'),
                      exact=wheel.pin.newest, record=False)
        build_data['force_include'][str(stage / 'lib' / 'nova')] = 'nova'
        _write_for_shells(root, stage)
    for kind in ('data', 'scripts'):
        for path in (stage / kind).rglob('*'):
            # File by file: a directory would be searched by the rules of
            # .gitignore, which leave out the build directory.
            if path.is_file():
                build_data['shared_' + kind][str(path)] = str(
                    path.relative_to(stage / kind))


def _write_for_shells(root: pathlib.Path, stage: pathlib.Path) -> None:
    """Write the completion scripts and the manual page of our command.

    :param root: the checkout
    :param stage: has our Nova in "lib"; they go into "data"
    """
    # In a process of its own: this one must not import any Nova.
    subprocess.run(
        [sys.executable, '-B', '-m', 'nova.cmd.image_download.completion',
         str(stage / 'data')], cwd=stage / 'lib', check=True)
    page = stage / 'data' / manual_page.FILE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(manual_page.render(root), 'utf-8')
