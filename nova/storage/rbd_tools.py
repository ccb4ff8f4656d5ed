# SPDX-License-Identifier: Apache-2.0

"""What the libvirt driver asks of the command line tools of Ceph."""

from __future__ import annotations

import os
import re
import typing as ty

from oslo_concurrency import processutils
from oslo_log import log as logging
from oslo_serialization import jsonutils

from nova import exception
from nova.i18n import _
from nova.storage import rbd_connection

LOG = logging.getLogger(__name__)

# Seconds that a command of the ceph tool gets beyond its own time limits.
COMMAND_GRACE = 5

# "host:port/nonce", the host of IPv6 in brackets.
_MON_ADDRESS = re.compile(r'(?P<host>.+):(?P<port>\d+)(?:/\d+)?')


class CephTools:
    """The part of the RBD driver that runs the tools ceph and rbd."""

    # Attributes of the driver.
    pool: str
    rbd_user: str | None
    ceph_conf: str | None
    rbd_connect_timeout: int
    _connect_limit: int

    def ceph_args(self) -> list[str]:
        """Return the options of the ceph and rbd tools for this cluster."""
        args = ['--id', self.rbd_user] if self.rbd_user else []
        return args + (['--conf', self.ceph_conf] if self.ceph_conf else [])

    def _tool_environment(self) -> dict[str, str]:
        """Return the environment in which the tools know our time limits.

        An operator's own CEPH_ARGS come last, so they win.
        """
        args = ['--%s=%d' % limit for limit in
                rbd_connection.time_limits(self._connect_limit).items()]
        args += os.environ.get('CEPH_ARGS', '').split()
        return dict(os.environ, CEPH_ARGS=' '.join(args))

    def _ceph(self, *command: str) -> ty.Any:
        """Run a command of the ceph tool.

        :returns: its answer, decoded from JSON
        :raises: nova.exception.StorageError
        """
        argv = ['ceph', *command, '--format=json', *self.ceph_args()]
        limits = rbd_connection.time_limits(self._connect_limit)
        seconds = sum(limits.values())
        if self.rbd_connect_timeout > 0 and not seconds:
            seconds = 2 * rbd_connection.USUAL_CONNECT_TIMEOUT
        if seconds:
            # Ceph's own limits do not cover requests to the manager: without
            # one "ceph df" waits for ever. The timeout of processutils would
            # leave the process behind, and under eventlet raises a class that
            # cannot be named.
            argv = ['timeout', '--kill-after=%d' % COMMAND_GRACE,
                    str(seconds + COMMAND_GRACE)] + argv
        out = self._execute(*argv)
        # Old releases wrote a line of text before the object.
        return jsonutils.loads(out[max(out.find('{'), 0):])

    def _execute(self, *argv: str) -> str:
        """Run a tool of Ceph.

        :returns: what it writes
        :raises: nova.exception.StorageError, which names no path and no
            address: tenants may come to see it
        """
        try:
            return processutils.execute(
                *argv, env_variables=self._tool_environment())[0]
        except processutils.ProcessExecutionError as exc:
            LOG.error('The command "%(command)s" failed: %(exc)s',
                      {'command': ' '.join(argv), 'exc': exc})
            raise exception.StorageError(
                reason=_('A command of Ceph failed')) from exc

    def get_mon_addrs(
            self, strip_brackets: bool = True) -> tuple[list[str], list[str]]:
        """Return the addresses of the cluster's monitors.

        :param strip_brackets: give IPv6 addresses without brackets, as
            libvirt wants them
        :returns: the list of hosts and the list of their ports
        :raises: nova.exception.StorageError
        """
        hosts, ports = [], []
        for mon in self._ceph('mon', 'dump')['mons']:
            address = _MON_ADDRESS.fullmatch(mon['addr'])
            if address is None:
                raise exception.StorageError(
                    reason=_('Ceph monitor %s has no usable address')
                    % mon.get('name'))
            host = address['host']
            hosts.append(host.strip('[]') if strip_brackets else host)
            ports.append(address['port'])
        return hosts, ports

    def get_pool_info(self) -> dict[str, int]:
        """Return how much the driver's pool can hold.

        Asked of the ceph tool for the sake of MAX AVAIL, which allows for
        the copies that the pool keeps of everything; librados tells the raw
        space of all OSDs only.

        :returns: bytes: 'total' of the cluster, 'free' for new data in the
            pool and 'used' by the pool
        :raises: nova.exception.StorageError if the cluster does not tell,
            nova.exception.NotFound if it has no such pool
        """
        usage = self._ceph('df')
        for pool in usage['pools']:
            if pool['name'] == self.pool:
                return {'total': usage['stats']['total_bytes'],
                        'free': pool['stats']['max_avail'],
                        'used': pool['stats']['bytes_used']}
        raise exception.NotFound(_('Pool %s could not be found.') % self.pool)

    def import_image(self, base: str, name: str) -> None:
        """Make an image from a local file.

        The rbd tool does it, since it leaves out blocks of zeros.

        :param base: path of the file
        :param name: name of the new image
        :raises: nova.exception.StorageError
        """
        # Format 1, the default of old releases, allows no clones.
        self._execute('rbd', 'import', '--pool', self.pool, base, name,
                      '--image-format=2', *self.ceph_args())
