# SPDX-License-Identifier: Apache-2.0

"""The user that nova-compute runs as, and how to be that user.

What a download may read and write is decided by it. Root may read everything,
and leaves files that nova-compute cannot remove, so a command that root gives
goes on as the owner of the directory that nova-compute keeps instances in.
"""

from __future__ import annotations

import collections.abc
import errno
import grp
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile

import nova.conf

CONF = nova.conf.CONF

# Shells report a death by signal N as 128 + N.
SIGNAL_EXIT = 128


def name(uid: int | None = None) -> str:
    """Return the name of a user of this node, or its number.

    :param uid: by default that of this process
    """
    uid = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def run_as_owner(words: collections.abc.Sequence[str]) -> int | None:
    """Run the command again as the owner of ``instances_path``.

    In a process of its own: that one also shows whether this user may read
    the configuration, and this one stays what it is.

    :param words: the arguments of the command
    :returns: the exit status of the command, None if nothing was run because
        this process is not root's or the directory is
    :raises: OSError if root may not become another user here
    """
    if os.geteuid() != 0:
        return None
    try:
        owner = os.stat(CONF.instances_path)
    except OSError:
        return None
    if owner.st_uid == 0:
        return None
    environment = dict(os.environ)
    try:
        entry = pwd.getpwuid(owner.st_uid)
    except KeyError:
        gid, groups = owner.st_gid, [owner.st_gid]
        # As in a container; libraries fail for a user without any.
        environment['HOME'] = '/'
    else:
        gid = entry.pw_gid
        groups = os.getgrouplist(entry.pw_name, gid)
        # Python and librados look for files below it.
        environment.update(HOME=entry.pw_dir, USER=entry.pw_name,
                           LOGNAME=entry.pw_name)
    process = subprocess.Popen(
        [sys.executable, '-m', 'nova.cmd.image_download', *words],
        env=environment, user=owner.st_uid, group=gid, extra_groups=groups)
    # A terminal interrupts both; other signals have to be passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: process.send_signal(caught))
    status = process.wait()
    return status if status >= 0 else SIGNAL_EXIT - status


def why_not_writable(directory: str) -> str:
    """Return why no file can be made in a directory, '' if one can.

    Tried, since neither owner nor mode tell: there are groups, access control
    lists, read-only mounts and servers that decide. Nothing is left there.
    """
    try:
        with tempfile.TemporaryFile(dir=directory):
            return ''
    except OSError as exc:
        return '%s (%s)' % (os.strerror(exc.errno or 0),
                            errno.errorcode.get(exc.errno or 0, '?'))


def doubt() -> tuple[str, str]:
    """Return why this process may not be what nova-compute is.

    :returns: the reason and what to do about it, both '' without a doubt
    """
    path, me = CONF.instances_path, os.geteuid()
    try:
        found = os.stat(path)
    except OSError as exc:
        if me != 0:
            return '', ''
        return ('the owner of [DEFAULT]/instances_path would tell the user '
                'of nova-compute, but %s: %s' % (path, os.strerror(
                    exc.errno or 0)),
                'run this on a compute node, as the user of nova-compute')
    if me == 0:
        if found.st_uid != 0:
            return ('%s belongs to %s, whom this process may not become'
                    % (path, name(found.st_uid)),
                    'run it with "sudo -u %s"' % name(found.st_uid))
        if found.st_gid != 0 and found.st_mode & stat.S_IWGRP:
            return ('%s belongs to root, and group %s may write there'
                    % (path, _group(found.st_gid)),
                    'run it as the user of nova-compute')
        return '', ''
    reason = '' if found.st_uid == me else why_not_writable(path)
    if reason:
        owner = name(found.st_uid)
        return ('%s may not write to %s, which belongs to %s'
                % (name(), path, owner),
                'run it as the user of nova-compute' + (
                    ', as with "sudo -u %s"' % owner if found.st_uid else ''))
    return '', ''


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
