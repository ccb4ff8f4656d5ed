# SPDX-License-Identifier: Apache-2.0

"""nova-image-download: see how this node gets images, and let it get some.

Runs on a compute node with the configuration of nova-compute and, like it,
with native threads unless that is configured otherwise.
"""

from __future__ import annotations

# autopep8: off
import inspect
from nova import monkey_patch
# Before Nova 33 nova.cmd has chosen eventlet already.
if 'backend' in inspect.signature(
        getattr(monkey_patch, 'patch', object)).parameters:
    monkey_patch.patch(backend='threading')
# autopep8: on

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import typing as ty

from oslo_config import cfg
from oslo_serialization import jsonutils

from nova.cmd.image_download import arguments
from nova.cmd.image_download import bench
from nova.cmd.image_download import bench_page
from nova.cmd.image_download import check
from nova.cmd.image_download import check_item
from nova.cmd.image_download import completion
from nova.cmd.image_download import download
from nova.cmd.image_download import image_names
from nova.cmd.image_download import node_user
from nova.cmd.image_download import output
from nova.cmd.image_download.printable import printable
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
EXIT_UNKNOWN = 3
EXIT_SIGNAL = 128

# Seconds that a check waits for an answer of Keystone or Glance if nova.conf
# names no time. Without a limit it would be as long as TCP tries.
HTTP_TIMEOUT = 15

# What writes the log to stderr.
_handler: progress.ClearingHandler | None = None


def _configure(args: argparse.Namespace) -> None:
    """Read what nova-compute reads.

    :raises: :class:`service_user.OperatorError`
    """
    # As its own program oslo.config would not look for nova-compute.conf.
    files = getattr(args, 'config_file', None)
    folders = getattr(args, 'config_dir', None)
    if files is None:
        files = cfg.find_config_files('nova', 'nova-compute')
    if folders is None:
        folders = cfg.find_config_dirs('nova', 'nova-compute')
    words = ['--config-file=%s' % path for path in files]
    words += ['--config-dir=%s' % path for path in folders]
    try:
        config.parse_args(['nova-compute', *words], configure_db=False,
                          init_rpc=False)
    except cfg.ConfigFilesPermissionDeniedError as exc:
        raise service_user.OperatorError(
            '%s, as %s' % (exc, node_user.name()),
            'run this as the user of nova-compute, or make the files '
            'readable for that user')


def _set_up_logging(debug: bool, level: int) -> None:
    """Show the log on stderr rather than in the file of nova-compute.

    :param level: lowest level to show if not everything is
    """
    global _handler
    handler = _handler = progress.ClearingHandler(sys.stderr)
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
    items = []
    try:
        for item in check.run(args.image):
            items.append(item)
    except (cfg.Error, service_user.OperatorError):
        raise
    except Exception as exc:
        # It must not be taken for an answer.
        items.append(check_item.Item(
            'check', check_item.UNKNOWN, 'the check itself failed, %s'
            % service_user.describe(exc), 'report this as a bug, with what '
            '--debug shows'))
        logging.getLogger(__name__).debug('The check failed', exc_info=True)
    good = check.over_rbd(items)
    if args.format == 'json':
        print(output.check_json(items, good))
    else:
        print(output.check_table(items))
        print(output.verdict(items, args.image))
    return {True: EXIT_OK, False: EXIT_PROBLEM, None: EXIT_UNKNOWN}[good]


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
        self._identity = service_user.identity(self.context)
        self._service = service_user.service()

    def show(self, image: str) -> dict[str, ty.Any]:
        found = image_names.show(self._service, self.context, image,
                                 self._identity.project_id)
        if found.get('status') != 'active':
            raise service_user.OperatorError(
                'image %s is %s' % (found['id'], found.get('status')),
                'wait until it is active, or activate it')
        # A name may be that of more than one image.
        print('This is %s' % image_names.describe(found), file=sys.stderr)
        return found


def _told(exc: Exception) -> str:
    """Say why an image could not be fetched; the log has said more."""
    return 'nova-image-download: %s' % service_user.describe(exc)


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
    print('%s: %s' % (path, output.summary(outcome)))
    return EXIT_OK


def _precache(args: argparse.Namespace) -> int:
    glance = _Glance()
    status = EXIT_OK
    for name in args.images:
        try:
            image = glance.show(name)
            with _progress(image['id']) as show:
                outcome = download.precache(glance.context, image, show)
        except (exception.NovaException, service_user.OperatorError,
                OSError) as exc:
            print('%s: %s' % (name, exc if isinstance(
                exc, service_user.OperatorError) else _told(exc)),
                file=sys.stderr)
            status = EXIT_PROBLEM
            continue
        print('%s: %s' % (
            image['id'], output.summary(outcome) if outcome.method
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
    print(output.bench_table(runs))
    return EXIT_OK


def _complete(args: argparse.Namespace) -> int:
    script = completion.script(args.shell)
    if script is None:
        print('nova-image-download: this Nova was installed without '
              'completion scripts. To fix this, install our wheel, or shtab.',
              file=sys.stderr)
        return EXIT_PROBLEM
    print(script, end='')
    return EXIT_OK


COMMANDS: dict[str, ty.Callable[[argparse.Namespace], int]] = {
    'check': _check,
    'fetch': _fetch,
    'precache': _precache,
    'bench': _bench,
}


def main(argv: ty.Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: its arguments, by default those of the process
    :returns: the exit status
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    args = arguments.parser().parse_args(argv)
    if args.command == 'complete':
        # Needs no configuration.
        return _complete(args)
    signal.signal(signal.SIGTERM, _interrupt)
    # Whoever closes the terminal wants nothing left either.
    signal.signal(signal.SIGHUP, _interrupt)
    debug = getattr(args, 'debug', False)
    try:
        _configure(args)
        try:
            status = node_user.run_as_owner(argv)
        except (OSError, subprocess.SubprocessError):
            # As in a container without the right to; see node_user.doubt.
            status = None
        if status is not None:
            return status
        _set_up_logging(debug, logging.CRITICAL if args.command == 'check'
                        else logging.WARNING)
        objects.register_all()
        return COMMANDS[args.command](args)
    except cfg.Error as exc:
        # Some values are looked at when they are used only.
        print('nova-image-download: the configuration cannot be used: %s. '
              'To fix this, correct it.' % printable(str(exc)),
              file=sys.stderr)
        return EXIT_USAGE
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
