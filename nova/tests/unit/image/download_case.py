# SPDX-License-Identifier: Apache-2.0

"""What the tests of direct downloads share: one image, and no engine."""

import hashlib
import logging
import os
import traceback
from unittest import mock

import cryptography.exceptions
import fixtures
from keystoneauth1 import token_endpoint
from oslo_utils.fixture import uuidsentinel as uuids

from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova.storage import circuit_breaker
from nova.storage import rbd_transfer
from nova import test

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'
IMAGE = uuids.image
CONTENT = b'what the user uploaded'
SHA512 = hashlib.sha512(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def url(pool='images'):
    return 'rbd://%s/%s/%s/snap' % (FSID, pool, IMAGE)


class FakeImage(dict):
    """An image as glanceclient returns it."""

    BASE = ('id', 'name', 'status', 'size', 'checksum', 'os_hash_algo',
            'os_hash_value', 'disk_format', 'container_format', 'visibility',
            'owner', 'min_disk', 'min_ram', 'created_at', 'updated_at',
            'locations', 'direct_url')
    schema = {'name': 'image', 'properties': {name: {} for name in BASE}}


class FakeGlance:
    """Stands for GlanceClientWrapper, with one image."""

    client = None

    def __init__(self):
        self.image = FakeImage(
            id=IMAGE, status='active', size=len(CONTENT), checksum=MD5,
            os_hash_algo='sha512', os_hash_value=SHA512, disk_format='raw',
            container_format='bare', visibility='private', owner='project',
            min_disk=0, min_ram=0)
        self.locations = [url()]
        self.calls = []

    def call(self, context, version, method, controller=None, args=None,
             kwargs=None):
        self.calls.append(method)
        answer = getattr(self, '_' + method)(context, *args)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _get(self, context, image_id):
        return self.image

    def _data(self, context, image_id):
        chunks = mock.MagicMock()
        chunks.__iter__.side_effect = lambda: iter([CONTENT])
        return chunks

    def _get_image_locations(self, context, image_id):
        if isinstance(self.locations, Exception):
            return self.locations
        return [{'url': found, 'metadata': {}} for found in self.locations]


class FakeVerifier:
    """Like one of cryptography: good for once."""

    def __init__(self, good):
        self.good = good
        self.data = b''
        self.finalised = False

    def update(self, data):
        if self.finalised:
            raise cryptography.exceptions.AlreadyFinalized('used before')
        self.data += data

    def verify(self):
        self.finalised = True
        if self.data != self.good:
            raise cryptography.exceptions.InvalidSignature()


class DownloadTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.flags(enable_rbd_download=True, group='glance')
        self.path = os.path.join(self.useFixture(fixtures.TempDir()).path,
                                 'base.part')
        self.log = self.useFixture(fixtures.FakeLogger(
            level=logging.DEBUG, format='%(levelname)s|%(name)s|%(message)s'))
        self.context = nova_context.RequestContext('user', 'project',
                                                   auth_token='token')
        self.useFixture(fixtures.MonkeyPatch(
            'nova.release_compat.service_user_auth',
            lambda group: token_endpoint.Token('http://glance', 'secret')))
        self.addCleanup(circuit_breaker.reset)
        self.glance = FakeGlance()
        self.service = glance.GlanceImageServiceV2(self.glance)
        self.exports = []
        # What the export engine does, by pool: bytes to write or an error.
        self.pools = {'images': CONTENT}
        self.fsid = mock.Mock(return_value=FSID)
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.rbd_transfer.fsid', self.fsid))
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.rbd_transfer.export', self._export))

    def _export(self, source, dst_path, size=None, digest=None, fsid=None):
        self.exports.append((source, dst_path, size, digest, fsid))
        outcome = self.pools[source.pool]
        if isinstance(outcome, Exception):
            raise outcome
        with open(dst_path, 'wb') as image:
            image.write(outcome)
        return rbd_transfer.Result(len(outcome), len(outcome), 0.1, digest,
                                   FSID)

    def _download(self, **kwargs):
        return self.service.download(self.context, IMAGE,
                                     dst_path=self.path, **kwargs)

    def _told(self, level='INFO'):
        """Return what our modules logged, without debug lines."""
        levels = ['INFO', 'WARNING', 'ERROR']
        levels = levels[levels.index(level):]
        lines = []
        # reset_output leaves NULs where the old lines were.
        for line in self.log.output.lstrip('\0').splitlines():
            if line.count('|') < 2:
                continue
            found, name, message = line.split('|', 2)
            if found in levels and name in (
                    'nova.image.direct_download', 'nova.image.locations',
                    'nova.image.location_policy', 'nova.storage.rbd_transfer'):
                lines.append((found, message))
        return lines

    def _content(self):
        with open(self.path, 'rb') as image:
            return image.read()

    def _assert_rbd(self):
        self._download()
        self.assertEqual(CONTENT, self._content())
        self.assertNotIn('data', self.glance.calls)

    def _assert_http(self):
        self._download()
        self.assertEqual(CONTENT, self._content())
        self.assertEqual(1, self.glance.calls.count('data'))

    def _assert_fails(self):
        error = self.assertRaises(exception.CouldNotFetchImage,
                                  self._download)
        self.assertNotIn('data', self.glance.calls)
        self.assertFalse(os.path.exists(self.path))
        # A user may see the message, an administrator the traceback.
        text = str(error) + ''.join(traceback.format_exception(error))
        for secret in (self.path, 'rbd://', FSID, 'images/', '--conf',
                       'cause of it'):
            self.assertNotIn(secret, text)
        self.assertIn(IMAGE, str(error))
        return error
