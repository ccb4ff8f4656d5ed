# SPDX-License-Identifier: Apache-2.0

"""Find out what is wrong with a ceph.conf, and resolve its monitors' names.

librados says EINVAL or ENOENT of a whole file. What it takes for an error is
for librados to decide: here the file is looked at before only for what cannot
be told afterwards, and else after librados has refused it.
"""

from __future__ import annotations

import errno
import os
import re
import socket

from .errors import describe
from .errors import ExportError

# Where librados looks if it is given no path, for the cluster's usual name.
USUAL_PLACES = ('/etc/ceph/ceph.conf', '~/.ceph/ceph.conf', 'ceph.conf')

# A section of one monitor, and what gives its address there.
_MON_SECTION = re.compile(r'^\s*\[mon\.[^]]+\]', re.MULTILINE)

# What separates the monitors in mon_host.
_SEPARATORS = re.compile(r'([\s,;]+)')

# What tries a file. Who is asked for does not matter.
_TRIAL = '''
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import rados
try:
    rados.Rados(rados_id='admin', conffile=sys.argv[1])
except rados.Error:
    pass
'''

_SECTION = re.compile(r'^\[[^][]+\]\s*([#;].*)?$')
_OPTION = re.compile(r'^[^][=#;]+=')


def places(conf: str | None) -> list[str]:
    """Return the paths that librados tries, in its order."""
    if conf:
        return [conf]
    named = os.environ.get('CEPH_CONF')
    if named:
        return [path.strip() for path in named.split(',') if path.strip()]
    return [os.path.expanduser(path) for path in USUAL_PLACES]


def read(conf: str | None) -> tuple[str, str]:
    """Return the path and the text of the file that librados will use.

    :param conf: its path, None for the usual places
    :raises: ExportError if there is none that can be read
    """
    refused: OSError | None = None
    paths = places(conf)
    for path in paths:
        try:
            with open(path, encoding='utf-8', errors='replace') as f:
                return path, f.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            refused = refused or exc
    if refused is None:
        raise ExportError('no_conf', 'there is no %s' % ' and no '.join(paths))
    if refused.errno in (errno.EACCES, errno.EPERM):
        raise ExportError('conf_not_readable', 'cannot read %s: %s' % (
            refused.filename, describe(refused)))
    raise ExportError('bad_conf', 'cannot read %s: %s'
                      % (refused.filename, describe(refused)))


def check_by_trial(path: str, text: str) -> None:
    """Check that librados can read a file without ending the process.

    Some releases abort on characters that are not ASCII, depending on where
    they stand. Only files that have some are tried, by another process.

    :raises: ExportError
    """
    if text.isascii():
        return
    import signal
    import subprocess
    import sys
    ended = subprocess.run(
        [sys.executable, '-I', '-c', _TRIAL, path], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if ended.returncode >= 0:
        return
    number = 1 + next(n for n, line in enumerate(text.splitlines())
                      if not line.isascii())
    raise ExportError(
        'bad_conf', 'librados cannot parse %s: it ends the process (%s); the '
        'first line with a character that is not ASCII is %d'
        % (path, signal.Signals(-ended.returncode).name, number))


def refused(path: str, text: str, exc: Exception) -> ExportError:
    """Return the error for a file that librados does not take.

    :param exc: what librados said
    """
    return ExportError('bad_conf', 'librados cannot parse %s: %s' % (
        path, describe(exc) + _suspect(text)))


def _suspect(text: str) -> str:
    """Return what looks wrong in a file, as the end of a sentence."""
    if text and not text.endswith('\n'):
        return '; its last line does not end with a newline'
    continued = False
    for number, line in enumerate(text.splitlines(), 1):
        if '\ufffd' in line:
            return '; its line %d is not UTF-8' % number
        stripped = line.strip()
        begins = not continued
        continued = line.endswith('\\')
        if not begins or not stripped or stripped[0] in '#;':
            continue
        if not (_SECTION.match(stripped) or _OPTION.match(stripped)):
            # Not the line itself: it may hold a key.
            return '; see its line %d' % number
    return ''


def has_monitor_sections(text: str) -> bool:
    """Return whether single monitors have sections."""
    return _MON_SECTION.search(text) is not None


def _host_and_port(word: str) -> tuple[str, str] | None:
    """Return name and ":port" of a monitor that is given by its name.

    :returns: None for an address
    """
    if word.startswith('[') or re.match(r'(v1|v2|any):', word):
        return None
    host, colon, port = word.rpartition(':')
    if not colon:
        host, port = word, ''
    for family, text in ((socket.AF_INET, host), (socket.AF_INET6, word),
                         (socket.AF_INET6, host)):
        try:
            socket.inet_pton(family, text.partition('/')[0])
            return None
        except OSError:
            continue
    return host, colon + port


def monitor_names(mon_host: str) -> list[str]:
    """Return the names in a value of mon_host that have to be resolved."""
    found = []
    for word in _SEPARATORS.split(mon_host.strip()):
        if word and not _SEPARATORS.fullmatch(word):
            named = _host_and_port(word)
            if named:
                found.append(named[0])
    return found


def resolved(mon_host: str, path: str) -> str:
    """Return a value of mon_host with addresses in place of names.

    librados gives up if one name among many cannot be resolved. A monitor
    less is no reason for that.

    :param path: of the file, for messages
    :raises: ExportError if no monitor is left
    """
    kept: list[str] = []
    failed: list[str] = []
    for word in _SEPARATORS.split(mon_host.strip()):
        if not word or _SEPARATORS.fullmatch(word):
            continue
        named = _host_and_port(word)
        if named is None:
            kept.append(word)
            continue
        host, port = named
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            failed.append('%s (%s)' % (host, _resolver_said(exc)))
            continue
        for family, _type, _proto, _name, address in found:
            text = str(address[0])
            kept.append(('[%s]' if family == socket.AF_INET6 else '%s') % text
                        + port)
    if failed and not kept:
        raise ExportError(
            'name_resolution', 'mon_host in %s names monitors that cannot be '
            'resolved: %s' % (path, ', '.join(failed)))
    return ','.join(dict.fromkeys(kept))


def _resolver_said(exc: Exception) -> str:
    # Its numbers are not those of errno.
    return exc.strerror if isinstance(
        exc, socket.gaierror) and exc.strerror else describe(exc)
