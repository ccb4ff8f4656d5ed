# SPDX-License-Identifier: Apache-2.0

"""An end to downloads over HTTP that bring nothing any more.

Nova waits for the Image API without limit, and the Image API waits without
limit for the cluster that it reads from. So a build, and each one that waits
for the same image, could hang for as long as a placement group is away. Here
a download over HTTP gets the limit that one over RBD has: so many seconds
without a byte.
"""

from __future__ import annotations

import contextlib
import copy
import typing as ty

from keystoneauth1 import exceptions as ks_exc
from oslo_log import log as logging
import requests
import urllib3.exceptions

import nova.conf
from nova import exception

CONF = nova.conf.CONF
# The lines about one download have one name in the log.
LOG = logging.getLogger('nova.image.direct_download')


@contextlib.contextmanager
def limit(service: ty.Any, image_id: str) -> ty.Iterator[ty.Any]:
    """Hand out an image service whose downloads end if nothing comes.

    :param service: the GlanceImageServiceV2 that was asked for the image; it
        is left as it is, others may use its session
    :param image_id: of the image
    :returns: a context manager with another service to download with
    :raises: :class:`nova.exception.CouldNotFetchImage` within the context if
        no byte has come for ``[glance]/rbd_download_stall_timeout``
    """
    limited = copy.copy(service)
    client = limited._client = copy.copy(service._client)

    def create(context, version):
        return _limit_client(type(client)._create_onetime_client(
            client, context, version), image_id)

    if client.client is None:
        client._create_onetime_client = create
    else:
        client.client = _limit_client(client.client, image_id)
    try:
        yield limited
    except requests.exceptions.ConnectionError as exc:
        # How requests wraps it if the first bytes were there already.
        if exc.args and isinstance(exc.args[0],
                                   urllib3.exceptions.ReadTimeoutError):
            _give_up(image_id)
        raise


def _limit_client(client: ty.Any, image_id: str) -> ty.Any:
    """Set the limit in a client of glanceclient, and return it."""
    session = client.http_client.session
    limited = client.http_client.session = copy.copy(session)
    # The connections are the other one's, which closes them.
    limited.close = lambda: None
    if limited.timeout is None:
        # For requests it is a limit for the connection to be made, and then
        # for each read of the socket, not for the whole.
        limited.timeout = _seconds()

    def request(*args, **kwargs):
        try:
            return type(session).request(limited, *args, **kwargs)
        except ks_exc.ConnectTimeout as exc:
            # keystoneauth1 has one exception for both timeouts. A server that
            # does not take the connection is not the only one, so that is
            # left to Nova, which tries again.
            if isinstance(exc.__context__, requests.exceptions.ReadTimeout):
                _give_up(image_id)
            raise

    limited.request = request
    return client


def _seconds() -> float:
    return float(CONF.glance.timeout or
                 CONF.glance.rbd_download_stall_timeout)


def _give_up(image_id: str) -> ty.NoReturn:
    LOG.error('Image %(image)s did not come over HTTP: Glance sent nothing '
              'for %(seconds)g s. To fix this, check whether the store that '
              'Glance keeps the image in answers, for Ceph with "ceph health '
              'detail".',
              {'image': image_id, 'seconds': _seconds()})
    raise exception.CouldNotFetchImage(image_id=image_id) from None
