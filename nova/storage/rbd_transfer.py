# SPDX-License-Identifier: Apache-2.0

"""Copy RBD snapshots to files and ask clusters: the way into this package.

What is asked of a cluster is done by the export engine,
:mod:`nova.storage.rbd_export`, which :mod:`nova.storage.export_process` runs
as a child process. A cluster that does not answer is left alone for a while,
see :mod:`nova.storage.circuit_breaker`.

Programs that show how far a download is, or need to know how it ended, watch
it: see :mod:`nova.storage.watching`. They are given each
:class:`Progress`, and the :class:`Result` or the :class:`TransferError` of
each :func:`export`.
"""

from __future__ import annotations

import dataclasses
import os
import time
import typing as ty

import nova.conf
from nova.storage import circuit_breaker
from nova.storage import export_process
from nova.storage.export_process import Progress
from nova.storage import export_python
from nova.storage.rbd_export import errors
from nova.storage.transfer_error import TransferError
from nova.storage.watching import announce
from nova.storage.watching import watching

CONF = nova.conf.CONF

__all__ = ('Cluster', 'Progress', 'Result', 'Source', 'TransferError',
           'announce', 'export', 'fsid', 'probe', 'survey', 'watching')

# Where librados looks first when it is given no path.
DEFAULT_CEPH_CONF = '/etc/ceph/ceph.conf'

# Seconds for which an fsid is believed without asking. A cluster that was set
# up anew behind the same configuration is refused for that long.
FSID_MAX_AGE = 600.0

# The fsid of the cluster last asked and when that was, by how and with which
# version of its configuration file it was reached.
_fsids: dict[tuple[str, str, int], tuple[str, float]] = {}

# The first image of a pool that stalled since one of the pool was read.
_stalled: dict[tuple[str, ...], str] = {}

# Seconds that one request of a survey may take.
SURVEY_TIMEOUT = 5


@dataclasses.dataclass(frozen=True)
class Cluster:
    """How a cluster is reached.

    :ivar user: Ceph client name without ``client.``, '' for librados' default
    :ivar conf: path of the ceph.conf, '' for librados' search path
    :ivar connect_timeout: seconds; 0 and less stand for the default
    """

    user: str = ''
    conf: str = ''
    connect_timeout: int = 5

    def __post_init__(self) -> None:
        # No option for it has a lower limit, and no wait is endless here.
        if self.connect_timeout <= 0:
            object.__setattr__(self, 'connect_timeout',
                               type(self).connect_timeout)

    @classmethod
    def of_glance(cls) -> 'Cluster':
        """Return the cluster that ``[glance]`` names.

        Empty options fall back to those of ``[libvirt]``, as they always
        have.
        """
        timeout = (CONF.glance.rbd_connect_timeout or
                   CONF.libvirt.rbd_connect_timeout)
        return cls(
            user=CONF.glance.rbd_user or CONF.libvirt.rbd_user or '',
            conf=(CONF.glance.rbd_ceph_conf or
                  CONF.libvirt.images_rbd_ceph_conf or ''),
            connect_timeout=timeout)

    def arguments(self) -> list[str]:
        """Return the engine's options for this cluster."""
        arguments = ['--connect-timeout=%d' % self.connect_timeout]
        if self.user:
            arguments.append('--id=%s' % self.user)
        if self.conf:
            arguments.append('--conf=%s' % self.conf)
        return arguments

    @property
    def key(self) -> tuple[str, ...]:
        """Return what names the cluster in this process."""
        return 'rbd', self.user, self.conf

    @property
    def breaker(self) -> circuit_breaker.CircuitBreaker:
        """Return the breaker of this cluster in this process."""
        return circuit_breaker.get(self.key)

    def check(self) -> None:
        """Raise if the cluster did not answer a moment ago.

        :raises: :class:`TransferError`, with the remedy of the first failure
        """
        wait = self.breaker.seconds_to_wait()
        if wait:
            raise TransferError(
                'not_retried', 'the cluster did not answer a moment ago (%s) '
                'and is not tried again for %d s'
                % (self.breaker.reason, wait + 1), self.breaker.remedy)

    def check_source(self, source: Source) -> None:
        """Raise if an image, or its pool, stalled a moment ago.

        :raises: :class:`TransferError`, with the remedy of the first failure
        """
        for key in ((*self.key, source.pool),
                    (*self.key, source.pool, source.image)):
            breaker = circuit_breaker.find(key)
            wait = breaker.seconds_to_wait() if breaker else 0
            if breaker and wait:
                raise TransferError(
                    'stalled_before', 'reading from there stalled a moment '
                    'ago (%s) and is not tried again for %d s'
                    % (breaker.reason, wait + 1), breaker.remedy)

    def note_failure(self, source: Source, exc: TransferError) -> None:
        """Remember an image that stalled.

        Its reason may be its own: one placement group, one limit. If another
        one of its pool stalls next, the pool is taken to be the reason.
        """
        pool = (*self.key, source.pool)
        image = (*pool, source.image)
        if exc.code != 'stalled':
            for key in (pool, image):
                breaker = circuit_breaker.find(key)
                if breaker:
                    breaker.abandoned()
            return
        circuit_breaker.get(image).failed(str(exc), exc.remedy)
        if _stalled.setdefault(pool, source.image) != source.image:
            circuit_breaker.get(pool).failed(str(exc), exc.remedy)

    def note_success(self, source: Source) -> None:
        """Remember that an image of a pool could be read."""
        pool = (*self.key, source.pool)
        _stalled.pop(pool, None)
        circuit_breaker.discard(pool)
        circuit_breaker.discard((*pool, source.image))


