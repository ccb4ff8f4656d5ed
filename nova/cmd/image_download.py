#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""nova-image-download: see how this node gets images, and let it get some.

Runs on a compute node with the configuration of nova-compute and, like it,
with native threads unless that is configured otherwise.
"""
# autopep8: off
from nova import monkey_patch; monkey_patch.patch(backend='threading')  # noqa
# autopep8: on

import argparse
import json
import logging
import shutil
import signal
import sys
import typing as ty

from oslo_config import cfg
import prettytable

import nova.conf
from nova import config
from nova.image import download_checks
from nova.image import service_view
from nova import objects

CONF = nova.conf.CONF

# What the command ends with.
EXIT_OK = 0
EXIT_PROBLEM = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# Seconds that a check waits for an answer of Keystone or Glance if nova.conf
# names no time. Without a limit it would be as long as TCP tries.
HTTP_TIMEOUT = 15

# Columns of a terminal that the table of checks takes for all but its last
# column, and the least that is left to that one.
CHECK_MARGIN = 40
CHECK_WIDTH = 30


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    for option, text in (
        ('--config-file', 'configuration of nova-compute; may be given more '
                          'than once; default: what nova-compute finds, as '
                          '/etc/nova/nova.conf'),
        ('--config-dir', 'directory with more of it'),
    ):
        # A default would undo what stands before the name of the command.
        common.add_argument(option, action='append', metavar='PATH',
                            default=argparse.SUPPRESS, help=text)
    common.add_argument('--debug', action='store_true',
                        default=argparse.SUPPRESS,
                        help='write the whole log of Nova to stderr')

    parser = argparse.ArgumentParser(
        prog='nova-image-download', parents=[common],
        description='See how this compute node gets images from Glance, and '
        'let it get some. Runs as the user of nova-compute, with its '
        'nova.conf, and logs in as the [service_user] of that.')
    commands = parser.add_subparsers(dest='command', required=True,
                                     metavar='COMMAND')
    check = commands.add_parser(
        'check', parents=[common],
        help='see whether a boot on this node would read images from RBD',
        description='Look at everything that a direct download needs, and '
        'say what is wrong and what to do about it. Changes nothing. Exit '
        'status 0 only if a boot would read the image from RBD, 1 if it '
        'would not, 2 if the command cannot be carried out.')
    check.add_argument('image', nargs='?', metavar='IMAGE',
                       help='id or name of an image; without one the newest '
                       'images stand for it')
    check.add_argument('--format', choices=('table', 'json'),
                       default='table', help='default: table')
    check.set_defaults(function=_check)
    return parser


def _configure(args: argparse.Namespace) -> None:
    """Read what nova-compute reads.

    :raises: :class:`service_view.OperatorError`
    """
    words = ['--config-file=%s' % path
             for path in getattr(args, 'config_file', [])]
    words += ['--config-dir=%s' % path
              for path in getattr(args, 'config_dir', [])]
    try:
        # With this name the files of nova-compute are found.
        config.parse_args(['nova-compute', *words], configure_db=False,
                          init_rpc=False, prog='nova-compute')
    except cfg.ConfigFilesPermissionDeniedError as exc:
        raise service_view.OperatorError(
            str(exc), 'run it as the user of nova-compute, with "sudo -u '
            'nova"')
    except cfg.Error as exc:
        raise service_view.OperatorError(
            'the configuration cannot be used: %s' % exc, 'correct it')


def _set_up_logging(debug: bool, level: int) -> None:
    """Show the log on stderr rather than in the file of nova-compute.

    :param level: lowest level to show if not everything is
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(
        '%(asctime)s %(levelname)s %(name)s %(message)s' if debug
        else '%(levelname)s: %(message)s'))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else level)
    # Warnings of Python about Nova's libraries are for their developers.
    logging.captureWarnings(True)
    logging.getLogger('py.warnings').setLevel(
        logging.DEBUG if debug else logging.CRITICAL)


def _check(args: argparse.Namespace) -> int:
    for group in ('glance', 'service_user'):
        if CONF[group].timeout is None:
            CONF.set_override('timeout', HTTP_TIMEOUT, group)
    CONF.set_override('num_retries', 0, 'glance')
    items = list(download_checks.run(args.image))
    good = download_checks.over_rbd(items)
    if args.format == 'json':
        print(json.dumps({
            'over_rbd': good,
            'checks': [{'topic': item.topic, 'state': item.state,
                        'found': item.found, 'cure': item.cure}
                       for item in items]}, indent=2))
    else:
        print(_check_table(items))
        print(_verdict(items, args.image))
    return EXIT_OK if good else EXIT_PROBLEM


def _check_table(items: list[download_checks.Item]) -> str:
    """Write a table for a terminal, else one line for each item."""
    rows = [(item.topic, item.state, item.found + (
        '. To mend it: %s' % item.cure if item.cure else ''))
        for item in items]
    if not sys.stdout.isatty():
        return '\n'.join('%-15s %-15s %s' % row for row in rows)
    table = prettytable.PrettyTable(['Check', 'State', 'Found'])
    table.align = 'l'
    table.max_width['Found'] = max(
        CHECK_WIDTH, shutil.get_terminal_size().columns - CHECK_MARGIN)
    table.add_rows(rows)
    return table.get_string()


def _verdict(items: list[download_checks.Item], image: str | None) -> str:
    problems = [item.topic for item in items
                if item.state == download_checks.PROBLEM]
    what = 'this image' if image else 'images'
    if not problems:
        return 'A boot on this node reads %s from RBD.' % what
    return 'A boot on this node does not read %s from RBD, see: %s.' % (
        what, ', '.join(dict.fromkeys(problems)))


def main(argv: ty.Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: its arguments, by default those of the process
    :returns: the exit status
    """
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    debug = getattr(args, 'debug', False)
    try:
        _configure(args)
        _set_up_logging(debug, logging.CRITICAL if args.command == 'check'
                        else logging.WARNING)
        objects.register_all()
        return args.function(args)
    except service_view.OperatorError as exc:
        print('nova-image-download: %s' % exc, file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print('nova-image-download: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED


def _interrupt(number: int, frame: object) -> ty.NoReturn:
    raise KeyboardInterrupt()


if __name__ == '__main__':
    sys.exit(main())
