# SPDX-License-Identifier: Apache-2.0

"""Run the export engine with a Python that has the Ceph bindings.

That is the one that runs Nova, or the distribution's if only that one has
them, as when Nova lives in a virtual environment.
"""

from __future__ import annotations

import sys
import typing as ty

from nova.storage import export_process
from nova.storage.rbd_export import errors
from nova.storage.transfer_error import TransferError

# Where distributions install python3-rados and python3-rbd.
SYSTEM_PYTHON = '/usr/bin/python3'

# The interpreter that was seen to have the bindings.
_python: str | None = None


def run(arguments: list[str], patience: float,
        subject: str) -> dict[str, ty.Any]:
    """Run the engine with the first Python that has the bindings.

    :param arguments: the engine's command line
    :param patience: seconds without a sign of life before it is killed
    :param subject: what the engine works on, for the log
    :returns: the engine's final event, if it reports success
    :raises: :class:`TransferError`
    """
    global _python

    pythons = [python for python in dict.fromkeys(
        (_python, sys.executable, SYSTEM_PYTHON)) if python]
    missing = None
    for python in pythons:
        try:
            final = export_process.ExportProcess(
                python, arguments, patience, subject).run()
        except TransferError as exc:
            if exc.kind in (errors.NO_ANSWER, errors.CLUSTER, errors.IMAGE):
                # It took the bindings to find that out.
                _python = python
            if exc.code != 'bindings':
                raise
            missing = exc
        else:
            _python = python
            return final
    raise TransferError('bindings', 'no Python on this host has the Ceph '
                        'bindings (tried %s)' % ', '.join(pythons)
                        ) from missing
