# SPDX-License-Identifier: Apache-2.0

"""Find out why librados has no key that the cluster takes.

librados says EACCES, ENOTSUP, EIO or ENOENT for any of these causes, and not
the same for one cause in all configurations. So after a refusal the places of
the key are looked at. Of a key nothing is ever said but its kind.
"""

from __future__ import annotations

import base64
import binascii
import struct

from .errors import describe
from .errors import ExportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rados

# The head of a key: its kind, when it was made (seconds, nanoseconds), and
# the number of bytes that follow.
_HEAD = struct.Struct('<HIIH')

# The only kind that all releases know, and its number of bytes.
_AES = 1
_AES_BYTES = 16


def key_problem(key: str) -> str | None:
    """Return what is wrong with a key, None if it can be decoded."""
    try:
        data = base64.b64decode(key.strip(), validate=True)
        kind, _seconds, _nanoseconds, length = _HEAD.unpack_from(data)
    except (binascii.Error, ValueError, struct.error):
        return 'is not a key'
    if len(data) != _HEAD.size + length:
        return 'is not whole'
    if kind != _AES:
        return 'is of kind %d, which this librados may not know' % kind
    if length < _AES_BYTES:
        return 'is too short'
    return None


def _entries(path: str) -> dict[str, str]:
    """Return the keys of a keyring by the names of the clients.

    :raises: OSError
    """
    found: dict[str, str] = {}
    section = ''
    with open(path, encoding='utf-8', errors='replace') as f:
        for line in f:
            line = line.strip()
            if line.startswith('[') and ']' in line:
                section = line[1:line.index(']')]
                found.setdefault(section, '')
            name, equals, value = line.partition('=')
            if equals and name.strip() == 'key' and section:
                found[section] = value.strip()
    return found


def state(path: str, client: str) -> str:
    """Return 'ok', 'missing', 'unreadable', 'undecodable' or 'no entry'.

    :param path: of a keyring
    :param client: whose key is looked for, as client.NAME
    """
    try:
        entries = _entries(path.strip())
    except (FileNotFoundError, NotADirectoryError):
        return 'missing'
    except OSError:
        return 'unreadable'
    if client not in entries:
        return 'no entry'
    return 'undecodable' if key_problem(entries[client]) else 'ok'


def explain(cluster: rados.Rados, client: str) -> ExportError:
    """Return the reason why the cluster took no key of a client.

    :param cluster: a handle that could not connect
    """
    if cluster.conf_get('key'):
        # It goes first. Where ceph.conf holds it, no file is looked at.
        return _judge(cluster.conf_get('key'), client, 'option "key"')
    keyfile = cluster.conf_get('keyfile')
    if keyfile:
        try:
            with open(keyfile, encoding='utf-8', errors='replace') as f:
                return _judge(f.read(), client, keyfile)
        except OSError as exc:
            return _unreadable(keyfile, exc)
    missing: list[str] = []
    for path in (cluster.conf_get('keyring') or '').split(','):
        path = path.strip()
        if not path:
            continue
        try:
            entries = _entries(path)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(path)
            continue
        except OSError as exc:
            return _unreadable(path, exc)
        # The first one that is there counts.
        if client not in entries:
            return ExportError(
                'no_key', 'there is no key for %s in the keyring %s'
                % (client, path), keyring=path)
        return _judge(entries[client], client, path)
    return ExportError('no_key', 'there is no key for %s: no keyring at %s'
                       % (client, ' or '.join(missing) or 'any path'))


def _unreadable(path: str, exc: OSError) -> ExportError:
    return ExportError('keyring_not_readable', 'cannot read the keyring %s: %s'
                       % (path, describe(exc)), keyring=path)


def _judge(key: str, client: str, where: str) -> ExportError:
    problem = key_problem(key)
    if problem:
        return ExportError('bad_keyring', 'the key for %s in %s cannot be '
                           'used: it %s' % (client, where, problem),
                           keyring=where)
    return ExportError(
        'key_rejected', 'the cluster does not take the key for %s in %s'
        % (client, where), keyring=where)
