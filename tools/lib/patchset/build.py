# SPDX-License-Identifier: Apache-2.0

"""Our nova, built out of upstream's: metadata and files of the wheel.

The wheel holds upstream's files with the change applied; its metadata is
upstream's, with our version and our console scripts. Upstream's pbr.json is
left out: it names the commit of the release, and this is not that commit.
"""

import atexit
import configparser
import pathlib
import re
import shutil
import tempfile
import typing as ty

from patchset import command
from patchset import devtree
from patchset.errors import PatchsetError
from patchset import patch_queue
from patchset import source_tree
from patchset import upstream_wheel

# Fields of upstream's METADATA that are carried over below, or that
# hatchling writes by itself. Another one, in a later release, must not be
# lost silently.
KNOWN = {'metadata-version', 'name', 'version', 'dynamic', 'license-file',
         'summary', 'author-email', 'license-expression', 'project-url',
         'classifier', 'requires-python', 'description-content-type',
         'requires-dist', 'provides-extra'}


def fill_project(root: pathlib.Path, metadata: ty.Dict[str, ty.Any]) -> None:
    """Fill the [project] table from upstream's wheel.

    :param root: the checkout
    :param metadata: the table
    :raises PatchsetError: if the change does not fit the release
    """
    patchset = patch_queue.Patchset(root)
    wheel = upstream_wheel.Wheel(root)
    # A build that cannot work is to end here, before it takes time.
    patchset.plan(wheel.read, exact=True)
    theirs = wheel.metadata()
    unknown = {key.lower() for key in theirs.keys()} - KNOWN
    if unknown:
        raise PatchsetError(
            '%s: METADATA has fields that patchset/build.py does not '
            'know: %s' % (wheel.path, ', '.join(sorted(unknown))))
    name, _, address = theirs['Author-email'].partition(' <')
    metadata.update({
        'version': patchset.pin.version,
        'description': theirs['Summary'],
        'readme': {'content-type': theirs['Description-Content-Type'],
                   'text': theirs.get_payload()},
        'authors': [{'name': name, 'email': address.rstrip('>')}],
        'license': theirs['License-Expression'],
        'classifiers': theirs.get_all('Classifier'),
        'requires-python': theirs['Requires-Python'],
        'urls': {label: url for label, _, url in (
            str(field).partition(', ')
            for field in theirs.get_all('Project-URL', []))},
    })
    metadata.update(_dependencies(theirs))
    metadata.update(_entry_points(wheel, patchset))
    # hatchling takes LICENSE and AUTHORS of the checkout's top directory
    # as licence files. The list of Nova's authors is upstream's.
    (root / 'AUTHORS').write_text(
        wheel.info('licenses/AUTHORS'), 'utf-8')


def _dependencies(theirs: ty.Any) -> ty.Dict[str, ty.Any]:
    always: ty.List[str] = []
    extras: ty.Dict[str, ty.List[str]] = {
        name: [] for name in theirs.get_all('Provides-Extra', [])}
    for line in theirs.get_all('Requires-Dist'):
        requirement, _, marker = line.partition(';')
        match = re.search(r'(?:^| and )extra == "([^"]+)"$',
                          marker.strip())
        if match:
            rest = marker.strip()[:match.start()]
            extras[match[1]].append(
                requirement + (';' + rest if rest else ''))
        elif 'extra' in marker:
            raise PatchsetError(
                'METADATA of upstream: cannot read %r' % line)
        else:
            always.append(line)
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
    wheel = upstream_wheel.Wheel(root)
    stage = pathlib.Path(tempfile.mkdtemp(dir=root / 'build',
                                          prefix='stage.'))
    # hatchling runs no hook when a build fails.
    atexit.register(shutil.rmtree, stage, ignore_errors=True)
    data = 'nova-%s.data/data/' % wheel.pin.release
    wheel.extract(data, stage / 'data')
    for path in (stage / 'data').rglob('*'):
        # File by file: a directory would be searched by the rules of
        # .gitignore, which leave out the build directory.
        if path.is_file():
            build_data['shared_data'][str(path)] = str(
                path.relative_to(stage / 'data'))
    if version == 'editable':
        # The .pth file that leads there is dev-mode-dirs' doing.
        devtree.refresh(root)
        return
    wheel.extract('nova/', stage / 'lib' / 'nova')
    command.apply(patch_queue.Patchset(root),
                        source_tree.Tree(stage / 'lib'),
                        exact=True, record=False)
    build_data['force_include'][str(stage / 'lib' / 'nova')] = 'nova'
