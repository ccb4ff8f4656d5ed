# SPDX-License-Identifier: Apache-2.0

"""The pinned release's wheel and sdist: fetched with pip once, and checked.

They are kept in build/upstream/ of the checkout. A machine without network
can build when the wheel was put there by other means; the hash is checked on
every use, wherever the file came from.
"""

import email.message
import email.parser
import hashlib
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import typing as ty
import zipfile

from patchset import CHECKOUT
from patchset.errors import PatchsetError
from patchset.pin import read_pin


class Archive:
    """A file of the package index that is the pinned release.

    :param checkout: the directory that holds patches/upstream.ini
    :param release: one that it lists, by default the newest
    :raises PatchsetError: if it cannot be had, or has not the
        pinned hash
    """

    # For "pip download".
    options = ['--only-binary=:all:']

    def __init__(self, checkout: pathlib.Path, release: str = '') -> None:
        self.pin = read_pin(checkout, release)
        self.name, self.sha256 = self._pinned()
        self.path = checkout / 'build' / 'upstream' / self.name
        if not self.path.exists():
            self._fetch()
        self._verify(self.path)

    def _pinned(self) -> ty.Tuple[str, str]:
        """Name of the file, and its sha256."""
        return self.pin.wheel, self.pin.sha256

    def _verify(self, path: pathlib.Path) -> None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise PatchsetError(
                '%s: sha256 is %s but patches/upstream.ini wants %s; remove '
                'the file to have it fetched again, and trust neither before '
                'you know why they differ' % (path, found, self.sha256))

    def _fetch(self) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        # Everything the user configured for pip holds (index, proxies,
        # certificates), except constraints: those may name our own version
        # of nova. An empty variable overrides the configuration file.
        environment = dict(os.environ, PIP_CONSTRAINT='')
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            run = subprocess.run(
                [sys.executable, '-m', 'pip', 'download', '--no-deps',
                 *self.options, '--disable-pip-version-check',
                 # It is looked into, and not run by this Python.
                 '--ignore-requires-python',
                 '--dest', fresh, 'nova==%s' % self.pin.release],
                env=environment, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors='replace')
            got = pathlib.Path(fresh, self.name)
            if run.returncode or not got.exists():
                raise PatchsetError(
                    '%s: pip could not fetch it:\n%s\nWithout a network, put '
                    'the file there yourself.' % (self.path,
                                                  run.stdout[-2000:].strip()))
            self._verify(got)
            os.replace(got, self.path)


class Sdist(Archive):
    """Upstream's sdist; it has what tests look for beside nova/."""

    options = ['--no-binary=nova']

    def _pinned(self) -> ty.Tuple[str, str]:
        return self.pin.sdist, self.pin.sdist_sha256

    def extract(self, target: pathlib.Path) -> pathlib.Path:
        """Unpack it into ``target``; returns the directory it makes there."""
        with tarfile.open(self.path) as archive:
            # Debian 12's Python has the filters or has not.
            archive.extraction_filter = getattr(
                tarfile, 'data_filter', lambda member, path: member)
            archive.extractall(target)
        return target / ('nova-%s' % self.pin.release)


class Wheel(Archive):
    """Upstream's wheel, opened for reading."""

    def __init__(self, checkout: pathlib.Path, release: str = '') -> None:
        super().__init__(checkout, release)
        self.archive = zipfile.ZipFile(self.path)

    def read(self, path: str) -> ty.Optional[bytes]:
        """Content of one file of the wheel, None if there is none."""
        try:
            return self.archive.read(path)
        except KeyError:
            return None

    def extract(self, prefix: str, target: pathlib.Path) -> None:
        """Write the files below ``prefix`` to ``target``, modes included."""
        for entry in self.archive.infolist():
            if entry.filename.startswith(prefix) and not entry.is_dir():
                path = target / entry.filename[len(prefix):]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.archive.read(entry))
                path.chmod(entry.external_attr >> 16 & 0o777 or 0o644)

    def info(self, name: str) -> str:
        """Text of a file of the dist-info directory."""
        return self.archive.read('nova-%s.dist-info/%s' % (
            self.pin.release, name)).decode('utf-8')

    def metadata(self) -> email.message.Message:
        """The parsed METADATA file."""
        return email.parser.Parser().parsestr(self.info('METADATA'))


if __name__ == '__main__':
    print(Wheel(CHECKOUT).path)
