# SPDX-License-Identifier: Apache-2.0

"""What older releases of Nova lack of what our modules need.

Each function asks for a feature and not for a version, as stable branches and
distributions take features over. Each says which release has the feature; the
function goes when that release is the oldest that is supported.
"""

from __future__ import annotations

import sys
import typing as ty

from keystoneauth1 import loading

import nova.conf
from nova import service_auth
from nova import utils

CONF = nova.conf.CONF

# Authentication plugin by name of its group: a plugin holds the token, so
# that a new one each time would log in each time.
_plugins: dict[str, ty.Any] = {}


def threading_mode() -> bool:
    """Return whether the process runs native threads and not eventlet.

    Needless from Nova 32, which has ``utils.concurrency_mode_threading``.
    """
    known = getattr(utils, 'concurrency_mode_threading', None)
    if known is not None:
        return known()
    patcher = sys.modules.get('eventlet.patcher')
    return patcher is None or not patcher.is_monkey_patched('thread')


def off_hub(function: ty.Callable, *args: ty.Any, **kwargs: ty.Any) -> ty.Any:
    """Return what a function that blocks returns, without blocking others.

    In eventlet mode a native thread calls it, and it must not log: from
    there that can deadlock (LP#1983863).

    Needless from Nova 34, which has ``utils.tpool_wrap`` and, for itself,
    ``utils.get_eventlet``.
    """
    if threading_mode():
        return function(*args, **kwargs)
    from eventlet import tpool  # noqa: H905
    return tpool.execute(function, *args, **kwargs)


def proxy(target: ty.Any) -> ty.Any:
    """Return an object whose methods do not block others.

    Needless from Nova 33, which has ``utils.tpool_wrap``.

    :param target: the object; what its methods return is not wrapped
    """
    if threading_mode():
        return target
    from eventlet import tpool  # noqa: H905
    return tpool.Proxy(target)


def service_user_auth(group: str) -> ty.Any:
    """Return the authentication plugin of a group, None if it has none.

    Needless from Nova 33, which has ``get_service_auth_plugin``.

    :param group: name of a group of options as ``[service_user]``
    :raises: what keystoneauth1 raises if the group is not complete
    """
    known = getattr(service_auth, 'get_service_auth_plugin', None)
    if known is not None:
        return known(group)
    if _plugins.get(group) is None:
        _plugins[group] = loading.load_auth_from_conf_options(CONF, group)
    return _plugins[group]


def service_user_session(group: str, auth: ty.Any) -> ty.Any:
    """Return a session with the options of a group.

    Needless from Nova 33, which has ``get_service_auth_session``.

    :param group: name of a group of options as ``[service_user]``
    :param auth: from :func:`service_user_auth`
    """
    known = getattr(service_auth, 'get_service_auth_session', None)
    if known is not None:
        return known(group, auth=auth)
    return loading.load_session_from_conf_options(CONF, group, auth=auth)


def reset() -> None:
    """Forget the plugins, for tests with other options."""
    _plugins.clear()
