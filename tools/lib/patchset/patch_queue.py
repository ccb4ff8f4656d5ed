# SPDX-License-Identifier: Apache-2.0

"""The change this project makes to Nova, read from its checkout.

The change is patches/series with the patches it names, and every file under
nova/. patches/upstream.ini says which release it is made for.
"""

import hashlib
import os
import pathlib
import re
import typing as ty

from patchset.errors import PatchsetError
from patchset import patches
from patchset.pin import read_pin

LITTER = re.compile(r'^\.|~$|\.(orig|rej|pyc|swp)$|^__pycache__$')

Reader = ty.Callable[[str], ty.Optional[bytes]]


class Change(ty.NamedTuple):
    """What happens to one path; ``old`` is None for a file that is new."""

    old: ty.Optional[bytes]
    new: bytes
    executable: bool


def digest(data: ty.Optional[bytes]) -> ty.Optional[str]:
    """Return the sha256 of a file's content, None for no file."""
    return None if data is None else hashlib.sha256(data).hexdigest()


class Patchset:
    """The whole change: the patches in order, and our own files.

    :param checkout: directory with patches/ and nova/
    :param tests: whether nova/tests/ is part of it
    :param release: the release to make packages of, by default the newest;
        a tree says itself which series it is of
    :ivar modules: our own files: path in the tree -> file of the checkout
    :ivar contents: what is in them, as the change of a tree without them
    :raises PatchsetError: for anything wrong with the checkout itself
    """

    def __init__(self, checkout: pathlib.Path,
                 tests: bool = True, release: str = '') -> None:
        self.checkout = checkout
        self.pin = read_pin(checkout, release)
        self.patches = self._read_patches()
        self.modules = self._find_modules(tests)
        self.contents = {path: Change(None, full.read_bytes(),
                                      os.access(full, os.X_OK))
                         for path, full in self.modules.items()}
        for path in self.pin.replacements:
            if path not in self.modules:
                raise PatchsetError(
                    'patches/upstream.ini: %s is listed as a replacement but '
                    'the checkout has no such file' % path)
        for patch in self.patches:
            for path in patch.files:
                if path in self.modules:
                    raise PatchsetError(
                        'patches/%s changes %s, a file of the checkout: edit '
                        'that instead' % (patch.name, path))
        for script, target in self.pin.scripts.items():
            module = target.partition(':')[0].replace('.', '/')
            if not {module + '.py',
                    module + '/__init__.py'} & set(self.modules):
                raise PatchsetError(
                    'patches/upstream.ini: script %s: the checkout has no '
                    'module for %s' % (script, target))

    def _read_patches(self) -> ty.List[patches.Patch]:
        folder = self.checkout / 'patches'
        try:
            series = (folder / 'series').read_text('utf-8').splitlines()
        except OSError as exc:
            raise PatchsetError('patches/series: %s' % exc.strerror) from None
        names = [line.strip() for line in series
                 if line.strip() and not line.startswith('#')]
        for path in sorted(folder.glob('*.patch')):
            if path.name not in names:
                raise PatchsetError('patches/%s is not listed in '
                                    'patches/series' % path.name)
        found = []
        for name in names:
            try:
                text = (folder / name).read_bytes()
            except OSError as exc:
                raise PatchsetError('patches/%s, listed in patches/series: %s'
                                    % (name, exc.strerror)) from None
            if names.count(name) > 1:
                raise PatchsetError('patches/%s is listed twice in '
                                    'patches/series' % name)
            found.append(patches.parse_patch(name, text))
        return found

    def _find_modules(self, tests: bool) -> ty.Dict[str, pathlib.Path]:
        found = {}
        for folder, folders, files in os.walk(self.checkout / 'nova'):
            folders[:] = sorted(f for f in folders if not LITTER.search(f))
            for name in sorted(files):
                if LITTER.search(name):
                    continue
                full = pathlib.Path(folder, name)
                path = full.relative_to(self.checkout).as_posix()
                if path in self.pin.replacements or tests or (
                        not path.startswith('nova/tests/')):
                    found[path] = full
        return found

    @property
    def paths(self) -> ty.Set[str]:
        """All files of a tree that the change adds or changes."""
        return {*self.modules, *(path for patch in self.patches
                                 for path in patch.files)}

    def plan(self, read: Reader, exact: bool) -> ty.Dict[str, Change]:
        """Work out every change to a tree, without touching it.

        :param read: content of a path of the tree, None if there is none
        :param exact: see apply_hunks
        :raises PatchsetError: if the change does not fit the tree
        """
        self.pin.recognise(read)
        changes = {}
        for path, ours in self.contents.items():
            theirs = read(path)
            wanted = self.pin.replacements.get(path)
            if wanted is None and theirs is not None:
                raise PatchsetError(
                    '%s is a file of ours, but the tree has one of that name '
                    'too: rename ours, or list it under [replacements] in '
                    'patches/upstream.ini' % path)
            if wanted is not None and digest(theirs) not in wanted:
                raise PatchsetError(
                    '%s is replaced as a whole, and our file stands in for '
                    'those of upstream (sha256 %s); the tree %s' % (
                        path, ' or '.join(wanted),
                        'has none' if theirs is None else
                        'has another one (sha256 %s)' % digest(theirs)))
            changes[path] = ours._replace(old=theirs)
        for patch in self.patches:
            for path, hunks in patch.files.items():
                before = changes[path].old if path in changes else read(path)
                if before is None:
                    raise PatchsetError('patches/%s: the tree has no %s'
                                        % (patch.name, path))
                now = changes[path].new if path in changes else before
                now = patches.apply_hunks(now, hunks, 'patches/%s: %s' % (
                    patch.name, path), exact)
                changes[path] = Change(before, now, False)
        return changes

    def is_in(self, read: Reader) -> bool:
        """Whether the tree holds exactly this change, however it got there.

        So a wheel built from this checkout, or a tree on which git am took
        the exported mail, is recognised without a record.
        """
        try:
            if any(read(path) != ours.new
                   for path, ours in self.contents.items()):
                return False
            undone: ty.Dict[str, bytes] = {}
            for patch in reversed(self.patches):
                for path, hunks in patch.files.items():
                    now = undone.get(path, read(path))
                    if now is None:
                        return False
                    undone[path] = patches.apply_hunks(
                        now, patches.reverse(hunks), '', False)
        except PatchsetError:
            return False
        return bool(self.patches or self.modules)
