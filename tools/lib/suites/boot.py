# SPDX-License-Identifier: Apache-2.0

"""Boot servers with a whole OpenStack, and show what was done with them.

Without one of the first options: all of it, in both modes of Nova's services.
tools/boot --seconds measures the time from the API call to ACTIVE instead,
over RBD and over HTTP; tools/boot --seconds --help describes its options.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import typing as ty

from patchset import CHECKOUT


def parse_arguments(argv: ty.Optional[ty.List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='tools/boot', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    for option, text in (
            ('core', 'a raw and a qcow2 image, with native threads'),
            ('threading', 'all of it, with native threads'),
            ('eventlet', 'all of it, with eventlet')):
        which.add_argument('--' + option, dest='suite', help=text,
                           action='store_const', const='boot-' + option)
    parser.add_argument('--filter', metavar='REGEX',
                        help='only tests whose id matches')
    for option, text in (('json', 'write the table as JSON, too'),
                         ('rst', 'write it as a page of the guide, too')):
        # The programs run in another directory.
        parser.add_argument('--' + option, metavar='FILE', help=text,
                            type=os.path.abspath)
    parser.add_argument('--parse', action='store_true',
                        help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Run the tests and show the table; returns the exit status."""
    args = parse_arguments(argv)
    if args.parse:
        return 0
    # Not before: the line above needs no environment.
    from suites import boot_matrix
    from suites import run_tests
    with tempfile.TemporaryDirectory(dir=CHECKOUT / 'build') as folder:
        rows = pathlib.Path(folder, 'rows')
        rows.touch()
        os.environ['NOVA_BOOT_MATRIX'] = str(rows)
        options = ['--filter', args.filter] if args.filter else []
        status = run_tests.main(['--fail-skipped', *options,
                                 args.suite or 'boot'])
        if rows.stat().st_size:
            pages = [part for option in ('json', 'rst')
                     for part in ('--' + option, getattr(args, option))
                     if getattr(args, option)]
            status = boot_matrix.main([*pages, str(rows)]) and 1 or status
    return status


if __name__ == '__main__':
    sys.exit(main())
