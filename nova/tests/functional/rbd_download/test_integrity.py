# SPDX-License-Identifier: Apache-2.0
"""Bytes that are not the image are never handed over."""

import base64
import datetime
import logging
import os
from unittest import mock

from castellan.common.objects import x_509
from cryptography import exceptions as crypto_exceptions
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509
from cryptography.x509 import oid
from cursive import exception as cursive_exception
import fixtures
from oslo_utils import timeutils

from nova import exception
from nova.tests.functional.rbd_download import base

MiB = base.MiB


class HashTestCase(base.DirectDownloadTestCase):

    def setUp(self):
        super().setUp()
        self.data = base.noise(9 * MiB + 5)
        self.digest = base.sha512(self.data)

    def test_byte_flipped_in_the_pool(self):
        image_id = self.upload_to_both(self.data)
        self.bed.cluster.corrupt_image(image_id, 8 * MiB + 77)
        path = self.fetch(image_id)
        self.assertOverHTTP(image_id, path, self.digest,
                            'images/%s@snap: .*sha512' % image_id,
                            cure='upload the image to Glance again')

    def test_byte_flipped_and_http_forbidden(self):
        self.nova.set('glance', 'rbd_download_fallback', False)
        image_id = self.upload_to_both(self.data)
        self.bed.cluster.corrupt_image(image_id, 0)
        self.assertRaises(exception.CouldNotFetchImage, self.fetch, image_id)
        self.assertEqual(1, len(self.messages(logging.WARNING)))
        self.assertEqual(0, self.downloads(image_id))
        self.assertFalse(os.path.exists(self.cache_path(image_id)))

    def test_byte_flipped_in_the_only_copy(self):
        image_id = self.bed.glance.upload(self.data)
        self.bed.cluster.corrupt_image(image_id, len(self.data) - 1)
        # Glance serves the same bytes, and its client notices it, too.
        self.assertRaises(Exception, self.fetch, image_id)
        self.assertFalse(os.path.exists(self.cache_path(image_id)))
        self.assertEqual(1, self.downloads(image_id))

    def test_another_image_of_the_same_size(self):
        other = base.noise(len(self.data), seed=1)
        image_id = self.upload_to_both(self.data, other)
        path = self.fetch(image_id)
        self.assertOverHTTP(image_id, path, self.digest, 'sha512',
                            cure='upload the image to Glance again')

    def test_shorter_and_longer(self):
        for other in (self.data[:-1], self.data + b'\0', b''):
            with self.subTest(len(other)):
                self._log.records.clear()
                image_id = self.upload_to_both(self.data, other)
                path = self.fetch(image_id)
                self.assertOverHTTP(
                    image_id, path, self.digest,
                    '%d.*%d|%d.*%d' % (len(self.data), len(other),
                                       len(other), len(self.data)),
                    cure='upload the image to Glance again')

    def test_next_location_is_good(self):
        image_id = self.upload_to_both(self.data)
        self.bed.cluster.corrupt_image(image_id, 1)
        second = 'copy of %s' % image_id
        self.bed.cluster.create_image(second, self.data)
        self.nova.set('glance', 'rbd_download_require_image_id', False)
        self.set_locations(image_id, [self.rbd_url(image_id),
                                      self.rbd_url(second)])
        path = self.fetch(image_id)
        self.assertEqual(self.digest, base.sha512(path))
        self.assertEqual(0, self.downloads(image_id))
        self.assertEqual(2, len(self.engine_starts()))
        # The good one hides the bad one from nobody.
        (line,) = self.messages(logging.WARNING)
        self.assertIn('images/%s@snap' % image_id, line)

    def test_md5_of_an_old_image(self):
        image_id = self.upload_to_both(self.data)
        self.set_image(image_id, os_hash_algo=None, os_hash_value=None)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertIn('verified by md5', self.messages()[-1])
        os.unlink(path)

        self.bed.cluster.corrupt_image(image_id, 3 * MiB)
        path = self.fetch(image_id)
        self.assertOverHTTP(image_id, path, self.digest, 'md5',
                            cure='upload the image to Glance again')

    def test_no_hash_at_all(self):
        # As direct snapshots of servers in RBD are.
        image_id = self.upload_to_both(self.data)
        self.set_image(image_id, os_hash_algo=None, os_hash_value=None,
                       checksum=None, size=None)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertRegex(self.messages()[-1], 'unverified')

    def test_not_to_be_verified(self):
        self.nova.set('glance', 'rbd_download_verify_hash', False)
        image_id = self.bed.glance.upload(self.data)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertRegex(self.messages()[-1], 'unverified')


