# SPDX-License-Identifier: Apache-2.0

"""Connect to the cluster.

All functions here may block for as long as the timeouts allow.
"""

from __future__ import annotations

from collections.abc import Callable
import errno
import math
import threading

from . import ceph_conf
from . import keyring as keyring_
from .errors import CONNECTING
from .errors import describe
from .errors import ExportError
from .errors import LIMIT_ERRNOS
from .errors import READING_CONF

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rados

# While data is read, the longest that one request may take is this many times
# the stall timeout. Whether the export stalls is then for the supervisor to
# see: on a slow cluster a request may wait long behind others while bytes do
# move.
OP_TIMEOUT_FACTOR = 4

# What librados says of monitors that it cannot reach.
_AWAY = frozenset([errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED,
                   errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH,
                   errno.ENETDOWN, errno.ENOTCONN, errno.EPIPE])

# What it says where the two sides do not agree on a way of authentication.
_NO_COMMON_WAY = frozenset([errno.EOPNOTSUPP, errno.ENOENT, errno.EACCES,
                            errno.EPERM])


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
        'bindings', 'the Ceph bindings cannot be imported by %s (%s)'
        % (sys.executable, exc))


def settings_of(connect_timeout: float, stall_timeout: float,
                keyring: str | None, read_from_replica: str
                ) -> dict[str, str]:
    """Return the options that go before those of ceph.conf."""
    settings: dict[str, object] = {
        # These and no argument of connect() limit how long it takes. Not
        # every release of Ceph takes fractions of a second.
        'client_mount_timeout': math.ceil(connect_timeout),
        'rados_mon_op_timeout': math.ceil(connect_timeout),
        'rados_osd_op_timeout': math.ceil(stall_timeout),
        # Each byte is read once: a cache would only cost copies.
        'rbd_cache': 'false',
        # Reading would write the time of it into the image.
        'rbd_atime_update_interval': 0,
        # None is of use to a process that lives for seconds; all may fail for
        # lack of permission, with lines on stderr, or leave a file for each
        # process.
        'admin_socket': '',
        'log_file': '',
        'log_to_syslog': 'false',
        'err_to_syslog': 'false',
        'log_to_graylog': 'false',
        'log_to_stderr': 'false',
        'err_to_stderr': 'false',
        'heartbeat_file': '',
    }
    if keyring:
        settings['keyring'] = keyring
    if read_from_replica != 'default':
        settings['rbd_read_from_replica_policy'] = read_from_replica
    return {name: str(value) for name, value in settings.items()}


def connect(user: str | None, conf: str | None, keyring: str | None,
            connect_timeout: float, stall_timeout: float,
            read_from_replica: str = 'default',
            enter: Callable[[str, str], None] = lambda phase, waits_for: None
            ) -> rados.Rados:
    """Connect to a cluster.

    :param user: name of the client without 'client.', None for librados'
        default
    :param conf: path of ceph.conf, None for librados' search path
    :param keyring: path of the keyring, None for what ceph.conf says
    :param connect_timeout: seconds for the connection and for each request to
        a monitor
    :param stall_timeout: seconds without a byte that are bearable
    :param read_from_replica: 'default', 'balance' or 'localize'
    :param enter: called with what is done next, and what that waits for
    :raises: ExportError
    """
    # librados may end the process while it reads a file: what was announced
    # last names the cause then.
    enter(READING_CONF, 'disk')
    path, text = ceph_conf.read(conf)
    ceph_conf.check_by_trial(path, text)
    settings = settings_of(connect_timeout, stall_timeout, keyring,
                           read_from_replica)
    try:
        # Before the file is read, or a log file that it names is opened.
        client = rados.Rados(rados_id=user, conf_defaults=settings,
                             conffile=conf or '', conf=settings)
    except rados.Error as exc:
        if abs(getattr(exc, 'errno', None) or 0) == errno.ENOENT:
            raise ExportError('no_conf', 'there is no %s' % path)
        raise ceph_conf.refused(path, text, exc)
    try:
        mon_host = client.conf_get('mon_host') or ''
        if ceph_conf.monitor_names(mon_host):
            enter('resolving the names of the monitors', 'names')
            client.conf_set('mon_host', ceph_conf.resolved(mon_host, path))
        alone = not (mon_host or ceph_conf.has_monitor_sections(text))
        # Without an address librados asks the name server for one.
        enter(CONNECTING, 'names' if alone else 'monitors')
        client.connect()
    except rados.Error as exc:
        raise _refused(client, exc, 'client.%s' % (user or 'admin'), path,
                       text, connect_timeout)
    return client


def _refused(client: rados.Rados, exc: Exception, name: str, path: str,
             text: str, connect_timeout: float) -> ExportError:
    """Return the reason for a connection that librados could not make."""
    number = abs(getattr(exc, 'errno', None) or 0)
    mon_host = client.conf_get('mon_host') or ''
    if not mon_host and not ceph_conf.has_monitor_sections(text):
        return ExportError(
            'no_monitors', 'there is no mon_host in %s, and no name server '
            'has monitors for this node: %s' % (path, describe(exc)))
    if number == errno.ETIMEDOUT:
        return ExportError(
            'connect', 'no monitor of %s answered within %g s: %s'
            % (path, connect_timeout, describe(exc)))
    if number == errno.ESHUTDOWN:
        return ExportError('blocklisted', 'the cluster has fenced this '
                           'client: %s' % describe(exc))
    if number not in _AWAY and number not in LIMIT_ERRNOS:
        # Without cephx no key is looked for.
        wants_key = 'cephx' in (client.conf_get('auth_client_required')
                                or 'cephx')
        found = keyring_.explain(client, name)
        if wants_key and (found.code != 'key_rejected' or number in (
                errno.EACCES, errno.EPERM)):
            return ExportError(found.code, '%s: %s' % (found, describe(exc)),
                               **found.facts)
        if number in _NO_COMMON_WAY:
            return ExportError(
                'bad_conf', 'the cluster and this client have no way of '
                'authentication in common: %s' % describe(exc), 'compare '
                'auth_client_required in the ceph.conf with that of the '
                'cluster')
    if number == errno.EINVAL:
        return ExportError(
            'bad_conf', 'librados cannot use mon_host = %s of %s, or another '
            'option: %s' % (mon_host, path, describe(exc)))
    if number in LIMIT_ERRNOS:
        return ExportError('limits', 'cannot connect to the cluster of %s: %s'
                           % (path, describe(exc)))
    return ExportError('connect' if number in _AWAY else 'unexpected',
                       'cannot connect to the cluster of %s: %s'
                       % (path, describe(exc)))


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
