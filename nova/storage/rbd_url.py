# SPDX-License-Identifier: Apache-2.0

"""What Glance's rbd:// locations mean."""

from __future__ import annotations

import re
import urllib.parse

from nova import exception
from nova.i18n import _

URL_PREFIX = 'rbd://'

_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


def parse(url: str) -> list[str]:
    """Split a location as Glance gives it.

    :param url: ``rbd://<fsid>/<pool>/<image>/<snapshot>``, each part quoted
    :returns: these four, unquoted
    :raises: nova.exception.ImageUnacceptable for anything else
    """
    def unacceptable(reason: str) -> exception.ImageUnacceptable:
        return exception.ImageUnacceptable(image_id=url, reason=reason)

    if not isinstance(url, str) or not url.startswith(URL_PREFIX):
        raise unacceptable(_('Not stored in rbd'))
    try:
        parts = [urllib.parse.unquote(part, errors='strict')
                 for part in url[len(URL_PREFIX):].split('/')]
        ''.join(parts).encode('utf-8')
    except UnicodeError:
        raise unacceptable(_('Not valid UTF-8'))
    if not all(parts):
        raise unacceptable(_('Blank components'))
    if len(parts) != 4:
        raise unacceptable(_('Not an rbd snapshot'))
    if _CONTROL.search(''.join(parts)):
        # The bindings end a name at a null character; line feeds would
        # forge lines of the log.
        raise unacceptable(_('Control character in a name'))
    return parts
