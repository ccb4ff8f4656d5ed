# SPDX-License-Identifier: Apache-2.0

"""Put this project's change onto a Nova source tree, and take it off again.

DIR is any directory that contains nova/: an unpacked wheel or sdist, a git
checkout (devstack: /opt/stack/nova), a distribution's dist-packages. The
change is the patches named in patches/series plus every file under nova/ of
this checkout. It is all or nothing: everything is checked before the first
file is touched, an "apply" that fails or is interrupted is undone, and what
was killed, or a "revert" that failed, is finished by the next "apply" or
"revert". Nova can be imported at each moment in between. Root works as the
owner of DIR, if that is another user.

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
import os
import pathlib
import signal
import sys
import typing as ty

from patchset import CHECKOUT
from patchset.errors import DirtyTree
from patchset.errors import PatchsetError
from patchset import mail
from patchset.patch_queue import Patchset
from patchset.patch_queue import Reader
from patchset.privileges import act_as_owner
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
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    # What is made here is for the service to read, whoever makes it.
    os.umask(0o022)
    tree: ty.Optional[Tree] = None
    try:
        patchset = Patchset(args.checkout, tests=not args.no_tests)
        if args.command == 'export' and args.directory is None:
            read = release_reader(args.checkout, args.release)
        else:
            # Followed once, here: a link could be exchanged.
            tree = Tree(args.directory.resolve())
            act_as_owner(tree.root, patchset.paths)
            read = tree.read_original
        return run(args, patchset, tree, read)
    except PatchsetError as exc:
        print('nova_patchset: %s' % exc, file=sys.stderr)
        return exc.code
    except BrokenPipeError:
        # What is still buffered must not be tried again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return IMPOSSIBLE
    except (OSError, KeyboardInterrupt, SystemExit) as exc:
        said, code = (str(exc), IMPOSSIBLE) if isinstance(exc, OSError) else (
            'interrupted', getattr(exc, 'code', 130))
        left = tree.how_left() if tree else ''
        if left:
            code = DIRTY
            left = '%s: %s, run %s again' % (args.directory, left,
                                             args.command)
        print('nova_patchset: %s (%s)' % (said, left or
                                          'nothing was changed'),
              file=sys.stderr)
        return code


def run(args: argparse.Namespace, patchset: Patchset,
        tree: ty.Optional[Tree], read: Reader) -> int:
    """Run one command on a tree and say what was done."""
    code, said = OK, ''
    if args.command == 'export':
        sys.stdout.buffer.write(mail.export(patchset, read, args.author))
        sys.stdout.buffer.flush()
        return OK
    assert tree
    if args.command == 'apply':
        said = apply(patchset, tree)
    elif args.command == 'revert':
        said = revert(patchset, tree, args.keep_changed)
    else:
        code, said = check(patchset, tree)
    print('%s: %s' % (args.directory, said))
    return code


if __name__ == '__main__':
    sys.exit(main())
