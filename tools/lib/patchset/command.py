#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Put this project's change onto a Nova source tree, and take it off again.

DIR is any directory that contains nova/: an unpacked wheel or sdist, a git
checkout (devstack: /opt/stack/nova), a distribution's dist-packages. The
change is the patches named in patches/series plus every file under nova/ of
this checkout. It is all or nothing: everything is checked before the first
file is touched, a run that fails or is interrupted is undone, and one that
was killed is finished by the next "apply" or undone by the next "revert".

The originals are kept in DIR/.nova-patchset/; "revert" puts them back byte
for byte and removes that directory. No other program is needed: no git, no
patch, nothing outside Python's standard library (3.9 or newer). Console
scripts come with the package only; in a tree that was changed in place they
are run as modules: python3 -m nova.cmd.image_download.

exit codes: 0 done (check: applied), 1 impossible and nothing was changed,
2 wrong usage, 3 the tree was changed or left half way (the file is named),
4 (check only) not applied, but it would apply
"""

import argparse
import difflib
import email.header
import email.utils
import hashlib
import os
import pathlib
import signal
import sys
import time
import typing as ty

from patchset import CHECKOUT
from patchset.errors import DirtyTree
from patchset.errors import PatchsetError
from patchset.patch_queue import Change
from patchset.patch_queue import Patchset
from patchset.patch_queue import Reader
from patchset.patches import split_lines
from patchset.source_tree import Tree

OK, IMPOSSIBLE, USAGE, DIRTY, NOT_APPLIED = range(5)


def apply(patchset: Patchset, tree: Tree, exact: bool = False,
          record: bool = True) -> str:
    """Apply the change to the tree and say what was done.

    :param exact: see apply_hunks
    :param record: keep what "revert" needs
    :raises PatchsetError: if it cannot be done; the tree is as before
    """
    with tree.lock():
        if tree.record.exists():
            before, after, other = tree.state()
            if other:
                raise DirtyTree(
                    '%s: changed since the change was applied: %s (revert '
                    '--keep-changed leaves such files as they are)'
                    % (tree.root, ', '.join(other)))
            changes = patchset.plan(tree.read_original, exact)
            if (not before and sorted(after) == sorted(changes) and
                    all(tree.read(p) == c.new for p, c in changes.items())):
                return 'already applied'
            tree.restore(keep_changed=False)
        elif patchset.is_in(tree.read):
            return 'already applied, by something else than this tool'
        changes = patchset.plan(tree.read, exact)
        version = patchset.pin.version_in(patchset.pin.recognise(tree.read))
        tree.write(changes, version)
        if not record:
            tree.forget()
        return 'applied %s: %d files changed, %d added' % (
            version,
            sum(c.old is not None for c in changes.values()),
            sum(c.old is None for c in changes.values()))


def revert(patchset: Patchset, tree: Tree, keep_changed: bool) -> str:
    """Put the tree back as it was and say what was done."""
    with tree.lock():
        if not tree.record.exists():
            if patchset.is_in(tree.read):
                raise PatchsetError(
                    '%s: the change is applied, but not by this tool: there '
                    'is no record of the originals (a package is reverted by '
                    'installing another, a git tree with git)' % tree.root)
            return 'not applied, nothing to revert'
        left = tree.restore(keep_changed)
        return 'reverted' + (', left as they are: %s' % ', '.join(left)
                             if left else '')


def check(patchset: Patchset, tree: Tree) -> ty.Tuple[int, str]:
    """Return the exit code and one line about the tree; changes nothing."""
    if not tree.record.exists():
        if patchset.is_in(tree.read):
            return OK, 'applied (by something else than this tool)'
        patchset.plan(tree.read, False)
        return NOT_APPLIED, 'not applied, would apply %s' % (
            patchset.pin.version_in(patchset.pin.recognise(tree.read)))
    before, after, other = tree.state()
    if other:
        raise DirtyTree('%s: changed since the change was applied: %s'
                        % (tree.root, ', '.join(other)))
    if before:
        raise DirtyTree('%s: left half way, %s is not changed yet: run apply '
                        'or revert' % (tree.root, before[0]))
    changes = patchset.plan(tree.read_original, False)
    stale = sorted(set(changes).symmetric_difference(after)) + [
        p for p, c in changes.items() if p in after and tree.read(p) != c.new]
    if stale:
        raise DirtyTree('%s: holds another state of this change (%s), %s '
                        'differs: run apply' % (
                            tree.root, tree.manifest()['version'], stale[0]))
    return OK, 'applied %s' % tree.manifest()['version']


def export(patchset: Patchset, read: Reader, author: str) -> bytes:
    """The whole change as one mail in the form of git format-patch.

    :param read: a path of the tree as it is without the change
    :param author: "Name <mail>" for the mail and so for the commit
    """
    changes = patchset.plan(read, False)
    release = patchset.pin.recognise(read)
    version = patchset.pin.version_in(release)
    body, stats, total = [], [], [0, 0]
    for path in sorted(changes):
        change = changes[path]
        if change.old == change.new:
            continue
        text, added, removed = _git_diff(path, change)
        body.append(text)
        stats.append(' %s | %d %s%s\n' % (
            path, added + removed, '+' * min(added, 20),
            '-' * min(removed, 20)))
        total = [total[0] + added, total[1] + removed]
    when = int(os.environ.get('SOURCE_DATE_EPOCH') or time.time())
    name, address = email.utils.parseaddr(author)
    head = ('From %s Mon Sep 17 00:00:00 2001\n'
            'From: %s\n'
            'Date: %s\n'
            'Subject: [PATCH] Download Glance images over RBD (%s)\n'
            'MIME-Version: 1.0\n'
            'Content-Type: text/plain; charset=UTF-8\n'
            'Content-Transfer-Encoding: 8bit\n\n' % (
                '0' * 40,
                email.utils.formataddr(
                    (str(email.header.Header(name, 'utf-8'))
                     if not name.isascii() else name, address)),
                email.utils.formatdate(when), version))
    head += ('Made for nova %s.x. Files under nova/ that upstream does not '
             'have come\nwhole; the changes to upstream\'s own files:\n\n'
             % release.number)
    for patch in patchset.patches:
        # Indented, so that no line of it can end the message for git.
        head += '  %s\n' % patch.subject
        head += ''.join('    %s\n' % line if line else '\n'
                        for line in patch.why.splitlines()) + '\n'
    for path in patchset.pin.replacements:
        head += '  %s\n    Replaced as a whole.\n\n' % path
    head += '---\n%s %d files changed, %d insertions(+), %d deletions(-)\n\n'
    return (head % (''.join(stats), len(body), *total)).encode() + b''.join(
        body) + b'-- \nnova_patchset\n\n'


def _git_diff(path: str, change: Change) -> ty.Tuple[bytes, int, int]:
    def blob(data: ty.Optional[bytes]) -> str:
        if data is None:
            return '0' * 40
        # Not a signature: git names a blob so, and uses it for git am -3.
        return hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()

    mode = '100755' if change.executable else '100644'
    lines = ['diff --git a/%s b/%s\n' % (path, path)]
    if change.old is None:
        lines.append('new file mode %s\n' % mode)
    lines.append('index %s..%s%s\n' % (
        blob(change.old), blob(change.new),
        ' 100644' if change.old is not None else ''))
    diff = list(difflib.diff_bytes(
        difflib.unified_diff,
        split_lines(change.old or b''),
        split_lines(change.new),
        b'/dev/null' if change.old is None else b'a/' + path.encode(),
        b'b/' + path.encode()))
    added = sum(line.startswith(b'+') for line in diff[2:])
    removed = sum(line.startswith(b'-') for line in diff[2:])
    text = b''.join(line if line.endswith(b'\n') else
                    line + b'\n\\ No newline at end of file\n'
                    for line in diff)
    return ''.join(lines).encode() + text, added, removed


def release_reader(checkout: pathlib.Path, release: str) -> Reader:
    """Reader of a pinned release's wheel, fetched when it is not here."""
    from patchset import upstream_wheel
    return upstream_wheel.Wheel(checkout, release).read


