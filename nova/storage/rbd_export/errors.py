# SPDX-License-Identifier: Apache-2.0

"""The table of causes: every way in which a download can fail.

The one place that says, for each code, what the process ends with, whose
concern the cause is, and what an operator can do about it. The engine, Nova's
log lines, ``nova-image-download check`` and the troubleshooting page all take
the remedy from here. A message says what happened this time, the remedy what
to do. Neither is ever taken apart again: control flow looks at the code and
the kind only.
"""

from __future__ import annotations

import errno
import os

OK = 0

# Kinds: whose concern a cause is, and what can still help.

# The disk of this node named an error that every way of writing meets
# (ENOSPC, EDQUOT, EROFS, EIO). HTTP cannot help.
DISK = 'disk'
# Something else of this node: its configuration, its packages, its limits.
# The cluster has no part in it, so its circuit breaker stays as it is, and
# HTTP is worth a try.
NODE = 'node'
# The cluster as a whole did not answer. The only kind that opens a breaker.
NO_ANSWER = 'no_answer'
# The cluster answered, or only a part of it did not: neither another pool nor
# another image is judged by it.
CLUSTER = 'cluster'
# The image is not what Glance says, or is not there.
IMAGE = 'image'


class Cause:
    """One row of the table.

    :ivar exit: exit status of the engine; None for causes that only Nova,
        which runs the engine, can find
    :ivar kind: DISK, NODE, NO_ANSWER, CLUSTER or IMAGE
    :ivar remedy: what to do, to follow the words "To fix this, "; '' if
        nothing has to be done
    """

    __slots__ = ('exit', 'kind', 'remedy')

    def __init__(self, exit: int | None, kind: str, remedy: str) -> None:
        self.exit = exit
        self.kind = kind
        self.remedy = remedy


_UPLOAD_AGAIN = ('upload the image to Glance again, as its copy in RBD is '
                 'damaged or not the one that was meant')

# Codes and exit statuses are an interface: programs depend on them. A number
# is never given to another code.
CAUSES: dict[str, Cause] = {
    'unexpected': Cause(
        1, NODE, 'report this as a bug, with the log of nova-compute at '
        'debug level'),
    'bad_arguments': Cause(2, NODE, 'see --help of the program'),
    'not_found': Cause(
        3, IMAGE, 'check with "rbd info" whether the image and its snapshot '
        'are still in the pool; if only the snapshot is gone, make and '
        'protect it again'),
    'permission': Cause(
        4, CLUSTER, 'give the key the caps mon "profile rbd" osd "profile '
        'rbd-read-only pool=POOL" for every pool that holds the image, its '
        'parents or their data'),
    'connect': Cause(
        5, NO_ANSWER, 'check that the monitors are up, and that this node '
        'reaches the addresses in its ceph.conf'),
    'stalled': Cause(
        6, CLUSTER, 'check that the OSDs and placement groups of the pool '
        'are up, with "ceph health detail"'),
    'wrong_size': Cause(7, IMAGE, _UPLOAD_AGAIN),
    'wrong_digest': Cause(8, IMAGE, _UPLOAD_AGAIN),
    'no_space': Cause(
        9, DISK, 'free space on the file system of the image cache, or raise '
        'its quota'),
    'bindings': Cause(
        10, NODE, 'install the packages python3-rados and python3-rbd, built '
        'for the Python that runs nova-compute or for /usr/bin/python3'),
    'wrong_cluster': Cause(
        11, NODE, 'set [glance]/rbd_ceph_conf to the configuration of the '
        'cluster that Glance stores its images in'),
    'local_file': Cause(
        12, DISK, 'check the file system of the image cache, and the log of '
        'the kernel'),
    'read': Cause(
        13, CLUSTER, 'check the health of the cluster with "ceph health '
        'detail"'),
    'parent_died': Cause(14, NODE, ''),
    'no_key': Cause(
        15, NODE, 'store the keyring of the client where ceph.conf names it, '
        'as /etc/ceph/ceph.client.USER.keyring, or set [glance]/rbd_user to '
        'the client that the keyring is for'),
    'keyring_not_readable': Cause(
        16, NODE, 'give the user of nova-compute a readable copy of a keyring '
        'that holds no more than the key for the images'),
    'bad_keyring': Cause(
        17, NODE, 'write the keyring again, as "ceph auth get CLIENT" shows '
        'it'),
    'key_rejected': Cause(
        18, NODE, 'compare the key in the keyring of this node with the one '
        'that "ceph auth get CLIENT" shows'),
    'no_conf': Cause(
        19, NODE, 'set [glance]/rbd_ceph_conf to the ceph.conf of the '
        'cluster, or store it there'),
    'conf_not_readable': Cause(
        20, NODE, 'make the ceph.conf readable for the user of nova-compute'),
    'bad_conf': Cause(
        21, NODE, 'correct the ceph.conf; "ceph-conf --conf FILE --lookup '
        'mon_host" reads it with the same parser'),
    'no_monitors': Cause(
        22, NODE, 'add the line mon_host to the ceph.conf, as "ceph config '
        'generate-minimal-conf" writes it'),
    'name_resolution': Cause(
        23, NODE, 'correct the names of the monitors in the ceph.conf, or the '
        'name server of this node'),
    'blocklisted': Cause(
        24, CLUSTER, 'find the entry of this node with "ceph osd blocklist '
        'ls" and remove it with "ceph osd blocklist rm ADDRESS"'),
    'disk_stalled': Cause(
        25, NODE, 'check what the file system of the image cache waits for'),
    'not_writable': Cause(
        26, NODE, 'let the user of nova-compute write to the directory of the '
        'image cache, and check the file system it lies on'),
    'snapshot_removed': Cause(
        27, IMAGE, 'nothing if the image was deleted in Glance; if it is '
        'still active there, make and protect its snapshot again'),
    'limits': Cause(
        28, NODE, 'raise the limit of nova-compute that the message names'),
    # Found by Nova around the engine.
    'interrupted': Cause(None, NODE, ''),
    'killed': Cause(
        None, NODE, 'check the log of the kernel for what ended the process, '
        'as a lack of memory'),
    'silent': Cause(
        None, NODE, 'check whether the processes of nova-compute were '
        'stopped or frozen, and with the log of the kernel what they waited '
        'for'),
    'not_retried': Cause(None, NO_ANSWER, ''),
    'stalled_before': Cause(None, CLUSTER, ''),
    'signature': Cause(None, IMAGE, _UPLOAD_AGAIN),
    'signature_unchecked': Cause(
        None, NODE, 'check the certificate of the image and the [key_manager] '
        'section of nova.conf'),
    'digest_unknown': Cause(
        None, IMAGE, 'upload the image again, to a Glance whose '
        'hashing_algorithm Python knows, as sha512'),
    # Where Glance keeps the image, and whether it may be read there.
    'no_location': Cause(
        None, IMAGE, 'check with "openstack image show" whether the image has '
        'data'),
    'no_service_user': Cause(
        None, NODE, 'set up the [service_user] section of nova.conf, with the '
        'roles service and admin for its user'),
    'bad_service_user': Cause(
        None, NODE, 'complete the [service_user] section of nova.conf'),
    'service_user_rejected': Cause(
        None, NODE, 'correct the user and password in the [service_user] '
        'section of nova.conf'),
    'locations_refused': Cause(
        None, NODE, 'give the user of [service_user] the roles service and '
        'admin in its project'),
    'locations_hidden': Cause(
        None, NODE, 'give the user of [service_user] the roles service and '
        'admin in its project, as Glance hides images of other projects '
        'from others'),
    'no_locations_api': Cause(
        None, NODE, 'use Glance 29 or newer, or let it show locations, which '
        'OSSN-0090 advises against'),
    'glanceclient_too_old': Cause(
        None, NODE, 'install python-glanceclient 4.7.0 or newer'),
    'glance_unreachable': Cause(
        None, NODE, 'check that Glance and Keystone answer the [service_user] '
        'of nova.conf'),
    'image_by_url': Cause(None, NODE, 'refer to the image by its id'),
    'not_in_rbd': Cause(None, IMAGE, ''),
    'location_refused': Cause(
        None, IMAGE, 'check who changed the locations of the image; if they '
        'were made by hand, set [glance]/rbd_download_require_image_id = '
        'False'),
    'location_malformed': Cause(
        None, IMAGE, 'check who wrote this location of the image, and correct '
        'it'),
    'pool_not_allowed': Cause(
        None, NODE, 'add the pool to [glance]/rbd_pool if it is one of '
        'Glance, else check who changed the locations of the image'),
    'too_many_locations': Cause(
        None, IMAGE, 'remove some of the locations of the image'),
}

