# SPDX-License-Identifier: Apache-2.0

"""Run the export engine with a Python that has the Ceph bindings.

That is the one that runs Nova, or the distribution's if only that one has
them, as when Nova lives in a virtual environment.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import typing as ty

from oslo_log import log as logging

from nova.storage import export_process
from nova.storage.rbd_export import errors
from nova.storage.transfer_error import TransferError

LOG = logging.getLogger(__name__)

# Where distributions install python3-rados and python3-rbd.
SYSTEM_PYTHON = '/usr/bin/python3'

# The interpreter that was seen to have the bindings, and where it finds them
# if not where it looks by itself.
_python: tuple[str, tuple[str, ...]] | None = None


def run(arguments: list[str], patience: float, subject: str,
        on_connected: ty.Callable[[], object] = lambda: None
        ) -> dict[str, ty.Any]:
    """Run the engine with the first Python that has the bindings.

    :param arguments: the engine's command line
    :param patience: seconds without a sign of life before it is killed
    :param subject: what the engine works on, for the log
    :param on_connected: called when the cluster has answered
    :returns: the engine's final event, if it reports success
    :raises: :class:`TransferError`
    """
    global _python

    missing = None
    for candidate in _candidates():
        python, paths = candidate
        try:
            final = _run(python, arguments, patience, subject, paths,
                         on_connected)
        except TransferError as exc:
            if exc.kind in (errors.NO_ANSWER, errors.CLUSTER, errors.IMAGE):
                # It took the bindings to find that out.
                _python = candidate
            if exc.code != 'bindings':
                raise
            missing = exc
        else:
            _python = candidate
            return final
    raise TransferError(
        'bindings', 'no Python on this host has the Ceph bindings (tried %s)'
        % ', '.join(dict.fromkeys(python for python, _paths in _candidates()))
        ) from missing


def _run(*args: ty.Any) -> dict[str, ty.Any]:
    """Run one process, and once more if a signal meant for Nova ended it.

    A service manager that stops nova-compute may signal all its processes at
    once. Nova then goes on until its work is done, and so does the download.
    """
    try:
        return export_process.ExportProcess(*args).run()
    except TransferError as exc:
        if exc.code != 'interrupted':
            raise
        LOG.info('Reading %(subject)s from RBD again: %(exc)s',
                 {'subject': args[3], 'exc': exc})
    return export_process.ExportProcess(*args).run()


def _candidates() -> list[tuple[str, tuple[str, ...]]]:
    """Return interpreters to try, each with further directories to look in."""
    plain = [(python, ()) for python in (sys.executable, SYSTEM_PYTHON)
             if python]
    found = [(sys.executable, paths) for paths in (binding_paths(),)
             if paths and sys.executable]
    known = [_python] if _python else []
    return list(dict.fromkeys([*known, *plain, *found]))


def binding_paths() -> tuple[str, ...]:
    """Return the directories that this process finds the bindings in.

    The engine does not look everywhere that Nova does, as PYTHONPATH is not
    for it. Nothing is imported for this.
    """
    paths = []
    for name in ('rados', 'rbd'):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            spec = None
        if spec is None or not spec.origin or not os.path.isabs(spec.origin):
            return ()
        path = os.path.dirname(spec.origin)
        if spec.submodule_search_locations is not None:
            path = os.path.dirname(path)
        if ':' in path:
            return ()
        paths.append(path)
    return tuple(dict.fromkeys(paths))
