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

import glanceclient.exc
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import service_token
from oslo_log import log as logging

import nova.conf
from nova import context as nova_context
from nova import release_compat

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

RBD_PREFIX = 'rbd://'

# No location of a real image comes near this. RBD and pool names end far
# below it, and nothing longer should be carried into logs.
MAX_URL_LENGTH = 2048


class InvalidLocation(ValueError):
    """A URL that cannot name an RBD snapshot; the message says why."""


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
    :ivar fault: what went wrong if there are none, '' if nothing
    :ivar hint: what an operator can do if there are none, '' if nothing
    """

    urls: tuple[str, ...]
    fault: str = ''
    hint: str = ''


def parse_rbd_url(url: str) -> RBDLocation:
    """Take an ``rbd://`` URL apart.

    The form is ``rbd://FSID/POOL/IMAGE/SNAPSHOT``. The writers of such URLs,
    glance_store and Nova's direct snapshots, quote each part by itself, so it
    is split first and unquoted then.

    :param url: a location's URL
    :raises: :class:`InvalidLocation`
    """
    if not url.startswith(RBD_PREFIX):
        raise InvalidLocation('it is no rbd:// URL')
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
        raise InvalidLocation('its cluster is no UUID')
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
        raise InvalidLocation('a part of it is no name')
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
        return Locations((), 'it was asked for by the URL of an image server',
                         'refer to it by its id')
    try:
        return Locations(_ask_as_service(service, context, image['id']))
    except _NotTold as exc:
        not_told = exc
    urls = _unique(image.get('locations') or [])
    if not urls:
        # The caller's one line says the rest.
        return Locations((), not_told.fault, not_told.cure)
    if not_told.fault:
        LOG.warning('Could not read the locations of image %(image)s with '
                    'service credentials, using those that Glance shows to '
                    'users: %(fault)s. To mend it: %(cure)s.',
                    {'image': image['id'], 'fault': not_told.fault,
                     'cure': not_told.cure})
    return Locations(urls)


class _NotTold(Exception):
    """The locations API gave no answer.

    :param fault: what is wrong, '' if that is how things are set up
    :param cure: what would help
    """

    def __init__(self, fault: str, cure: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.cure = cure


def _ask_as_service(service: ty.Any, context: nova_context.RequestContext,
                    image_id: str) -> tuple[str, ...]:
    """Read the locations with the credentials of ``[service_user]``.

    Three policies of ``fetch_image_location`` are in the field: the service
    role of the caller (Glance 29, 30), the service role of the service token
    (31), and the service or admin role of the caller (32, 33). Being the
    service user and sending its token as service token too meets them all.
    """
    group = nova.conf.service_token.SERVICE_USER_GROUP
    try:
        credentials = release_compat.service_user_auth(group)
    except Exception as exc:
        raise _NotTold('%s: %s' % (type(exc).__name__, exc),
                       'complete the [service_user] section of nova.conf')
    if credentials is None:
        LOG.debug('No [service_user] credentials to read the locations of '
                  'image %s with', image_id)
        raise _NotTold('', 'set up the [service_user] section of nova.conf, '
                       'with the roles service and admin for its user')
    # It must not become the current context, and Nova's own policy, which
    # would be read to find whether it is an admin, has no say in it.
    as_service = nova_context.RequestContext(
        user_auth_plugin=service_token.ServiceTokenAuthWrapper(
            user_auth=credentials, service_auth=credentials),
        global_request_id=context.global_id, is_admin=False,
        overwrite=False)
    try:
        found = service._client.call(
            as_service, 2, 'get_image_locations', args=(image_id,))
        return _unique(found)
    except glanceclient.exc.HTTPNotImplemented:
        LOG.debug('Glance has no locations API (Images API v2.17)')
        raise _NotTold('', 'use Glance 29 or newer, or let it show '
                       'locations, which OSSN-0090 advises against')
    except (glanceclient.exc.HTTPForbidden,
            glanceclient.exc.HTTPNotFound) as exc:
        # Glance hides images of other projects from all but admins.
        raise _NotTold('Glance answered %s' % exc.code,
                       'give the user of [service_user] the roles service '
                       'and admin in its project')
    except (glanceclient.exc.HTTPUnauthorized, ks_exc.Unauthorized):
        raise _NotTold('the credentials were rejected',
                       'correct the [service_user] section of nova.conf')
    except Exception as exc:
        raise _NotTold('%s: %s' % (type(exc).__name__, exc),
                       'see whether Glance and Keystone answer the '
                       '[service_user] of nova.conf')


def _unique(found: ty.Iterable[ty.Mapping[str, ty.Any]]) -> tuple[str, ...]:
    urls = (entry.get('url') for entry in found)
    return tuple(dict.fromkeys(
        url for url in urls if url and isinstance(url, str)))
