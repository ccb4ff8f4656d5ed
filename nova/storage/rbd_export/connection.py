# SPDX-License-Identifier: Apache-2.0

"""Connect to the cluster.

All functions here may block for as long as the timeouts allow.
"""

from __future__ import annotations

from collections.abc import Callable
import errno
import math
import threading

from .errors import describe
from .errors import ExportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rados

# While data is read, the longest that one request may take is this many times
# the stall timeout. Whether the export stalls is then for the supervisor to
# see: on a slow cluster a request may wait long behind others while bytes do
# move.
OP_TIMEOUT_FACTOR = 4


def load_rados() -> None:
    """Import rados, or say how to get it.

    :raises: ExportError
    """
    global rados
    try:
        import rados
    except ImportError as exc:
        raise _missing_bindings(exc)


def load_rbd() -> Callable[[], None]:
    """Begin to import rbd.

    Its libraries take as long to load as a cluster nearby takes to answer, so
    the caller connects meanwhile.

    :returns: a function that waits until it is there, and raises ExportError
        if it cannot be imported
    """
    failures: list[ImportError] = []

    def load() -> None:
        global rbd
        try:
            import rbd
        except ImportError as exc:
            failures.append(exc)

    def wait() -> None:
        thread.join()
        if failures:
            raise _missing_bindings(failures[0])

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return wait


def _missing_bindings(exc: ImportError) -> ExportError:
    import sys
    return ExportError(
        'bindings', 'the Ceph bindings cannot be imported by %s (%s); '
        'install the packages python3-rados and python3-rbd, or run this '
        'under a Python that has them' % (sys.executable, exc))


def connect(user: str | None, conf: str | None, keyring: str | None,
            connect_timeout: float, stall_timeout: float,
            read_from_replica: str = 'default') -> rados.Rados:
    """Connect to a cluster.

    :param user: name of the client without 'client.', None for librados'
        default
    :param conf: path of ceph.conf, None for librados' search path
    :param keyring: path of the keyring, None for what ceph.conf says
    :param connect_timeout: seconds for the connection and for each request to
        a monitor
    :param stall_timeout: seconds without a byte that are bearable
    :param read_from_replica: 'default', 'balance' or 'localize'
    :raises: ExportError
    """
    settings = {
        # These and no argument of connect() limit how long it takes. Not
        # every release of Ceph takes fractions of a second.
        'client_mount_timeout': math.ceil(connect_timeout),
        'rados_mon_op_timeout': math.ceil(connect_timeout),
        'rados_osd_op_timeout': math.ceil(stall_timeout),
        # Each byte is read once: a cache would only cost copies.
        'rbd_cache': 'false',
        # Reading would write the time of it into the image.
        'rbd_atime_update_interval': 0,
        # Neither is of use to a process that lives for seconds; both may
        # fail for lack of permission, with lines on stderr.
        'admin_socket': '',
        'log_to_stderr': 'false',
        'err_to_stderr': 'false',
    }
    if keyring:
        settings['keyring'] = keyring
    if read_from_replica != 'default':
        settings['rbd_read_from_replica_policy'] = read_from_replica
    name = 'client.%s' % (user or 'admin')
    where = conf or 'ceph.conf in its usual places'
    try:
        client = rados.Rados(rados_id=user, conffile=conf or '')
    except rados.Error as exc:
        if getattr(exc, 'errno', None) == errno.ENOENT:
            raise ExportError('connect', 'there is no %s; name the '
                              'configuration of the cluster' % where)
        raise ExportError('connect', 'cannot use %s: %s'
                          % (where, describe(exc)))
    try:
        for option, value in settings.items():
            client.conf_set(option, str(value))
        client.connect()
    except rados.Error as exc:
        number = abs(getattr(exc, 'errno', None) or 0)
        if number == errno.ENOENT:
            raise ExportError(
                'permission', 'there is no key for %s: its keyring is missing '
                'or does not hold it; check the keyring that %s names, and '
                'whether this user may read it' % (name, where))
        if number in (errno.EACCES, errno.EPERM):
            raise ExportError(
                'permission', 'the cluster refuses %s; check that its key is '
                'the one that "ceph auth get %s" shows, and that its keyring '
                'may be read' % (name, name))
        if number == errno.ETIMEDOUT:
            raise ExportError(
                'connect', 'no monitor answered within %g s; check the '
                'monitors of %s and the network to them'
                % (connect_timeout, where))
        raise ExportError('connect', 'cannot connect to the cluster of %s: %s'
                          % (where, describe(exc)))
    return client


def allow_queueing(client: rados.Rados, stall_timeout: float) -> None:
    """Let single requests take longer from now on.

    :param stall_timeout: seconds without a byte that are bearable
    """
    try:
        client.conf_set('rados_osd_op_timeout',
                        str(math.ceil(OP_TIMEOUT_FACTOR * stall_timeout)))
    except rados.Error:
        # Requests that wait too long behind others fail then.
        pass
