# SPDX-License-Identifier: Apache-2.0

"""The change this project makes to Nova, read from its checkout.

The change is patches/series with the patches it names, and every file under
nova/. A patch changes lines of files that upstream owns and nothing else;
what it may look like is checked here, and every context line must be equal:
there is no fuzz. patches/upstream.ini says which release it is made for.
"""

import configparser
import hashlib
import os
import pathlib
import re
import typing as ty

IMPOSSIBLE, DIRTY = 1, 3

HUNK = re.compile(rb'^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@')
NOT_A_HOOK = (b'new file mode', b'deleted file mode', b'rename from',
              b'copy from', b'old mode', b'GIT binary patch', b'Binary files')
LITTER = re.compile(r'^\.|~$|\.(orig|rej|pyc|swp)$|^__pycache__$')

Reader = ty.Callable[[str], ty.Optional[bytes]]


class PatchsetError(Exception):
    """Something that stops the work; the message names the file."""

    code = IMPOSSIBLE


class DirtyTree(PatchsetError):
    """The tree holds something that neither we nor upstream put there."""

    code = DIRTY


def split_lines(data: bytes) -> ty.List[bytes]:
    """Lines as git and patch see them; splitlines() ends one at \\r too."""
    return re.findall(rb'[^\n]*\n|[^\n]+', data)


class Pin(ty.NamedTuple):
    """What patches/upstream.ini says: the release the change is made for."""

    release: str
    sha256: str
    revision: int
    replacements: ty.Dict[str, str]     # path -> sha256 of upstream's file
    scripts: ty.Dict[str, str]          # console script -> module:function
    sdist_sha256: str = ''              # only what compares needs the sdist

    @property
    def version(self) -> str:
        return '%s+rbd.%d' % (self.release, self.revision)

    @property
    def wheel(self) -> str:
        return 'nova-%s-py3-none-any.whl' % self.release

    @property
    def sdist(self) -> str:
        return 'nova-%s.tar.gz' % self.release


class Hunk(ty.NamedTuple):
    """One @@ block: its 1-based line and the lines before and after."""

    line: int
    old: ty.List[bytes]
    new: ty.List[bytes]
    changed: int


class Patch(ty.NamedTuple):
    """One parsed file of patches/."""

    name: str
    subject: str
    why: str
    files: ty.Dict[str, ty.List[Hunk]]

    @property
    def changed(self) -> int:
        """Lines added plus lines removed."""
        return sum(hunk.changed for hunks in self.files.values()
                   for hunk in hunks)


class Change(ty.NamedTuple):
    """What happens to one path; ``old`` is None for a file that is new."""

    old: ty.Optional[bytes]
    new: bytes
    executable: bool


def digest(data: ty.Optional[bytes]) -> ty.Optional[str]:
    return None if data is None else hashlib.sha256(data).hexdigest()


def read_pin(checkout: pathlib.Path) -> Pin:
    """Read patches/upstream.ini.

    :raises PatchsetError: if the file or one of its values is missing
    """
    path = checkout / 'patches' / 'upstream.ini'
    parser = configparser.ConfigParser(delimiters=('=',), interpolation=None)
    # The default lower-cases keys, and these keys are paths and names.
    parser.optionxform = str            # type: ignore
    try:
        with open(path, encoding='utf-8') as stream:
            parser.read_file(stream)
        pin = Pin(parser['upstream']['release'],
                  parser['upstream']['sha256'],
                  parser.getint('upstream', 'revision'),
                  dict(parser['replacements']), dict(parser['scripts']),
                  parser.get('upstream', 'sdist_sha256', fallback=''))
    except (OSError, KeyError, ValueError, configparser.Error) as exc:
        raise PatchsetError('%s: %s' % (path, exc)) from None
    return pin