# The exit statuses by code, for programs that ask for them.
EXIT_CODES = {code: cause.exit for code, cause in CAUSES.items()
              if cause.exit is not None}

# Shells report a death by signal N as 128 + N.
SIGNAL_EXIT = 128

# Phases that the engine announces and in which librados takes in what
# ceph.conf says: a crash in one of them has its cause there.
READING_CONF = 'reading the configuration'
CONNECTING = 'connecting'
READS_CONF = frozenset([READING_CONF, CONNECTING])

# What the kernel says of a disk that no other way of writing would spare.
DISK_ERRNOS = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])

# What it says where the process or the host has no more of something.
LIMIT_ERRNOS = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOMEM,
                          errno.EAGAIN, errno.EFBIG])


class ExportError(Exception):
    """An export that did not happen.

    :param code: a key of CAUSES
    :param message: one sentence: what happened, with the name of the errno
        where there is one; never a secret, and not what to do
    :param remedy: what to do, if more is known than the table says
    :param facts: what else a program may want to know, by name
    """

    def __init__(self, code: str, message: str, remedy: str | None = None,
                 **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.cause = CAUSES[code]
        self.remedy = self.cause.remedy if remedy is None else remedy
        self.facts = facts

    @property
    def exit(self) -> int:
        """Return the exit status of a process that ends with this error."""
        if self.code == 'interrupted':
            return SIGNAL_EXIT + int(self.facts.get('signal', 0))  # type: ignore[call-overload]  # noqa: E501
        return EXIT_CODES[self.code]


def describe(exc: BaseException) -> str:
    """Return what the system or the Ceph bindings said, in one short line."""
    number = getattr(exc, 'errno', None)
    if isinstance(number, int) and number:
        return '%s (%s)' % (os.strerror(abs(number)),
                            errno.errorcode.get(abs(number), str(number)))
    text = ' '.join(str(exc).split())
    return '%s: %s' % (type(exc).__name__, text) if text else (
        type(exc).__name__)


def local_error(what: str, exc: OSError, **facts: object) -> ExportError:
    """Return the error for something that the local system refused.

    Only what the kernel says of the disk itself rules HTTP out. Everything
    else may concern no more than this way of writing.

    :param what: was attempted, as the beginning of a sentence
    """
    code = 'not_writable'
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        code = 'no_space'
    elif exc.errno in DISK_ERRNOS:
        code = 'local_file'
    elif exc.errno in LIMIT_ERRNOS:
        code = 'limits'
    return ExportError(code, '%s: %s' % (what, describe(exc)), **facts)