@dataclasses.dataclass(frozen=True)
class Source:
    """An RBD snapshot."""

    pool: str
    image: str
    snapshot: str

    def __str__(self) -> str:
        return '%s/%s@%s' % (self.pool, self.image, self.snapshot)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a download did.

    :ivar size: bytes of the image
    :ivar data_bytes: bytes of it that were written; the rest are holes
    :ivar seconds: from the start of the child to its end
    :ivar digest: 'algorithm:hex' if one was asked for, else None
    :ivar fsid: of the cluster that was read
    """

    size: int
    data_bytes: int
    seconds: float
    digest: str | None
    fsid: str


def export(source: Source, dst_path: str, cluster: Cluster | None = None,
           size: int | None = None, digest: str | None = None,
           fsid: str | None = None) -> Result:
    """Copy an RBD snapshot to a file that appears whole or not at all.

    :param source: the snapshot to read
    :param dst_path: path of the file; an existing regular file is replaced
    :param cluster: how to reach the cluster, by default as ``[glance]`` says
    :param size: bytes that the image must have, None if not known
    :param digest: 'algorithm:hex' to verify, None to verify nothing
    :param fsid: the cluster must have this fsid, None for any
    :returns: a :class:`Result`
    :raises: :class:`TransferError`; nothing is left at dst_path then that was
        not there before
    """
    cluster = cluster or Cluster.of_glance()
    arguments = cluster.arguments() + [
        '--stall-timeout=%d' % CONF.glance.rbd_download_stall_timeout]
    if CONF.glance.rbd_download_inflight:
        arguments.append(
            '--inflight=%d' % CONF.glance.rbd_download_inflight)
    if CONF.glance.rbd_download_max_rate:
        arguments.append(
            '--max-rate=%d' % CONF.glance.rbd_download_max_rate)
    if CONF.glance.rbd_read_from_replica != 'default':
        arguments.append(
            '--read-from-replica=%s' % CONF.glance.rbd_read_from_replica)
    if size is not None:
        arguments.append('--size=%d' % size)
    if digest:
        arguments.append('--digest=%s' % digest)
    if fsid:
        arguments.append('--fsid=%s' % fsid)
    # With '=' no name can be taken for an option, and after '--' no path.
    arguments += ['--pool=%s' % source.pool, '--image=%s' % source.image,
                  '--snap=%s' % source.snapshot,
                  # The child has another working directory.
                  '--', os.path.abspath(dst_path)]

    started = time.monotonic()
    try:
        final = _attempt(cluster, arguments,
                         patience=CONF.glance.rbd_download_stall_timeout,
                         subject=str(source), source=source)
    except TransferError as exc:
        announce(exc)
        raise
    result = Result(size=final['bytes'], data_bytes=final['data_bytes'],
                    seconds=time.monotonic() - started,
                    digest=final.get('digest'), fsid=final['fsid'])
    announce(result)
    return result


def probe(cluster: Cluster | None = None) -> str:
    """Connect to a cluster and return its fsid.

    :param cluster: how to reach it, by default as ``[glance]`` says
    :raises: :class:`TransferError`
    """
    cluster = cluster or Cluster.of_glance()
    final = _attempt(cluster, cluster.arguments() + ['--probe'],
                     patience=cluster.connect_timeout, subject='the cluster')
    return final['fsid']


def survey(cluster: Cluster | None = None, pools: ty.Iterable[str] = (),
           source: Source | None = None, sample: int = 0
           ) -> dict[str, ty.Any]:
    """Find out what the client may do in a cluster.

    For an operator who waits for the answer: the cluster is asked although it
    did not answer a moment ago.

    :param cluster: how to reach it, by default as ``[glance]`` says
    :param pools: to look at in any case
    :param source: a snapshot to read a sample of
    :param sample: how many bytes of it
    :returns: what :mod:`nova.storage.rbd_export.access_probe` found
    :raises: :class:`TransferError`, whose facts tell what was found until
        then
    """
    cluster = cluster or Cluster.of_glance()
    arguments = cluster.arguments() + [
        '--survey', '--stall-timeout=%d' % SURVEY_TIMEOUT]
    if pools:
        arguments.append('--pools=%s' % ','.join(pools))
    if source is not None:
        arguments += ['--sample=%d' % sample, '--pool=%s' % source.pool,
                      '--image=%s' % source.image,
                      '--snap=%s' % source.snapshot]
    return export_python.run(
        arguments,
        SURVEY_TIMEOUT + cluster.connect_timeout + export_process.GRACE,
        'the cluster')


def fsid(cluster: Cluster | None = None) -> str:
    """Return the fsid of a cluster, asking it only if that may have changed.

    The engine compares the fsid again on the connection that it reads from,
    so an answer that is out of date refuses too much, never too little.

    :param cluster: how to reach it, by default as ``[glance]`` says
    :raises: :class:`TransferError`
    """
    cluster = cluster or Cluster.of_glance()
    try:
        version = os.stat(cluster.conf or DEFAULT_CEPH_CONF).st_mtime_ns
    except OSError:
        version = 0
    key = (cluster.user, cluster.conf, version)
    answer, asked = _fsids.get(key, ('', 0.0))
    if not answer or time.monotonic() - asked > FSID_MAX_AGE:
        answer = probe(cluster)
        _fsids.clear()
        _fsids[key] = answer, time.monotonic()
    return answer


def _attempt(cluster: Cluster, arguments: list[str], patience: float,
             subject: str, source: Source | None = None
             ) -> dict[str, ty.Any]:
    """Run the engine unless what it needs is known to be away.

    :param source: what is read, if something is
    """
    cluster.check()
    if source is not None:
        cluster.check_source(source)
    connected = False

    def on_connected() -> None:
        nonlocal connected
        connected = True
        cluster.breaker.succeeded()

    try:
        final = export_python.run(
            arguments,
            patience + cluster.connect_timeout + export_process.GRACE,
            subject, on_connected)
    except TransferError as exc:
        if exc.code == 'wrong_cluster':
            _fsids.clear()
        if connected:
            pass
        elif exc.kind == errors.NO_ANSWER:
            cluster.breaker.failed(str(exc), exc.remedy)
        elif (exc.kind in (errors.CLUSTER, errors.IMAGE) or
              exc.code == 'wrong_cluster'):
            cluster.breaker.succeeded()
        else:
            cluster.breaker.abandoned()
        if source is not None:
            cluster.note_failure(source, exc)
        raise
    cluster.breaker.succeeded()
    if source is not None:
        cluster.note_success(source)
    return final
