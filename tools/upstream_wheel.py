# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The pinned release's wheel: fetched with pip once, and checked.

It is kept in build/upstream/ of the checkout. A machine without network can
build when the file was put there by other means; the hash is checked on
every use, wherever the file came from.
"""

import email.message
import email.parser
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import typing as ty
import zipfile

import patch_queue


class Wheel:
    """Upstream's wheel, opened for reading.

    :param checkout: the directory that holds patches/upstream.ini
    :raises patch_queue.PatchsetError: if it cannot be had, or has not the
        pinned hash
    """

    def __init__(self, checkout: pathlib.Path) -> None:
        self.pin = patch_queue.read_pin(checkout)
        self.path = checkout / 'build' / 'upstream' / self.pin.wheel
        if not self.path.exists():
            self._fetch()
        self._verify(self.path)
        self.archive = zipfile.ZipFile(self.path)

    def _verify(self, path: pathlib.Path) -> None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.pin.sha256:
            raise patch_queue.PatchsetError(
                '%s: sha256 is %s but patches/upstream.ini wants %s; remove '
                'the file to have it fetched again, and trust neither before '
                'you know why they differ' % (path, found, self.pin.sha256))

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
                 '--only-binary=:all:', '--disable-pip-version-check',
                 '--dest', fresh, 'nova==%s' % self.pin.release],
                env=environment, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors='replace')
            got = pathlib.Path(fresh, self.pin.wheel)
            if run.returncode or not got.exists():
                raise patch_queue.PatchsetError(
                    '%s: pip could not fetch it:\n%s\nWithout a network, put '
                    'the file there yourself.' % (self.path,
                                                  run.stdout[-2000:].strip()))
            self._verify(got)
            os.replace(got, self.path)

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
