# SPDX-License-Identifier: Apache-2.0

"""Where this node has its key for the cluster, and who may read it."""

from __future__ import annotations

import os
import re
import stat
import typing as ty

from nova.cmd.image_download.check_item import Item
from nova.cmd.image_download.check_item import NOT_APPLICABLE
from nova.cmd.image_download.check_item import OK
from nova.cmd.image_download.check_item import PROBLEM
from nova.cmd.image_download.check_item import WARNING
from nova.storage import rbd_transfer

# Where librados looks for its configuration, see "man ceph-conf".
CEPH_CONFS = ('/etc/ceph/ceph.conf', '~/.ceph/ceph.conf')

# The engine's codes for a key that cannot be had.
KEY_CODES = frozenset(['no_key', 'keyring_not_readable', 'bad_keyring'])

# Longest part of a ceph.conf that is searched for keys, in bytes.
CONF_SIZE = 1 << 20


def conf_paths(cluster: rbd_transfer.Cluster) -> list[str]:
    """Return where the ceph.conf may be, in the order of librados."""
    if cluster.conf:
        return [cluster.conf]
    return [path for path in (os.environ.get('CEPH_CONF') or '',
                              *map(os.path.expanduser, CEPH_CONFS)) if path]


def keyring(facts: dict[str, ty.Any],
            failure: rbd_transfer.TransferError | None,
            cluster: rbd_transfer.Cluster) -> Item:
    """Return where the key is.

    Only librados knows all the places. That the cluster was asked shows that
    there is a key, or that none is needed.
    """
    topic, client = 'keyring', facts['client']
    if failure is not None and failure.code in KEY_CODES:
        remedy = failure.remedy
        if client == 'client.admin':
            # Its key is for administrators alone.
            remedy = ('set [glance]/rbd_user to a client that may read the '
                      'pool of the images and nothing else, and store its '
                      'keyring')
        return Item(topic, PROBLEM, str(failure), remedy)
    used = [entry['path'].strip() for entry in facts.get('keyrings', [])
            if entry['state'] == 'ok']
    for path in [*used[:1], *_files_with_keys(cluster)]:
        if _readable_by_all(path):
            return Item(topic, WARNING, '%s holds a key, and all users of '
                        'this node may read it' % path,
                        'run "chmod o= %s", and let the user of nova-compute '
                        'read it by its owner or its group' % path)
    if used:
        return Item(topic, OK, '%s has an entry for %s' % (used[0], client))
    if facts.get('fsid'):
        return Item(topic, OK, '%s needs no keyring: ceph.conf names its key, '
                    'or the cluster asks for none' % client)
    return Item(topic, NOT_APPLICABLE, 'no keyring has an entry for %s; '
                'ceph.conf may name its key' % client)


def _files_with_keys(cluster: rbd_transfer.Cluster) -> ty.Iterator[str]:
    """Yield the ceph.conf if it has a key, and the files that it names."""
    for path in conf_paths(cluster):
        try:
            with open(path, encoding='utf-8', errors='replace') as f:
                text = f.read(CONF_SIZE)
        except OSError:
            continue
        if re.search(r'^\s*key\s*=', text, re.MULTILINE):
            yield path
        yield from re.findall(r'^\s*key[ _]?file\s*=\s*(/\S+)', text,
                              re.MULTILINE)
        return


def _readable_by_all(path: str) -> bool:
    """Return whether every user may read a file, its directories included."""
    try:
        if not os.stat(path).st_mode & stat.S_IROTH:
            return False
        directory = os.path.dirname(os.path.realpath(path))
        while directory != os.path.dirname(directory):
            if not os.stat(directory).st_mode & stat.S_IXOTH:
                return False
            directory = os.path.dirname(directory)
    except OSError:
        return False
    return True
