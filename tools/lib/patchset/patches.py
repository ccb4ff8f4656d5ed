# SPDX-License-Identifier: Apache-2.0

"""Patches as text: parse one, apply its hunks, and undo them.

A patch changes lines of files that upstream owns and nothing else. What it
may look like is checked here, and every context line must be equal: there is
no fuzz.
"""

import re
import typing as ty

from patchset.errors import PatchsetError

HUNK = re.compile(rb'^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@')
NOT_A_HOOK = (b'new file mode', b'deleted file mode', b'rename from',
              b'copy from', b'old mode', b'GIT binary patch', b'Binary files')


def split_lines(data: bytes) -> ty.List[bytes]:
    """Lines as git and patch see them; splitlines() ends one at \\r too."""
    return re.findall(rb'[^\n]*\n|[^\n]+', data)


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