class SignatureTestCase(base.DirectDownloadTestCase):
    """Images are signed, and Nova is told to verify that.

    All is real but Barbican, which would give the certificate.
    """

    CERTIFICATE = '5d8e2f0c-9a5f-4f8c-8d7b-0c2a1e3b4d5f'

    def setUp(self):
        super().setUp()
        self.nova.set('glance', 'verify_glance_signatures', True)
        self.key = rsa.generate_private_key(public_exponent=65537,
                                            key_size=2048)
        self.manager = mock.Mock()
        self.manager.get.return_value = x_509.X509(self._certificate())
        self.useFixture(fixtures.MockPatch(
            'castellan.key_manager.API', return_value=self.manager))
        self.data = base.noise(9 * MiB + 5)
        self.digest = base.sha512(self.data)

    def _certificate(self):
        name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME,
                                             'image signing')])
        now = timeutils.utcnow()
        certificate = x509.CertificateBuilder(
            issuer_name=name, subject_name=name,
            public_key=self.key.public_key(), serial_number=1,
            not_valid_before=now - datetime.timedelta(days=1),
            not_valid_after=now + datetime.timedelta(days=1),
        ).sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.DER)

    def sign(self, image_id, data):
        """Give an image the signature of some bytes.

        Afterwards, as Glance would check it, too, and has no Barbican.
        """
        signature = self.key.sign(
            data, padding.PSS(padding.MGF1(hashes.SHA256()),
                              padding.PSS.MAX_LENGTH), hashes.SHA256())
        self.bed.glance.client().images.update(
            image_id, img_signature=base64.b64encode(signature).decode(),
            img_signature_hash_method='SHA-256',
            img_signature_key_type='RSA-PSS',
            img_signature_certificate_uuid=self.CERTIFICATE)

    def upload_signed(self, data=None):
        image_id = self.bed.glance.upload(self.data)
        self.sign(image_id, self.data if data is None else data)
        return image_id

    def upload_corrupt(self):
        """Upload a signed image to both stores, and damage it in RBD."""
        image_id = self.upload_to_both(self.data)
        self.sign(image_id, self.data)
        self.bed.cluster.corrupt_image(image_id, 5 * MiB)
        return image_id

    def assertVerified(self, times=1):
        self.assertEqual(times, len([
            m for m in self.messages()
            if 'signature verification succeeded' in m]), self.messages())

    def test_good(self):
        image_id = self.upload_signed()
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertVerified()
        self.assertIn('verified by sha512 and signature',
                      self.messages()[-1])

    def test_good_and_no_hash(self):
        self.nova.set('glance', 'rbd_download_verify_hash', False)
        image_id = self.upload_signed()
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertIn('verified by signature', self.messages()[-1])

    def test_wrong_bytes_in_rbd_only(self):
        # Nothing but the signature can tell.
        self.nova.set('glance', 'rbd_download_verify_hash', False)
        image_id = self.upload_corrupt()
        path = self.fetch(image_id)
        # A verifier that had seen the bytes of the first attempt would not
        # let these pass.
        self.assertOverHTTP(image_id, path, self.digest,
                            'images/%s@snap: the signature of the image '
                            'does not match' % image_id,
                            cure='upload the image to Glance again')
        self.assertVerified()

    def test_wrong_hash_in_rbd_only(self):
        # The signature is looked at over HTTP only.
        image_id = self.upload_corrupt()
        path = self.fetch(image_id)
        self.assertOverHTTP(image_id, path, self.digest, 'sha512')
        self.assertVerified()

    def test_wrong_bytes_and_http_forbidden(self):
        self.nova.set('glance', 'rbd_download_verify_hash', False)
        self.nova.set('glance', 'rbd_download_fallback', False)
        image_id = self.upload_corrupt()
        self.assertRaises(exception.CouldNotFetchImage, self.fetch, image_id)
        self.assertEqual(0, self.downloads(image_id))
        self.assertFalse(os.path.exists(self.cache_path(image_id)))

    def test_signature_of_something_else(self):
        image_id = self.upload_signed(b'else')
        # The digest has shown that HTTP would bring the same bytes.
        self.assertRaises(cursive_exception.SignatureVerificationError,
                          self.fetch, image_id)
        self.assertEqual(0, self.downloads(image_id))
        self.assertFalse(os.path.exists(self.cache_path(image_id)))
        self.assertRegex(self.messages(logging.WARNING)[0],
                         'signature of the image does not match')
        self.nova.set('glance', 'enable_rbd_download', False)
        self.assertRaises(crypto_exceptions.InvalidSignature, self.fetch,
                          image_id)

    def test_certificate_that_cannot_be_had(self):
        # Told before a byte is read, by either way.
        image_id = self.upload_signed()
        self.manager.get.side_effect = TypeError('no such certificate')
        for enabled in (True, False):
            self.nova.set('glance', 'enable_rbd_download', enabled)
            self.assertRaises(TypeError, self.fetch, image_id)
        self.assertEqual([], self.engine_starts())
        self.assertEqual(0, self.downloads(image_id))
