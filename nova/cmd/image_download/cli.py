# SPDX-License-Identifier: Apache-2.0

"""nova-image-download: see how this node gets images, and let it get some.

Runs on a compute node with the configuration of nova-compute and, like it,
with native threads unless that is configured otherwise.
"""
# autopep8: off
from nova import monkey_patch; monkey_patch.patch(backend='threading')  # noqa
# autopep8: on

import argparse
import contextlib
import logging
import os
import shutil
import signal
import sys
import typing as ty

from oslo_config import cfg
from oslo_serialization import jsonutils
import prettytable

from nova.cmd.image_download import bench
from nova.cmd.image_download import bench_page
from nova.cmd.image_download import check
from nova.cmd.image_download import check_item
from nova.cmd.image_download import completion
from nova.cmd.image_download import download
from nova.cmd.image_download import progress
from nova.cmd.image_download import service_user
import nova.conf
from nova import config
from nova import exception
from nova import objects

CONF = nova.conf.CONF

# What the command ends with.
EXIT_OK = 0
EXIT_PROBLEM = 1
EXIT_USAGE = 2
EXIT_SIGNAL = 128

# Seconds that a check waits for an answer of Keystone or Glance if nova.conf
# names no time. Without a limit it would be as long as TCP tries.
HTTP_TIMEOUT = 15

# Columns of a terminal that the table of checks takes for all but its last
# column, and the least that is left to that one.
CHECK_MARGIN = 40
CHECK_WIDTH = 30

# What writes the log to stderr.
_handler: progress.ClearingHandler | None = None


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
        'would not, 2 if the command line or the configuration cannot be '
        'used.')
    check.add_argument('image', nargs='?', metavar='IMAGE',
                       help='id or name of an image; without one the newest '
                       'images stand for it')
    check.add_argument('--format', choices=('table', 'json'),
                       default='table', help='default: table')
    check.set_defaults(function=_check)

    fetch = commands.add_parser(
        'fetch', parents=[common],
        help='download an image to a file as nova-compute would',
        description='Download an image with the code of nova-compute. The '
        'file appears when it is whole; a file of that name is replaced '
        'then.')
    fetch.add_argument('image', metavar='IMAGE', help='id or name')
    fetch.add_argument('path', metavar='PATH', help='the file')
    fetch.add_argument('--method', choices=download.METHODS,
                       default='auto', help='auto: as nova.conf says; rbd: '
                       'from RBD or not at all; http: from the Image API; '
                       'default: auto')
    fetch.set_defaults(function=_fetch)

    precache = commands.add_parser(
        'precache', parents=[common],
        help='fetch images into the image cache of this node',
        description='Fetch images into the image cache of nova-compute, '
        'under its locks. Images that are there are left alone. Exit status '
        '1 if an image could not be fetched.')
    precache.add_argument('images', nargs='+', metavar='IMAGE',
                          help='id or name')
    precache.set_defaults(function=_precache)

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
    bench.set_defaults(function=_bench)

    complete = commands.add_parser(
        'complete', help='write a completion script for bash',
        description='Write a script for bash that completes commands and '
        'options, for a file in /etc/bash_completion.d.')
    complete.set_defaults(function=None)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError('%r is no number from 1' % text)
    return int(text)


