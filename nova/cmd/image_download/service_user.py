# SPDX-License-Identifier: Apache-2.0

"""Glance as the ``[service_user]`` sees it, for commands on a compute node.

There is no user's request whose token could be used then.
"""

import dataclasses
import os
import typing as ty

import glanceclient.exc
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import loading as ks_loading

from nova.cmd.image_download.printable import printable
import nova.conf
from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova import release_compat

CONF = nova.conf.CONF

GROUP = nova.conf.service_token.SERVICE_USER_GROUP


class OperatorError(Exception):
    """Something that the operator has to fix first.

    :param found: what is wrong
    :param remedy: what to do about it
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(printable('%s. To fix this, %s.'
                                   % (found, remedy)))
        self.found = found
        self.remedy = remedy


class MissingImage(OperatorError):
    """An image that is not there, or not for the service user to see.

    :param image: its id or name
    """

    def __init__(self, image: str) -> None:
        super().__init__(
            'Glance shows no image %s to the user of [service_user]' % image,
            'see "openstack image list --all", and whether that user has the '
            'role admin, without which it sees no images of other projects')


@dataclasses.dataclass(frozen=True)
class Identity:
    """Who the service user is.

    :ivar user: name
    :ivar project: name
    :ivar roles: names of its roles in the project, in alphabetical order
    :ivar project_id: of the project
    """

    user: str
    project: str
    roles: tuple[str, ...]
    project_id: str = ''

    def lacking(self, *roles: str) -> list[str]:
        """Return which of the roles it does not have."""
        return [role for role in roles if role not in self.roles]

    def grant(self, roles: ty.Iterable[str]) -> str:
        """Return the commands that give it roles."""
        return ' and '.join(
            '"openstack role add --user %s --project %s %s"'
            % (self.user, self.project, role) for role in roles)


def context() -> nova_context.RequestContext:
    """Return a request context of the service user.

    :raises: :class:`OperatorError`
    """
    try:
        auth = release_compat.service_user_auth(GROUP)
    except Exception as exc:
        raise OperatorError(
            'the section [service_user] of nova.conf is not complete: %s'
            % describe(exc), 'complete it')
    if auth is None:
        raise OperatorError(
            'the section [service_user] of nova.conf has no credentials',
            'set auth_type, auth_url, username, password, project_name, '
            'user_domain_name and project_domain_name there, for a user with '
            'the roles service and admin')
    return nova_context.RequestContext(
        user_auth_plugin=auth, is_admin=True, overwrite=False)


def identity(ctx: nova_context.RequestContext) -> Identity:
    """Log in and say as whom.

    :param ctx: from :func:`context`
    :raises: :class:`OperatorError`
    """
    auth: ty.Any = ctx.get_auth_plugin()
    # That of the download, which logs in with the CA file, the certificates
    # and the time limits of [glance], whatever [service_user] has.
    session = ks_loading.load_session_from_conf_options(
        CONF, nova.conf.glance.glance_group.name, auth=auth)
    try:
        access = auth.get_access(session)
    except ks_exc.Unauthorized:
        raise OperatorError(
            'Keystone rejects the credentials of [service_user] in nova.conf',
            'correct username, password, project_name and the domains there')
    except Exception as exc:
        raise OperatorError(
            'cannot log in as the [service_user] of nova.conf: %s'
            % describe(exc),
            'see whether this node reaches [service_user]/auth_url (%s) and '
            'whether Keystone answers there'
            % getattr(auth, 'auth_url', 'not set'))
    return Identity(access.username, access.project_name or 'none',
                    tuple(sorted(access.role_names)), access.project_id or '')


def show(service: ty.Any, ctx: nova_context.RequestContext,
         image_id: str) -> dict[str, ty.Any]:
    """Return what Glance knows about an image, its locations included.

    :param service: a GlanceImageServiceV2
    :param ctx: from :func:`context`
    :param image_id: of the image
    :returns: the image as Nova has it, and what Nova leaves out: visibility,
        os_hidden and virtual_size
    :raises: :class:`MissingImage`, another :class:`OperatorError`
    """
    try:
        image = service.show(ctx, image_id, include_locations=True,
                             show_deleted=False)
        record = service._client.call(ctx, 2, 'get', args=(image_id,))
    except (exception.ImageNotFound, exception.ImageNotAuthorized,
            exception.Forbidden, glanceclient.exc.HTTPNotFound):
        raise MissingImage(image_id)
    except Exception as exc:
        raise unreachable(exc)
    return {**image, **{name: record.get(name) for name in (
        'visibility', 'os_hidden', 'virtual_size')}}


def unreachable(exc: Exception) -> OperatorError:
    """Say that Glance did not give an answer that could be used."""
    if isinstance(exc, (glanceclient.exc.HTTPForbidden,
                        exception.Forbidden)):
        return OperatorError(
            'Glance refuses the user of [service_user]: %s' % describe(exc),
            'give that user the roles service and admin in its project')
    return OperatorError(
        'cannot use Glance: %s' % describe(exc),
        'see whether this node reaches the image service that the catalog of '
        'Keystone names, or [glance]/endpoint_override')


def newest(service: ty.Any, ctx: nova_context.RequestContext,
           count: int) -> tuple[str, ...]:
    """Return the ids of the newest active images.

    :raises: :class:`OperatorError`
    """
    try:
        images = service._client.call(
            ctx, 2, 'list', kwargs={
                'filters': {'status': 'active'}, 'limit': count,
                'page_size': count, 'sort_key': ['created_at'],
                'sort_dir': ['desc']})
    except Exception as exc:
        raise unreachable(exc)
    return tuple(image['id'] for image in images)


def service() -> ty.Any:
    """Return the image service that nova-compute downloads with."""
    return glance.get_default_image_service()


def cache_path(image_id: str) -> str:
    """Return the path of an image in the image cache of this node."""
    # Takes longer to import than anything here takes to run.
    from nova.virt.libvirt import imagecache
    return os.path.join(CONF.instances_path,
                        CONF.image_cache.subdirectory_name,
                        imagecache.get_cache_fname(image_id))


def describe(exc: BaseException) -> str:
    """Return an exception as one short line."""
    text = ' '.join(str(exc).split())
    if len(text) > 300:
        text = text[:300] + '...'
    return '%s: %s' % (type(exc).__name__, text) if text else (
        type(exc).__name__)