def parse_patch(name: str, text: bytes) -> Patch:
    """Parse one unified diff with its header.

    :param name: used in error messages
    :param text: the file's content
    :raises PatchsetError: if it does anything but change lines of files
        under nova/, or if its header does not say why
    """
    def wrong(what: str) -> PatchsetError:
        return PatchsetError('patches/%s: %s' % (name, what))

    lines = split_lines(text)
    files: ty.Dict[str, ty.List[Hunk]] = {}
    header: ty.List[bytes] = []
    path, at = '', 0
    while at < len(lines):
        line = lines[at]
        if line.startswith(NOT_A_HOOK):
            raise wrong('%s: a patch only changes lines of upstream files; '
                        'new files belong under nova/'
                        % line.decode().strip())
        if (line.startswith(b'--- ') and at + 1 < len(lines) and
                lines[at + 1].startswith(b'+++ ')):
            names = [part[4:].split(b'\t')[0].strip().decode()
                     for part in lines[at:at + 2]]
            path = names[1].partition('/')[2]
            if (names[0].partition('/')[2] != path or
                    not path.startswith('nova/') or
                    '..' in path.split('/')):
                raise wrong('%s -> %s: both must be one path under nova/ '
                            'with one leading directory (-p1)' % tuple(names))
            if path in files:
                raise wrong('%s is there twice' % path)
            files[path] = []
            at += 2
        elif line.startswith(b'@@') and path:
            hunk, at = _parse_hunk(lines, at, path, wrong)
            files[path].append(hunk)
        else:
            if line.startswith((b'diff ', b'Index: ')):
                path = ''
            if not files and not line.startswith((b'diff ', b'index ')):
                header.append(line)
            at += 1
    for path, hunks in files.items():
        if not hunks:
            raise wrong('%s: no hunk' % path)
    if not files:
        raise wrong('changes nothing')
    said = b''.join(header).decode('utf-8').split('\n---\n')[0]
    subject, _, why = said.partition('Subject:')[2].strip().partition('\n')
    if not subject or not why.strip():
        raise wrong('the header must have a "Subject:" line and, below it, '
                    'say why the change is made')
    return Patch(name, subject, why.strip(), files)


def _parse_hunk(lines: ty.List[bytes], at: int, path: str,
                wrong: ty.Callable[[str], PatchsetError]
                ) -> ty.Tuple[Hunk, int]:
    match = HUNK.match(lines[at])
    if not match:
        raise wrong('%s: bad hunk header: %s' % (path, lines[at].decode()))
    line = int(match[1])
    want = [int(match[2] or 1), int(match[4] or 1)]
    old: ty.List[bytes] = []
    new: ty.List[bytes] = []
    changed = 0
    at += 1
    while len(old) < want[0] or len(new) < want[1]:
        if at == len(lines):
            raise wrong('%s, hunk at line %d: ends too early' % (path, line))
        kind, rest = lines[at][:1], lines[at][1:]
        if kind in (b'\n', b''):
            kind, rest = b' ', b'\n'    # an editor ate the trailing blank
        if kind not in (b' ', b'-', b'+'):
            raise wrong('%s, hunk at line %d: the line counts of its header '
                        'are wrong' % (path, line))
        at += 1
        if at < len(lines) and lines[at].startswith(b'\\'):
            rest = rest.rstrip(b'\n')   # "\ No newline at end of file"
            at += 1
        if kind != b'+':
            old.append(rest)
        if kind != b'-':
            new.append(rest)
        changed += kind != b' '
    if [len(old), len(new)] != want:
        raise wrong('%s, hunk at line %d: the line counts of its header are '
                    'wrong' % (path, line))
    if old == new[:0] or not changed:
        raise wrong('%s, hunk at line %d: no context, or no change'
                    % (path, line))
    return Hunk(line, old, new, changed), at


def apply_hunks(data: bytes, hunks: ty.List[Hunk], what: str,
                exact: bool) -> bytes:
    """Return ``data`` with the hunks applied, every context line equal.

    :param what: patch and file, for the error message
    :param exact: a hunk must match at the very line it names; otherwise it
        may stand elsewhere, if it matches in one place only
    :raises PatchsetError: if a hunk does not match
    """
    lines = split_lines(data)
    done: ty.List[bytes] = []
    used = shift = 0
    for number, hunk in enumerate(hunks, 1):
        size = len(hunk.old)
        named = hunk.line - 1 + shift
        places = [i for i in range(used, len(lines) - size + 1)
                  if lines[i:i + size] == hunk.old]
        if named in places:
            place = named
        elif len(places) == 1 and not exact:
            place = places[0]
            shift += place - named
        else:
            raise PatchsetError('%s: hunk %d (line %d) does not apply: %s' % (
                what, number, hunk.line,
                _mismatch(lines, named, hunk.old, places)))
        done += lines[used:place] + hunk.new
        used = place + size
    return b''.join(done + lines[used:])


