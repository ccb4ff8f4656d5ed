# SPDX-License-Identifier: Apache-2.0

"""The releases that the change is made for: patches/upstream.ini."""

import configparser
import pathlib
import re
import typing as ty

from patchset.errors import PatchsetError

# Where a tree says which series it is, whatever form it has: a wheel, a git
# checkout, a distribution's directory.
SERVICE = 'nova/objects/service.py'
SERVICE_VERSION = re.compile(rb'^SERVICE_VERSION = (\d+)$', re.MULTILINE)
ALIASES = re.compile(rb'^SERVICE_VERSION_ALIASES = \{(.*?)^\}',
                     re.MULTILINE | re.DOTALL)
ALIAS = re.compile(rb'^\s*[\'"](\w+)[\'"]:\s*\d+', re.MULTILINE)

# The sections that are not the name of a release.
OTHERS = ('upstream', 'replacements', 'scripts')


class Release(ty.NamedTuple):
    """One release of Nova: the newest of its series."""

    name: str                           # as 34.0.0
    series: str                         # as "Hibiscus 74"
    sha256: str                         # of its wheel
    sdist_sha256: str                   # '' if nothing needs the sdist

    @property
    def number(self) -> str:
        """The first part of its version, which all of the series have."""
        return self.name.partition('.')[0]


class Pin(ty.NamedTuple):
    """What patches/upstream.ini says, with one of its releases chosen."""

    releases: ty.Tuple[Release, ...]    # newest first
    chosen: Release
    revision: int
    # path -> sha256 of each content of upstream's file
    replacements: ty.Dict[str, ty.Tuple[str, ...]]
    scripts: ty.Dict[str, str]          # console script -> module:function

    @property
    def release(self) -> str:
        return self.chosen.name

    @property
    def sha256(self) -> str:
        return self.chosen.sha256

    @property
    def sdist_sha256(self) -> str:
        return self.chosen.sdist_sha256

    @property
    def newest(self) -> bool:
        """Whether the chosen release is the one that patches name lines of."""
        return self.chosen == self.releases[0]

    @property
    def version(self) -> str:
        """The version of our package of the chosen release."""
        return '%s+rbd.%d' % (self.release, self.revision)

    @property
    def wheel(self) -> str:
        return 'nova-%s-py3-none-any.whl' % self.release

    @property
    def sdist(self) -> str:
        return 'nova-%s.tar.gz' % self.release

    def choose(self, name: str) -> 'Pin':
        """Return this with another release chosen.

        :param name: of a release, or the number of its series
        :raises PatchsetError: if there is no such release
        """
        for release in self.releases:
            if name in (release.name, release.number):
                return self._replace(chosen=release)
        raise PatchsetError(
            'the change is not made for nova %s but for %s' % (
                name, ', '.join(release.name for release in self.releases)))

    def recognise(self, read: ty.Callable[[str], ty.Optional[bytes]]
                  ) -> Release:
        """Return the release whose series a tree is of.

        :param read: content of a path of the tree, None if there is none
        :raises PatchsetError: if it is of another; it names both
        """
        found = _series_of(read(SERVICE))
        for release in self.releases:
            if release.series == found:
                return release
        raise PatchsetError(
            'this is %s, and the change is made for %s to %s, which are nova '
            '%s to %s' % (
                'nova %s (service version %s)' % tuple(found.split())
                if found else 'no nova that says which it is in %s' % SERVICE,
                self.releases[-1].series.split()[0],
                self.releases[0].series.split()[0],
                self.releases[-1].number, self.releases[0].number))

    def version_in(self, release: Release) -> str:
        """Return the version for a tree, whose point release is not known."""
        return '%s+rbd.%d' % (release.number, self.revision)


def _series_of(service: ty.Optional[bytes]) -> str:
    """Return "NAME VERSION" of a series, '' if it is not said."""
    version = SERVICE_VERSION.search(service or b'')
    table = ALIASES.search(service or b'')
    aliases = ALIAS.findall(table[1]) if table else []
    if not version or not aliases:
        return ''
    return '%s %s' % (aliases[-1].decode(), version[1].decode())


def read_pin(checkout: pathlib.Path, release: str = '') -> Pin:
    """Read patches/upstream.ini.

    :param release: the one to choose, by default the newest
    :raises PatchsetError: if the file or one of its values is missing, or
        it does not list that release
    """
    path = checkout / 'patches' / 'upstream.ini'
    parser = configparser.ConfigParser(delimiters=('=',), interpolation=None)
    # The default lower-cases keys, and these keys are paths and names.
    parser.optionxform = str            # type: ignore
    try:
        with open(path, encoding='utf-8') as stream:
            parser.read_file(stream)
        releases = tuple(
            Release(name, section['series'], section['sha256'],
                    section.get('sdist_sha256', ''))
            for name, section in parser.items()
            if name not in (*OTHERS, parser.default_section))
        pin = Pin(releases, releases[0],
                  parser.getint('upstream', 'revision'),
                  {name: tuple(hashes.split())
                   for name, hashes in parser['replacements'].items()},
                  dict(parser['scripts']))
    except (OSError, LookupError, ValueError, configparser.Error) as exc:
        raise PatchsetError('%s: %s' % (path, exc)) from None
    return pin.choose(release) if release else pin