def _configure(args: argparse.Namespace) -> None:
    """Read what nova-compute reads.

    :raises: :class:`service_user.OperatorError`
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
        raise service_user.OperatorError(
            str(exc), 'run it as the user of nova-compute, with "sudo -u '
            'nova"')
    except cfg.Error as exc:
        raise service_user.OperatorError(
            'the configuration cannot be used: %s' % exc, 'correct it')


def _set_up_logging(debug: bool, level: int) -> None:
    """Show the log on stderr rather than in the file of nova-compute.

    :param level: lowest level to show if not everything is
    """
    global _handler
    handler = _handler = progress.ClearingHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(
        '%(asctime)s %(levelname)s %(name)s %(message)s' if debug
        else '%(levelname)s: %(message)s'))
    if not debug:
        # The summary says it too.
        handler.addFilter(lambda record: not str(record.msg).startswith(
            download.SUCCESS))
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
    items = list(check.run(args.image))
    good = check.over_rbd(items)
    if args.format == 'json':
        print(jsonutils.dumps({
            'over_rbd': good,
            'checks': [{'topic': item.topic, 'state': item.state,
                        'found': item.found, 'cure': item.cure}
                       for item in items]}, indent=2))
    else:
        print(_check_table(items))
        print(_verdict(items, args.image))
    return EXIT_OK if good else EXIT_PROBLEM


def _check_table(items: list[check_item.Item]) -> str:
    """Write a table for a terminal, else one line for each item."""
    rows = [[item.topic, item.state, item.found + (
        '. To mend it: %s' % item.cure if item.cure else '')]
        for item in items]
    if not sys.stdout.isatty():
        return '\n'.join('%-15s %-15s %s' % tuple(row) for row in rows)
    table = prettytable.PrettyTable(['Check', 'State', 'Found'])
    table.align = 'l'
    table.max_width['Found'] = max(
        CHECK_WIDTH, shutil.get_terminal_size().columns - CHECK_MARGIN)
    table.add_rows(rows)
    return table.get_string()


def _verdict(items: list[check_item.Item], image: str | None) -> str:
    problems = [item.topic for item in items
                if item.state == check_item.PROBLEM]
    what = 'this image' if image else 'images'
    if not problems:
        return 'A boot on this node reads %s from RBD.' % what
    return 'A boot on this node does not read %s from RBD, see: %s.' % (
        what, ', '.join(dict.fromkeys(problems)))


# Downloads

@contextlib.contextmanager
def _progress(text: str) -> ty.Iterator[ty.Callable[[int, int], None]]:
    """Show progress on stderr while the context lasts."""
    bar = progress.Progress(text, sys.stderr)
    if _handler is not None:
        _handler.progress = bar
    try:
        yield bar.show
    finally:
        bar.clear()
        if _handler is not None:
            _handler.progress = None


class _Glance:
    """Glance, as the service user sees it."""

    def __init__(self) -> None:
        self.context = service_user.context()
        service_user.identity(self.context)
        self._service = service_user.service()

    def show(self, image: str) -> dict[str, ty.Any]:
        found = service_user.show(self._service, self.context, image)
        if found.get('status') != 'active':
            raise service_user.OperatorError(
                'image %s is %s' % (found['id'], found.get('status')),
                'wait until it is active, or activate it')
        return found


def _told(exc: Exception) -> str:
    """Say why an image could not be fetched; the log has said more."""
    return 'nova-image-download: %s' % service_user.describe(exc)


def _summary(outcome: download.Outcome) -> str:
    size = check_item.size
    data = ('' if outcome.data_bytes is None
            else ' of which %s are data' % size(outcome.data_bytes))
    return ('%s%s over %s in %.2f s (%s/s), %s on disk, %s' % (
        size(outcome.size), data, outcome.method.upper(), outcome.seconds,
        size(outcome.rate), size(outcome.allocated),
        outcome.verified if outcome.verified == 'unverified'
        else 'verified by %s' % outcome.verified))


def _fetch(args: argparse.Namespace) -> int:
    glance = _Glance()
    image = glance.show(args.image)
    path = args.path
    if os.path.isdir(path):
        path = os.path.join(path, image['id'])
    try:
        with _progress(image['id']) as show:
            outcome = download.fetch(glance.context, image, path,
                                             args.method, show)
    except (exception.NovaException, OSError) as exc:
        print(_told(exc), file=sys.stderr)
        return EXIT_PROBLEM
    print('%s: %s' % (path, _summary(outcome)))
    return EXIT_OK


def _precache(args: argparse.Namespace) -> int:
    glance = _Glance()
    status = EXIT_OK
    for name in args.images:
        try:
            image = glance.show(name)
            with _progress(image['id']) as show:
                outcome = download.precache(glance.context, image,
                                                    show)
        except (exception.NovaException, service_user.OperatorError,
                OSError) as exc:
            print('%s: %s' % (name, exc if isinstance(
                exc, service_user.OperatorError) else _told(exc)),
                file=sys.stderr)
            status = EXIT_PROBLEM
            continue
        print('%s: %s' % (image['id'], _summary(outcome) if outcome.method
                          else 'is in the image cache already'), flush=True)
    return status


def _bench(args: argparse.Namespace) -> int:
    glance = _Glance()
    image = glance.show(args.image)
    if args.html:
        # Not only after minutes of work.
        download.check_target(args.html)
    with contextlib.ExitStack() as stack:

        def began(method: str, number: int
                  ) -> ty.Callable[[int, int], None]:
            stack.close()
            return stack.enter_context(_progress('%s %d/%d' % (
                method.upper(), number, args.runs)))

        try:
            runs = bench.run(glance.context, image, args.runs, began)
        except (exception.NovaException, OSError) as exc:
            stack.close()
            print(_told(exc), file=sys.stderr)
            return EXIT_PROBLEM
    report = bench.as_json(image, runs)
    if args.html:
        with open(args.html, 'w', encoding='utf-8') as f:
            f.write(bench_page.render(report))
    if args.format == 'json':
        print(jsonutils.dumps(report, indent=2))
        return EXIT_OK
    size = check_item.size
    table = prettytable.PrettyTable([
        'Way', 'Seconds', 'Fastest', 'Slowest', 'Rate', 'CPU seconds',
        'On disk', 'Verified by'])
    table.align = 'r'
    for summary in bench.summarise(runs):
        table.add_row([
            summary.method.upper(), '%.2f' % summary.seconds,
            '%.2f' % summary.fastest, '%.2f' % summary.slowest,
            size(summary.rate) + '/s', '%.2f' % summary.cpu_seconds,
            size(summary.allocated), summary.verified])
    print(table.get_string())
    speedup = bench.speedup(bench.summarise(runs))
    if speedup:
        print(bench_page.comparison(speedup))
    return EXIT_OK


def main(argv: ty.Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: its arguments, by default those of the process
    :returns: the exit status
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command == 'complete':
        # Needs no configuration.
        print(completion.script(parser), end='')
        return EXIT_OK
    signal.signal(signal.SIGTERM, _interrupt)
    # Whoever closes the terminal wants nothing left either.
    signal.signal(signal.SIGHUP, _interrupt)
    debug = getattr(args, 'debug', False)
    try:
        _configure(args)
        _set_up_logging(debug, logging.CRITICAL if args.command == 'check'
                        else logging.WARNING)
        objects.register_all()
        return args.function(args)
    except service_user.OperatorError as exc:
        print('nova-image-download: %s' % exc, file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt as exc:
        print('nova-image-download: interrupted', file=sys.stderr)
        return EXIT_SIGNAL + (exc.args[0] if exc.args else signal.SIGINT)


def _interrupt(number: int, frame: object) -> ty.NoReturn:
    raise KeyboardInterrupt(number)


if __name__ == '__main__':
    sys.exit(main())
