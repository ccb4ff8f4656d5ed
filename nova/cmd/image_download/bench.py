# SPDX-License-Identifier: Apache-2.0

"""How long downloads of one image take over RBD and over HTTP, on this node.

The ways take turns, so that what else happens meanwhile befalls both.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import statistics
import typing as ty

from nova.cmd.image_download import download
from nova.cmd.image_download import node_user
from nova.cmd.image_download import service_user
from nova.cmd.image_download import units
import nova.conf
from nova import context as nova_context
from nova.virt import image_leftovers

CONF = nova.conf.CONF

WAYS = ('rbd', 'http')

# A copy leaves one part in so many of the disk free: servers run on it.
RESERVED = 20


@dataclasses.dataclass
class Run:
    """One download.

    :ivar number: of the round, from 1
    :ivar cpu_seconds: processor time of this process and its children
    """

    number: int
    outcome: download.Outcome
    cpu_seconds: float


@dataclasses.dataclass
class Summary:
    """All downloads by one way; seconds and rates are medians.

    :ivar rate: bytes of the image a second
    :ivar allocated: bytes that the file takes on the disk
    """

    method: str
    runs: int
    seconds: float
    fastest: float
    slowest: float
    rate: float
    cpu_seconds: float
    allocated: int
    verified: str


def run(context: nova_context.RequestContext, image: dict[str, ty.Any],
        rounds: int,
        began: ty.Callable[[str, int], ty.Callable[[int, int], object]]
        ) -> list[Run]:
    """Download an image by each way in turn.

    To the disk of the image cache; each copy is removed again.

    :param context: from service_user.context
    :param image: from service_user.show
    :param rounds: how often by each way
    :param began: called with the way and the round before each download;
        returns what is called with its progress
    :raises: OperatorError if there is no room; what a download raises
    """
    download.check_user()
    reason = node_user.why_not_writable(CONF.instances_path)
    if reason:
        raise service_user.OperatorError(
            'cannot write to [DEFAULT]/instances_path: %s' % reason,
            'run it as the user of nova-compute')
    image_leftovers.reclaim_workspaces(CONF.instances_path)
    _check_space(image)
    runs = []
    with image_leftovers.workspace(CONF.instances_path) as directory:
        path = os.path.join(directory, 'image')
        for number in range(1, rounds + 1):
            # Neither is always the one that finds the caches filled.
            for method in WAYS if number % 2 else reversed(WAYS):
                show = began(method, number)
                before = _cpu_seconds()
                outcome = download.fetch(context, image, path, method, show)
                runs.append(Run(number, outcome, _cpu_seconds() - before))
                os.unlink(path)
    return runs


def _check_space(image: dict[str, ty.Any]) -> None:
    """Raise OperatorError if a copy would take the room of running servers."""
    usage = shutil.disk_usage(CONF.instances_path)
    reserve = max(usage.total // RESERVED,
                  CONF.reserved_host_disk_mb << 20)
    needed = (image.get('size') or 0) + reserve
    if usage.free < needed:
        size = units.format_bytes
        raise service_user.OperatorError(
            '%s has %s free; a copy of the image takes %s, and %s have to '
            'stay free for servers' % (
                CONF.instances_path, size(usage.free),
                size(image.get('size') or 0), size(reserve)),
            'free some, or take a smaller image')


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in
              (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def summarise(runs: ty.Iterable[Run]) -> list[Summary]:
    """Return a summary for each way, RBD first."""
    summaries = []
    for method in WAYS:
        mine = [run for run in runs if run.outcome.method == method]
        if not mine:
            continue
        seconds = [run.outcome.seconds for run in mine]
        summaries.append(Summary(
            method=method, runs=len(mine),
            seconds=statistics.median(seconds), fastest=min(seconds),
            slowest=max(seconds),
            rate=statistics.median(run.outcome.rate for run in mine),
            cpu_seconds=statistics.median(run.cpu_seconds for run in mine),
            allocated=max(run.outcome.allocated for run in mine),
            verified=mine[-1].outcome.verified))
    return summaries


def speedup(summaries: ty.Sequence[Summary]) -> float | None:
    """Return how many times faster RBD is, None if that is not known."""
    seconds = {summary.method: summary.seconds for summary in summaries}
    if set(seconds) != set(WAYS):
        return None
    return seconds['http'] / max(seconds['rbd'], 1e-6)


def as_json(image: dict[str, ty.Any],
            runs: ty.Sequence[Run]) -> dict[str, ty.Any]:
    """Return everything that was measured, in seconds and bytes."""
    summaries = summarise(runs)
    return {
        'image': {name: image.get(name) for name in
                  ('id', 'name', 'size', 'disk_format')},
        'host': CONF.host,
        'speedup': speedup(summaries),
        'summary': [dataclasses.asdict(summary) for summary in summaries],
        'runs': [dict(dataclasses.asdict(run.outcome), number=run.number,
                      cpu_seconds=run.cpu_seconds, rate=run.outcome.rate)
                 for run in runs],
    }
