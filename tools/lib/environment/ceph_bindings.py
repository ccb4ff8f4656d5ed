#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Link the distribution's rados and rbd modules into this environment.

The bindings are not on PyPI in a form pip could install, and an environment
that sees all of the distribution's packages gets ones that are too old for
Nova. Run it with the environment's python:

    apt-get install python3-rados python3-rbd
    VENV/bin/python tools/lib environment.ceph_bindings

Exit status 0 if both can be imported then, 1 with one line that says why
not.
"""

import argparse
import importlib.machinery
import pathlib
import subprocess
import sys
import sysconfig
import typing as ty

MODULES = ('rados', 'rbd')


def usual_places() -> ty.List[pathlib.Path]:
    """Where Debian, Ubuntu, Fedora and their kin keep them."""
    version = 'python%d.%d' % sys.version_info[:2]
    return [pathlib.Path('/usr/lib/python3/dist-packages'),
            pathlib.Path('/usr/lib64', version, 'site-packages'),
            pathlib.Path('/usr/lib', version, 'site-packages')]


def find(name: str, places: ty.List[pathlib.Path]) -> pathlib.Path:
    """The extension module that fits this interpreter.

    :raises LookupError: if there is none; says what there is instead
    """
    others = []
    for place in places:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            if (place / (name + suffix)).is_file():
                return place / (name + suffix)
        others += sorted(str(p) for p in place.glob(name + '.*so'))
    raise LookupError(
        'there is no %s%s in %s%s' % (
            name, importlib.machinery.EXTENSION_SUFFIXES[0],
            ', '.join(map(str, places)),
            ', only %s for another Python' % ', '.join(others) if others
            else '; install python3-%s' % name))


def importable() -> str:
    """Empty if both modules load, else the last line of the error."""
    run = subprocess.run([sys.executable, '-c', 'import rados, rbd'],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         text=True, errors='replace')
    return '' if run.returncode == 0 else (
        run.stderr.strip().splitlines() or ['status %d' % run.returncode])[-1]


def link(places: ty.List[pathlib.Path]) -> str:
    """Link both and return what was done.

    :raises LookupError: if one is missing or does not load; no link is left
    """
    if not importable():
        return 'rados and rbd can be imported already'
    if sys.prefix == sys.base_prefix:
        raise LookupError('%s is no virtual environment: install '
                          'python3-rados and python3-rbd instead'
                          % sys.prefix)
    target = pathlib.Path(sysconfig.get_paths()['platlib'])
    sources = [find(name, places) for name in MODULES]
    links = [target / source.name for source in sources]
    for path, source in zip(links, sources):
        if path.is_symlink():
            path.unlink()
        path.symlink_to(source)
    problem = importable()
    if problem:
        for path in links:
            path.unlink()
        raise LookupError('%s: %s' % (', '.join(map(str, sources)), problem))
    return 'linked %s into %s' % (' and '.join(map(str, sources)), target)


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run it; see the module's text for what is returned."""
    parser = argparse.ArgumentParser(
        prog='ceph_bindings', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--from', dest='place', type=pathlib.Path,
                        metavar='DIR', help='where the modules are, instead '
                        'of the usual places')
    args = parser.parse_args(argv)
    try:
        print(link([args.place] if args.place else usual_places()))
    except (LookupError, OSError) as exc:
        print('ceph_bindings: %s' % exc, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
