# SPDX-License-Identifier: Apache-2.0

"""Connections of the libvirt driver to a cluster: time limits and threads.

Every call into librados and librbd that may wait for the cluster leaves the
eventlet hub alone: under eventlet it runs on a native thread of eventlet's
pool, with native threads on the thread that asks.
"""

from __future__ import annotations

import errno
import typing as ty

from nova import release_compat

# How much longer than for a connection Nova waits for one request on it. Busy
# clusters serve some requests late while recovering: Ceph itself starts to
# call one slow after 30 s (osd_op_complaint_time). With the default
# rbd_connect_timeout of 5 s this makes a minute.
REQUEST_PATIENCE = 12


# The default of [libvirt]/rbd_connect_timeout. It means what it means without
# this project: librados ignores the number, and waits for as long as is usual.
DEFAULT_CONNECT_TIMEOUT = 5

# How long that is, in seconds: client_mount_timeout of librados.
USUAL_CONNECT_TIMEOUT = 300


def connect_limit(given: int | None, configured: int) -> int:
    """Return the seconds that a connection may take, 0 for the usual time.

    Nodes that have disks in RBD outlast a monitor's fail-over, unless their
    operator has asked for less.

    :param given: by the caller, None if it leaves that to the configuration
    :param configured: [libvirt]/rbd_connect_timeout
    """
    if given is not None:
        return given
    return 0 if configured == DEFAULT_CONNECT_TIMEOUT else configured


def time_limits(connect_timeout: int,
                read_only: bool = False) -> dict[str, int]:
    """Return the librados options that end the wait for a lost cluster.

    The argument of ``Rados.connect()`` does not, librados ignores it. Each
    limit is for one request to the cluster, not for what is made of many.

    A request that merely reads can be given up and made again. One that
    changes something may still be carried out after it was given up. So only
    connections that just read get a limit for requests to OSDs; on others
    flatten, removal and rollback wait for a cluster that recovers, unless its
    ceph.conf sets ``rados_osd_op_timeout`` for this client. Requests to
    monitors on such connections, as for the id of a snapshot, get time for
    the election of a new monitor.

    :param connect_timeout: seconds; 0 and less leave librados' own limits
        (300 s for a connection, none for requests)
    :param read_only: whether the connection will be used to read only
    :returns: seconds by name of option
    """
    if connect_timeout <= 0:
        return {}
    patience = connect_timeout * REQUEST_PATIENCE
    if read_only:
        return {'client_mount_timeout': connect_timeout,
                'rados_mon_op_timeout': connect_timeout,
                'rados_osd_op_timeout': patience}
    return {'client_mount_timeout': connect_timeout,
            'rados_mon_op_timeout': patience}


def is_gone(exc: Exception) -> bool:
    """Return whether the bindings say that something does not exist."""
    return getattr(exc, 'errno', None) == errno.ENOENT


def offload(function: ty.Callable, *args: ty.Any, **kwargs: ty.Any) -> ty.Any:
    """Call a function that may block; in eventlet mode, off the hub.

    It must not log: from a foreign native thread that can deadlock under
    eventlet (LP#1983863).
    """
    return release_compat.off_hub(function, *args, **kwargs)


def _has_limit(client: ty.Any, option: str) -> bool:
    """Tell whether the ceph.conf that a client has read sets a limit."""
    try:
        return float(client.conf_get(option)) > 0
    except (TypeError, ValueError):
        return False


def open_pool(rados: ty.Any, user: str | None, conf: str | None, pool: str,
              connect_timeout: int, limit: int, read_only: bool) -> tuple:
    """Connect and open a pool, or raise and leave nothing open.

    :param rados: the bindings
    :param limit: see :func:`connect_limit`
    """
    client = rados.Rados(rados_id=user, conffile=conf)
    try:
        for option, seconds in time_limits(limit, read_only).items():
            # How long to wait for a connection is Nova's option. The limits
            # for requests derive from it just for want of a better value.
            if (option == 'client_mount_timeout' or
                    not _has_limit(client, option)):
                client.conf_set(option, str(seconds))
        client.connect(timeout=connect_timeout)
        return client, client.open_ioctx(pool)
    except BaseException:
        client.shutdown()
        raise


def close_pool(client: ty.Any, ioctx: ty.Any) -> None:
    """Undo :func:`open_pool`."""
    try:
        ioctx.close()
    finally:
        client.shutdown()
