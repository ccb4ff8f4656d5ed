# SPDX-License-Identifier: Apache-2.0

"""Where Glance says the bytes of an image are.

Two ways lead to the locations of an image. The locations API, new in Glance
29 as Images API v2.17, answers services only, so that locations can stay
hidden from users. Before it, they stood in the image record itself, for
everyone who could see the image (OSSN-0065 and OSSN-0090 say why that is
dangerous). The first is tried first, the second when it does not answer.
"""

import dataclasses
import typing as ty
import urllib.parse
import uuid

import glanceclient
import glanceclient.exc
from glanceclient.v2 import images as glance_images
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import service_token
from oslo_log import log as logging

import nova.conf
from nova import context as nova_context
from nova import release_compat
from nova.storage import rbd_transfer

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

RBD_PREFIX = 'rbd://'

# No location of a real image comes near this. RBD and pool names end far
# below it, and nothing longer should be carried into logs.
MAX_URL_LENGTH = 2048


# Codes of set-ups in which the locations API cannot answer. Where Glance
# shows locations to users instead, that is how the cloud is meant to be, and
# there is nothing to report.
NOT_OFFERED = frozenset(['no_service_user', 'no_locations_api',
                         'glanceclient_too_old'])


class InvalidLocation(rbd_transfer.TransferError):
    """A URL that cannot name an RBD snapshot; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__('location_malformed', message)


@dataclasses.dataclass(frozen=True)
class RBDLocation:
    """What an ``rbd://`` URL names.

    :ivar fsid: of the cluster, as a canonical UUID
    :ivar pool: name of the pool
    :ivar image: name of the RBD image
    :ivar snapshot: name of the snapshot of it
    """

    fsid: str
    pool: str
    image: str
    snapshot: str


@dataclasses.dataclass(frozen=True)
class Locations:
    """The locations of one image.

    :ivar urls: in Glance's order, each once
    :ivar error: why the locations API gave none, None if it gave some. There
        may be locations nevertheless: those that Glance shows to users.
    """

    urls: tuple[str, ...]
    error: rbd_transfer.TransferError | None = None


def parse_rbd_url(url: str) -> RBDLocation:
    """Take an ``rbd://`` URL apart.

    The form is ``rbd://FSID/POOL/IMAGE/SNAPSHOT``. The writers of such URLs,
    glance_store and Nova's direct snapshots, quote each part by itself, so it
    is split first and unquoted then.

    :param url: a location's URL
    :raises: :class:`InvalidLocation`
    """
    if not url.startswith(RBD_PREFIX):
        raise InvalidLocation('it is not an rbd:// URL')
    if len(url) > MAX_URL_LENGTH:
        raise InvalidLocation('it is longer than %d characters'
                              % MAX_URL_LENGTH)
    quoted = url[len(RBD_PREFIX):].split('/')
    if len(quoted) != 4:
        raise InvalidLocation('it has %d parts instead of cluster, pool, '
                              'image and snapshot' % len(quoted))
    fsid, pool, image, snapshot = (_unquote(part) for part in quoted)
    return RBDLocation(fsid=_canonical(fsid), pool=pool, image=image,
                       snapshot=snapshot)


def _canonical(fsid: str) -> str:
    try:
        canonical = str(uuid.UUID(fsid))
    except ValueError:
        canonical = ''
    # The uuid module also takes braces, prefixes and missing hyphens, which
    # no cluster writes.
    if fsid.lower() != canonical:
        raise InvalidLocation('its cluster is not a UUID')
    return canonical


def _unquote(part: str) -> str:
    try:
        name = urllib.parse.unquote(part, errors='strict')
    except UnicodeDecodeError:
        raise InvalidLocation('a part of it is not UTF-8')
    if not name:
        raise InvalidLocation('a part of it is empty')
    if not name.isprintable():
        raise InvalidLocation('a part of it has control characters')
    if name.startswith('-') or name in ('.', '..'):
        raise InvalidLocation('a part of it is not a valid name')
    return name


def find(service: ty.Any, context: nova_context.RequestContext,
         image: dict[str, ty.Any]) -> Locations:
    """Return the locations of an image.

    :param service: the GlanceImageServiceV2 that downloads the image
    :param context: the user's request context
    :param image: the image as the user's own ``show`` with locations gave it;
        whether the user may see it at all was decided there
    :returns: :class:`Locations`, empty if Glance does not tell
    """
    if service._client.client is not None:
        # A client bound to one endpoint was made for an image reference that
        # names its own server. That one must neither see our service
        # credentials nor decide what is read from our cluster.
        return Locations((), rbd_transfer.TransferError(
            'image_by_url', 'it was asked for by the URL of an image server'))
    try:
        return Locations(_ask_as_service(service, context, image['id']))
    except rbd_transfer.TransferError as exc:
        error = exc
    if error.code == 'no_location':
        return Locations((), error)
    urls = _unique(image.get('locations') or [])
    # Without locations the one line of the caller says the rest.
    if urls and error.code not in NOT_OFFERED:
        LOG.warning('Could not read the locations of image %(image)s with '
                    'service credentials, using those that Glance shows to '
                    'users: %(error)s. To fix this, %(remedy)s.',
                    {'image': image['id'], 'error': error,
                     'remedy': error.remedy})
    return Locations(urls, error)


def _ask_as_service(service: ty.Any, context: nova_context.RequestContext,
                    image_id: str) -> tuple[str, ...]:
    """Read the locations with the credentials of ``[service_user]``.

    Three policies of ``fetch_image_location`` are in the field: the service
    role of the caller (Glance 29, 30), the service role of the service token
    (31), and the service or admin role of the caller (32, 33). Being the
    service user and sending its token as service token too meets them all.

    :returns: at least one
    :raises: :class:`nova.storage.rbd_transfer.TransferError`
    """
    group = nova.conf.service_token.SERVICE_USER_GROUP
    try:
        credentials = release_compat.service_user_auth(group)
    except Exception as exc:
        raise rbd_transfer.TransferError(
            'bad_service_user', 'the [service_user] section of nova.conf '
            'cannot be used (%s: %s)' % (type(exc).__name__, exc))
    if credentials is None:
        raise rbd_transfer.TransferError(
            'no_service_user', 'Glance shows no locations, and nova.conf has '
            'no [service_user] to ask for them')
    if not hasattr(glance_images.Controller, 'get_image_locations'):
        raise rbd_transfer.TransferError(
            'glanceclient_too_old', 'Glance shows no locations, and '
            'python-glanceclient %s cannot ask for them'
            % glanceclient.__version__)
    # It must not become the current context, and Nova's own policy, which
    # would be read to find whether it is an admin, has no say in it.
    as_service = nova_context.RequestContext(
        user_auth_plugin=service_token.ServiceTokenAuthWrapper(
            user_auth=credentials, service_auth=credentials),
        global_request_id=context.global_id, is_admin=False,
        overwrite=False)
    try:
        urls = _unique(service._client.call(
            as_service, 2, 'get_image_locations', args=(image_id,)))
    except Exception as exc:
        raise _error(exc) from exc
    if not urls:
        raise rbd_transfer.TransferError(
            'no_location', 'Glance has no location of it')
    return urls


def _error(exc: Exception) -> rbd_transfer.TransferError:
    """Return what it means that the locations API raised an exception."""
    if isinstance(exc, glanceclient.exc.HTTPNotImplemented):
        return rbd_transfer.TransferError(
            'no_locations_api', 'Glance shows no locations, and has no API '
            'to ask for them (Images API v2.17)')
    # Glance hides images of other projects (404) from all but admins.
    for kind, code in ((glanceclient.exc.HTTPForbidden, 'locations_refused'),
                       (glanceclient.exc.HTTPNotFound, 'locations_hidden'),
                       (glanceclient.exc.HTTPUnauthorized,
                        'service_user_rejected')):
        if isinstance(exc, kind):
            return rbd_transfer.TransferError(
                code, 'Glance returned no locations (HTTP %d)' % kind.code)
    if isinstance(exc, ks_exc.Unauthorized):
        return rbd_transfer.TransferError(
            'service_user_rejected', 'Keystone rejected the [service_user] '
            'of nova.conf (HTTP 401)')
    return rbd_transfer.TransferError(
        'glance_unreachable', 'Glance could not be asked for locations (%s: '
        '%s)' % (type(exc).__name__, exc))


def _unique(found: ty.Iterable[ty.Mapping[str, ty.Any]]) -> tuple[str, ...]:
    urls = (entry.get('url') for entry in found)
    return tuple(dict.fromkeys(
        url for url in urls if url and isinstance(url, str)))
