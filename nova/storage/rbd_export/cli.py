# SPDX-License-Identifier: Apache-2.0

"""The program: run what the command line asks for."""

from __future__ import annotations

import os
import sys

# Noted as early as can be: see watchdog.
PARENT = os.getppid()

from . import arguments  # noqa: E402
from . import errors  # noqa: E402
from . import export  # noqa: E402
from . import libc  # noqa: E402
from . import report as report_  # noqa: E402
from . import watchdog  # noqa: E402
from .errors import ExportError  # noqa: E402

# How much sooner, in the unit of /proc/PID/oom_score_adj: the score of a
# process that holds half of all memory.
OOM_SCORE = 500


def _go_first() -> None:
    """Let the kernel end this process before its parent if memory is short.

    The parent can try again, or another way.
    """
    try:
        with open('/proc/self/oom_score_adj', 'r+') as f:
            score = int(f.read())
            f.seek(0)
            f.write(str(min(1000, score + OOM_SCORE)))
    except (OSError, ValueError):
        pass


def run(words: list[str]) -> int:
    """Do what the command line says, and return the exit code."""
    # Wrong arguments are to be reported in the right way, too.
    options = words[:words.index('--')] if '--' in words else words
    report: report_.JsonReport | report_.HumanReport
    report = (report_.JsonReport() if '--json' in options
              else report_.HumanReport())
    try:
        args = arguments.parse(words)
        if args.help:
            sys.stdout.write(arguments.HELP)
            return errors.OK
    except ExportError as exc:
        try:
            report.error(exc)
        except report_.Broken:
            pass
        return exc.exit
    libc.limit_memory()
    _go_first()
    job = watchdog.Job(args.connect_timeout, args.stall_timeout)
    work = export.probe if args.probe else export.export
    if args.survey:
        from . import access_probe
        work = access_probe.survey
    return watchdog.run(job, lambda: work(args, job), report, PARENT)


def main() -> None:
    """Run, and end the process."""
    watchdog.leave(run(sys.argv[1:]))