def _mismatch(lines: ty.List[bytes], named: int, old: ty.List[bytes],
              places: ty.List[int]) -> str:
    if places:
        return ('its lines stand at line %s instead; refresh the patch'
                % ' and '.join(str(place + 1) for place in places))
    for i, wanted in enumerate(old, named):
        found = lines[i] if 0 <= i < len(lines) else b''
        if found != wanted:
            return 'line %d is %r where the patch has %r' % (
                i + 1, found.decode('utf-8', 'replace'),
                wanted.decode('utf-8', 'replace'))
    return 'it overlaps the hunk before it'


def reverse(hunks: ty.List[Hunk]) -> ty.List[Hunk]:
    """Hunks that undo ``hunks``."""
    shift, undone = 0, []
    for hunk in hunks:
        undone.append(Hunk(hunk.line + shift, hunk.new, hunk.old,
                           hunk.changed))
        shift += len(hunk.new) - len(hunk.old)
    return undone


class Patchset:
    """The whole change: the patches in order, and our own files.

    :param checkout: directory with patches/ and nova/
    :param tests: whether nova/tests/ is part of it
    :raises PatchsetError: for anything wrong with the checkout itself
    """

    def __init__(self, checkout: pathlib.Path,
                 tests: bool = True) -> None:
        self.checkout = checkout
        self.pin = read_pin(checkout)
        self.patches = self._read_patches()
        self.modules = self._find_modules(tests)
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

    def _read_patches(self) -> ty.List[Patch]:
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
        patches = []
        for name in names:
            try:
                text = (folder / name).read_bytes()
            except OSError as exc:
                raise PatchsetError('patches/%s, listed in patches/series: %s'
                                    % (name, exc.strerror)) from None
            if names.count(name) > 1:
                raise PatchsetError('patches/%s is listed twice in '
                                    'patches/series' % name)
            patches.append(parse_patch(name, text))
        return patches

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

    def plan(self, read: Reader, exact: bool) -> ty.Dict[str, Change]:
        """Work out every change to a tree, without touching it.

        :param read: content of a path of the tree, None if there is none
        :param exact: see apply_hunks
        :raises PatchsetError: if the change does not fit the tree
        """
        changes = {}
        for path, full in self.modules.items():
            theirs = read(path)
            wanted = self.pin.replacements.get(path)
            if wanted is None and theirs is not None:
                raise PatchsetError(
                    '%s is a file of ours, but the tree has one of that name '
                    'too: rename ours, or list it under [replacements] in '
                    'patches/upstream.ini' % path)
            if wanted is not None and digest(theirs) != wanted:
                raise PatchsetError(
                    '%s is replaced as a whole, and our file stands in for '
                    'the one of nova %s (sha256 %s); the tree %s' % (
                        path, self.pin.release, wanted,
                        'has none' if theirs is None else
                        'has another one (sha256 %s)' % digest(theirs)))
            changes[path] = Change(theirs, full.read_bytes(),
                                   os.access(full, os.X_OK))
        for patch in self.patches:
            for path, hunks in patch.files.items():
                before = changes[path].old if path in changes else read(path)
                if before is None:
                    raise PatchsetError('patches/%s: the tree has no %s'
                                        % (patch.name, path))
                now = changes[path].new if path in changes else before
                now = apply_hunks(now, hunks, 'patches/%s: %s' % (
                    patch.name, path), exact)
                changes[path] = Change(before, now, False)
        return changes

    def is_in(self, read: Reader) -> bool:
        """Whether the tree holds exactly this change, however it got there.

        So a wheel built from this checkout, or a tree on which git am took
        the exported mail, is recognised without a record.
        """
        try:
            if any(read(path) != full.read_bytes()
                   for path, full in self.modules.items()):
                return False
            undone: ty.Dict[str, bytes] = {}
            for patch in reversed(self.patches):
                for path, hunks in patch.files.items():
                    now = undone.get(path, read(path))
                    if now is None:
                        return False
                    undone[path] = apply_hunks(now, reverse(hunks), '', False)
        except PatchsetError:
            return False
        return bool(self.patches or self.modules)
