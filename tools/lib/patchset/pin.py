# SPDX-License-Identifier: Apache-2.0

"""The release that the change is made for: patches/upstream.ini."""

import configparser
import pathlib
import typing as ty

from patchset.errors import PatchsetError


class Pin(ty.NamedTuple):
    """What patches/upstream.ini says: the release the change is made for."""

    release: str
    sha256: str
    revision: int
    replacements: ty.Dict[str, str]     # path -> sha256 of upstream's file
    scripts: ty.Dict[str, str]          # console script -> module:function
    sdist_sha256: str = ''              # only what compares needs the sdist

    @property
    def version(self) -> str:
        return '%s+rbd.%d' % (self.release, self.revision)

    @property
    def wheel(self) -> str:
        return 'nova-%s-py3-none-any.whl' % self.release

    @property
    def sdist(self) -> str:
        return 'nova-%s.tar.gz' % self.release


def read_pin(checkout: pathlib.Path) -> Pin:
    """Read patches/upstream.ini.

    :raises PatchsetError: if the file or one of its values is missing
    """
    path = checkout / 'patches' / 'upstream.ini'
    parser = configparser.ConfigParser(delimiters=('=',), interpolation=None)
    # The default lower-cases keys, and these keys are paths and names.
    parser.optionxform = str            # type: ignore
    try:
        with open(path, encoding='utf-8') as stream:
            parser.read_file(stream)
        pin = Pin(parser['upstream']['release'],
                  parser['upstream']['sha256'],
                  parser.getint('upstream', 'revision'),
                  dict(parser['replacements']), dict(parser['scripts']),
                  parser.get('upstream', 'sdist_sha256', fallback=''))
    except (OSError, KeyError, ValueError, configparser.Error) as exc:
        raise PatchsetError('%s: %s' % (path, exc)) from None
    return pin
