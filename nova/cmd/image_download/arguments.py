# SPDX-License-Identifier: Apache-2.0

"""The command line of nova-image-download: its commands and options.

Needs the standard library only, so that completion scripts and the manual page
are made from it where Nova is not installed.
"""

from __future__ import annotations

import argparse

# The ways that a download may be told to take.
METHODS = ('auto', 'rbd', 'http')

# The shells whose words can be completed.
SHELLS = ('bash', 'zsh', 'tcsh')


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    :returns: a parser whose result has ``command``, and the command's options
    """
    common = argparse.ArgumentParser(add_help=False)
    for option, metavar, text in (
        ('--config-file', 'PATH',
         'configuration of nova-compute; may be given more than once; '
         'default: what nova-compute finds, as /etc/nova/nova.conf'),
        ('--config-dir', 'DIR', 'directory with more of it'),
    ):
        # A default would undo what stands before the name of the command.
        common.add_argument(option, action='append', metavar=metavar,
                            default=argparse.SUPPRESS, help=text)
    common.add_argument('--debug', action='store_true',
                        default=argparse.SUPPRESS,
                        help='write the whole log of Nova to stderr')

    program = argparse.ArgumentParser(
        prog='nova-image-download', parents=[common],
        description='See how this compute node gets images from Glance, and '
        'let it get some. Runs as the user of nova-compute, with its '
        'nova.conf, and logs in as the [service_user] of that.')
    commands = program.add_subparsers(dest='command', required=True,
                                     metavar='COMMAND')
    check = commands.add_parser(
        'check', parents=[common],
        help='see whether a boot on this node would read images from RBD',
        description='Look at everything that a direct download needs, and '
        'say what is wrong and what to do about it. Changes nothing. Exit '
        'status 0 only if a boot would read the image from RBD, 1 only if it '
        'would not, 2 if the command line or the configuration cannot be '
        'used, 3 if it could not be found out. Given by root, all commands '
        'run as the owner of the directory of the instances.')
    check.add_argument('image', nargs='?', metavar='IMAGE',
                       help='id or name of an image; without one the newest '
                       'images stand for it')
    check.add_argument('--format', choices=('table', 'json'),
                       default='table', help='default: table')

    fetch = commands.add_parser(
        'fetch', parents=[common],
        help='download an image to a file as nova-compute would',
        description='Download an image with the code of nova-compute. The '
        'file appears when it is whole; a file of that name is replaced '
        'then.')
    fetch.add_argument('image', metavar='IMAGE', help='id or name')
    fetch.add_argument('path', metavar='PATH', help='the file')
    fetch.add_argument('--method', choices=METHODS,
                       default='auto', help='auto: as nova.conf says; rbd: '
                       'from RBD or not at all; http: from the Image API; '
                       'default: auto')

    precache = commands.add_parser(
        'precache', parents=[common],
        help='fetch images into the image cache of this node',
        description='Fetch images into the image cache of nova-compute, '
        'under its locks. Images that are there are left alone. Exit status '
        '1 if an image could not be fetched.')
    precache.add_argument('images', nargs='+', metavar='IMAGE',
                          help='id or name')

    bench = commands.add_parser(
        'bench', parents=[common],
        help='compare RBD with HTTP on this node',
        description='Download an image over RBD and over HTTP in turn, to '
        'the disk of the image cache, and compare. Nothing is left there.')
    bench.add_argument('image', metavar='IMAGE', help='id or name')
    bench.add_argument('--runs', type=_positive, default=3, metavar='N',
                       help='downloads by each way; default: 3')
    bench.add_argument('--format', choices=('table', 'json'),
                       default='table', help='default: table')
    bench.add_argument('--html', metavar='FILE',
                       help='also write a page with plots')

    complete = commands.add_parser(
        'complete', help='write a completion script for a shell',
        description='Write a script with which a shell completes commands and '
        'options. The wheel of Nova installs those of bash and zsh where the '
        'shells look for them.')
    complete.add_argument('shell', nargs='?', choices=SHELLS, default='bash',
                          help='default: bash')
    return program


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError('%r is not a number from 1' % text)
    return int(text)
