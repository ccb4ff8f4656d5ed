# SPDX-License-Identifier: Apache-2.0

"""Which image of Glance has a name.

Names are not unique, and the ``[service_user]`` sees the images of all
projects. An image that a tenant gave the name of another must not be taken
for it, so of several images those come first that only the operator can make.
"""

from __future__ import annotations

import typing as ty

from oslo_utils import uuidutils

from nova.cmd.image_download.printable import printable
from nova.cmd.image_download import service_user
from nova import context as nova_context

# Images that are listed when a name is ambiguous.
LISTED = 5


def show(service: ty.Any, ctx: nova_context.RequestContext, image: str,
         project_id: str) -> dict[str, ty.Any]:
    """Return the image with an id, or else with a name.

    :param service: a GlanceImageServiceV2
    :param ctx: from service_user.context
    :param image: id or name of the image
    :param project_id: of the service user
    :returns: what service_user.show returns
    :raises: :class:`service_user.OperatorError`
    """
    if uuidutils.is_uuid_like(image):
        try:
            return service_user.show(service, ctx, image)
        except service_user.MissingImage:
            # A name may look like an id.
            pass
    try:
        image_id = find(service, ctx, image, project_id)
    except service_user.OperatorError:
        raise
    except Exception as exc:
        raise service_user.unreachable(exc)
    return service_user.show(service, ctx, image_id)


def describe(image: ty.Mapping[str, ty.Any]) -> str:
    """Return which image it is, and whose.

    :param image: from :func:`show`
    """
    return printable('image %s (%s), %s%s, of project %s' % (
        image['id'], image.get('name') or 'no name',
        image.get('visibility') or 'of unknown visibility',
        ' and hidden' if image.get('os_hidden') else '',
        image.get('owner') or 'unknown'))


def find(service: ty.Any, ctx: nova_context.RequestContext, name: str,
         project_id: str) -> str:
    """Return the id of the image with a name.

    Public images and those of the service user's own project come first, then
    such ones that are hidden, then community images, and last those of other
    projects. Which one it is has to be shown, see :func:`describe`.

    :param service: a GlanceImageServiceV2
    :param ctx: from service_user.context
    :param name: of the image, as Glance has it
    :param project_id: of the service user
    :raises: :class:`service_user.OperatorError` if there is none, or more
        than one of the same rank
    """
    found = list(_named(service, ctx, name))
    for rank in range(4):
        chosen = [image for image in found
                  if _rank(image, project_id) == rank]
        if len(chosen) == 1:
            return str(chosen[0]['id'])
        if chosen:
            raise service_user.OperatorError(
                'Glance has more than one image with the name %s: %s'
                % (name, _list(chosen)), 'name it by its id')
    raise service_user.MissingImage(name)


def _rank(image: ty.Mapping[str, ty.Any], project_id: str) -> int:
    if image.get('visibility') == 'public' or (
            project_id and image.get('owner') == project_id):
        return 1 if image.get('os_hidden') else 0
    return 2 if image.get('visibility') == 'community' else 3


def _named(service: ty.Any, ctx: nova_context.RequestContext, name: str
           ) -> ty.Iterator[ty.Mapping[str, ty.Any]]:
    filters = {'visibility': 'all'}
    if ':' not in name:
        filters['name'] = name
    elif not set('"\\') & set(name):
        # Glance takes what is before a colon for an operator.
        filters['name'] = 'in:"%s"' % name
    # Else no filter can say it, and all images are looked at.
    for hidden in ('false', 'true'):
        for image in service._client.call(
                ctx, 2, 'list', kwargs={
                    'filters': {**filters, 'os_hidden': hidden}}):
            # Databases find names in other letters, too.
            if image.get('name') == name:
                yield image


def _list(images: ty.Sequence[ty.Mapping[str, ty.Any]]) -> str:
    listed = ['%s (%s, of project %s)' % (
        image['id'], image.get('visibility'), image.get('owner'))
              for image in images[:LISTED]]
    more = len(images) - len(listed)
    return ', '.join(listed) + (' and %d more' % more if more else '')
