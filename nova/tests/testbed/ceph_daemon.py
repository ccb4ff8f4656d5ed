# SPDX-License-Identifier: Apache-2.0

"""A daemon of a Ceph cluster, as a test fixture."""

from collections.abc import Callable
from collections.abc import Sequence
import json
import socket
import struct
from typing import Any

from . import daemon


class CephError(Exception):
    """The cluster refused a command."""


class CephDaemon(daemon.Daemon):
    """A daemon of the cluster, with its admin socket.

    :param name: type and id, "osd.0"
    :param asok: path of its admin socket
    """

    def __init__(self, name: str, command: Sequence[str], log: str, *,
                 asok: str, ready: Callable[[], object],
                 timeout: float) -> None:
        super().__init__(name, command, log + '.out', ready=ready, logs=[log],
                         timeout=timeout, stop_timeout=20)
        self.asok = asok

    def command_asok(self, prefix: str, **arguments: Any) -> Any:
        """Give a command through the admin socket, as "ceph daemon" does.

        :param prefix: the command, "config set"
        :param arguments: its arguments by name
        :returns: the answer, decoded from JSON where it is some
        :raises OSError: if the daemon does not answer within ten seconds
        """
        request = json.dumps({'prefix': prefix, 'format': 'json', **arguments})
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(self.asok)
            sock.sendall(request.encode() + b'\0')
            with sock.makefile('rb') as answer:
                (length,) = struct.unpack('>I', answer.read(4))
                text = answer.read(length).decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def set(self, **options: Any) -> None:
        """Set options of the running daemon; forgotten when it restarts."""
        for name, value in options.items():
            answer = self.command_asok('config set', var=name,
                                       val=[str(value)])
            if not isinstance(answer, dict) or 'success' not in answer:
                raise CephError(f'{self.name}: {name}={value}: {answer}')
