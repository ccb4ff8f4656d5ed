#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Bring the development tree, build/tree, up to date with the checkout.

"pip install -e ." makes the tree and puts it on the path: upstream's release
with the patches applied, and links to the checkout's own files, so that an
edit of those counts at once. Run this after a file was added or removed, or
a patch was changed; it takes a moment and touches only what differs. The tree
of an older release is build/tree-NUMBER.
"""

import argparse
import fcntl
import json
import os
import pathlib
import shutil
import sys
import tempfile
import typing as ty

from patchset import CHECKOUT
from patchset.errors import PatchsetError
from patchset import patch_queue
from patchset.pin import read_pin
from patchset import upstream_wheel

STAMP = '.devtree.json'


def place(checkout: pathlib.Path, release: str = '') -> pathlib.Path:
    """Return the directory of the tree of a release."""
    pin = read_pin(checkout, release)
    return checkout / 'build' / (
        'tree' if pin.newest else 'tree-%s' % pin.chosen.number)


def refresh(checkout: pathlib.Path, release: str = '') -> str:
    """Make or renew build/tree and say what is in it.

    :param release: one of patches/upstream.ini, by default the newest; the
        tree of another one is build/tree-NUMBER
    :raises PatchsetError: if the change does not fit the release
    """
    patchset = patch_queue.Patchset(checkout, release=release)
    wheel = upstream_wheel.Wheel(checkout, release)
    changes = patchset.plan(wheel.read, exact=patchset.pin.newest)
    tree = place(checkout, release)
    with open(checkout / 'build' / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = _read_stamp(tree)
        if stamp.get('sha256') != patchset.pin.sha256:
            _extract(wheel, tree)
            stamp = {'paths': []}
        for path in set(stamp['paths']) - set(changes):
            _put_back(wheel, tree, path)
        # Written before the work, so that a run that was killed is known.
        (tree / STAMP).write_text(json.dumps(
            {'sha256': patchset.pin.sha256, 'paths': sorted(changes)}))
        for path, change in changes.items():
            if path in patchset.modules:
                _link(tree / path, checkout / path)
            else:
                _write(tree / path, change.new)
    return '%s: nova %s, %d files patched, %d linked to the checkout' % (
        tree, patchset.pin.version, len(changes) - len(patchset.modules),
        len(patchset.modules))


def _read_stamp(tree: pathlib.Path) -> ty.Dict[str, ty.Any]:
    try:
        return json.loads((tree / STAMP).read_text())
    except (OSError, ValueError):
        return {}


def _extract(wheel: upstream_wheel.Wheel, tree: pathlib.Path) -> None:
    fresh = pathlib.Path(tempfile.mkdtemp(dir=tree.parent, prefix='tree.'))
    try:
        fresh.chmod(0o755)
        wheel.extract('nova/', fresh / 'nova')
        if tree.exists():
            os.rename(tree, fresh / 'old')
            os.rename(fresh / 'nova', fresh / 'old' / 'nova.new')
            shutil.rmtree(fresh / 'old' / 'nova')
            os.rename(fresh / 'old' / 'nova.new', fresh / 'old' / 'nova')
            os.rename(fresh / 'old', tree)
        else:
            tree.mkdir()
            os.rename(fresh / 'nova', tree / 'nova')
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_back(wheel: upstream_wheel.Wheel, tree: pathlib.Path,
              path: str) -> None:
    original = wheel.read(path)
    if original is not None:
        _write(tree / path, original)
        return
    full = tree / path
    full.unlink(missing_ok=True)
    while not [p for p in full.parent.iterdir() if p.name != '__pycache__']:
        shutil.rmtree(full.parent)
        full = full.parent


def _write(path: pathlib.Path, data: bytes) -> None:
    if not path.is_symlink() and path.exists() and path.read_bytes() == data:
        return
    fresh = path.with_name('.%s.new' % path.name)
    fresh.write_bytes(data)
    os.replace(fresh, path)


def _link(path: pathlib.Path, target: pathlib.Path) -> None:
    wanted = os.path.relpath(target, path.parent)
    if path.is_symlink() and os.readlink(path) == wanted:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name('.%s.new' % path.name)
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(wanted)
    os.replace(fresh, path)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='devtree.py', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--list', nargs='?', const='\n', metavar='SEPARATOR',
                        help='print where our modules are in the tree, '
                        'without the tests, and do nothing else')
    parser.add_argument('--release', default='', metavar='RELEASE',
                        help='one of patches/upstream.ini; default: the '
                        'newest')
    args = parser.parse_args()
    try:
        if args.list is None:
            print(refresh(CHECKOUT, args.release))
        else:
            modules = patch_queue.Patchset(CHECKOUT, tests=False).modules
            print(args.list.strip(' ').join(
                'build/tree/%s' % path for path in modules
                if path.endswith('.py')))
    except PatchsetError as exc:
        print('devtree: %s' % exc, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