def parse_arguments(argv: ty.Optional[ty.List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='nova_patchset.py', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkout', type=pathlib.Path, default=CHECKOUT,
                        help='directory with our patches/ and nova/ '
                        '(default: where this program lives)')
    parser.add_argument('--no-tests', action='store_true',
                        help='leave our nova/tests/ out')
    commands = parser.add_subparsers(dest='command', required=True)
    for name, text in (('apply', 'apply the change to DIR'),
                       ('revert', 'put DIR back as it was, byte for byte'),
                       ('check', 'say whether DIR has the change, or would '
                        'take it'),
                       ('export', 'print the whole change as one mail for '
                        'git am')):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument('directory', metavar='DIR', type=pathlib.Path,
                             nargs='?' if name == 'export' else None)
        if name == 'revert':
            command.add_argument('--keep-changed', action='store_true',
                                 help='leave files that were changed since '
                                 '(by a package upgrade, say) as they are')
        if name == 'export':
            command.add_argument('--release', metavar='RELEASE', nargs='?',
                                 const='', help='against a release of '
                                 'patches/upstream.ini, by default the '
                                 'newest, instead of DIR; fetches it with '
                                 'pip when needed')
            command.add_argument('--author', metavar='"NAME <MAIL>"',
                                 default='nova-rbd patch set '
                                 '<nova-rbd@localhost>')
    args = parser.parse_args(argv)
    if args.command == 'export' and (
            args.release is None) == (args.directory is None):
        parser.error('export: give either DIR or --release')
    return args


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run one command; see the module's text for what is returned."""
    args = parse_arguments(argv)
    # A plain kill takes the same way out as Ctrl-C, which undoes the work.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code, said = OK, ''
    try:
        patchset = Patchset(args.checkout, tests=not args.no_tests)
        if args.command == 'export' and args.directory is None:
            read = release_reader(args.checkout, args.release)
        else:
            tree = Tree(args.directory)
            read = tree.read_original
        if args.command == 'apply':
            said = apply(patchset, tree)
        elif args.command == 'revert':
            said = revert(patchset, tree, args.keep_changed)
        elif args.command == 'check':
            code, said = check(patchset, tree)
        else:
            sys.stdout.buffer.write(export(patchset, read, args.author))
            sys.stdout.buffer.flush()
    except PatchsetError as exc:
        print('nova_patchset: %s' % exc, file=sys.stderr)
        return exc.code
    except BrokenPipeError:
        # What is still buffered must not be tried again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return IMPOSSIBLE
    except OSError as exc:
        print('nova_patchset: %s (nothing was changed)' % exc,
              file=sys.stderr)
        return IMPOSSIBLE
    except KeyboardInterrupt:
        print('nova_patchset: interrupted, nothing was changed',
              file=sys.stderr)
        return 130
    if said:
        print('%s: %s' % (args.directory, said))
    return code


if __name__ == '__main__':
    sys.exit(main())
