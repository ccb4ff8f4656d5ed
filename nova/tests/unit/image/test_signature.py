# SPDX-License-Identifier: Apache-2.0

import base64
import os
import threading
import time
from unittest import mock

import cryptography.exceptions
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography import x509
from cursive import exception as cursive_exception
from cursive import signature_utils
import fixtures
from oslo_utils.fixture import uuidsentinel as uuids

from nova import exception
from nova.image import signature
from nova import release_compat
from nova.storage.rbd_export import errors
from nova import test
from nova.tests.unit.image import download_case

CONTENT = download_case.CONTENT
FakeGlance = download_case.FakeGlance
FakeVerifier = download_case.FakeVerifier
IMAGE = download_case.IMAGE
url = download_case.url


class RecordingVerifier:
    """Remembers what it was given instead of hashing it.

    :param pause: called for each piece
    """

    def __init__(self, pause=None):
        self.sizes = []
        self.threads = set()
        self.verified = 0
        self._pause = pause

    def update(self, data):
        self.sizes.append(len(data))
        self.threads.add(threading.get_ident())
        if self._pause:
            self._pause()

    def verify(self):
        self.verified += 1


def real_sleep(seconds):
    if release_compat.threading_mode():
        time.sleep(seconds)
    else:
        import eventlet  # noqa: H905
        eventlet.patcher.original('time').sleep(seconds)


class VerifyFileTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.useFixture(fixtures.TempDir()).path,
                                 'image')

    def _write(self, data):
        with open(self.path, 'wb') as image:
            image.write(data)

    def _open_files(self):
        return [entry for entry in os.listdir('/proc/self/fd')
                if self.path == self._target(entry)]

    @staticmethod
    def _target(entry):
        try:
            return os.readlink('/proc/self/fd/' + entry)
        except OSError:
            return None

    def test_chunks_of_a_fixed_size_without_any_line(self):
        with open(self.path, 'wb') as image:
            image.truncate(64 << 20)
        verifier = RecordingVerifier()
        signature.verify_file(verifier, self.path)
        self.assertEqual({signature.CHUNK}, set(verifier.sizes))
        self.assertEqual(64 << 20, sum(verifier.sizes))
        self.assertEqual(1, verifier.verified)

    def test_sizes_around_a_chunk(self):
        for size in (0, 1, signature.CHUNK - 1, signature.CHUNK,
                     signature.CHUNK + 1):
            self._write(b'\n' * size)
            verifier = RecordingVerifier()
            signature.verify_file(verifier, self.path)
            self.assertEqual(size, sum(verifier.sizes))
            self.assertEqual(1, verifier.verified)

    def test_missing_file(self):
        verifier = RecordingVerifier()
        self.assertRaises(FileNotFoundError, signature.verify_file, verifier,
                          self.path)
        self.assertEqual(0, verifier.verified)

    def test_file_is_closed(self):
        self._write(b'image')
        signature.verify_file(RecordingVerifier(), self.path)
        verifier = RecordingVerifier()
        verifier.update = mock.Mock(side_effect=ValueError)
        self.assertRaises(ValueError, signature.verify_file, verifier,
                          self.path)
        self.assertEqual([], self._open_files())

    def test_others_go_on(self):
        with open(self.path, 'wb') as image:
            image.truncate(20 * signature.CHUNK)
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(None)
                time.sleep(0.01)

        def pause():
            # The others get one turn at each piece, and a minute for it.
            # A sleep that the concurrency mode knows nothing of, as hashing.
            before = len(ticks)
            for _ in range(6000):
                if len(ticks) > before:
                    met.append(True)
                    return
                real_sleep(0.01)

        # A greenthread where threads are patched.
        met = []
        ticker = threading.Thread(target=tick)
        ticker.start()
        try:
            signature.verify_file(RecordingVerifier(pause), self.path)
        finally:
            stop.set()
            ticker.join()
        self.assertEqual([True] * 20, met)

    def test_leaves_its_thread_only_under_eventlet(self):
        self._write(b'image')
        verifier = RecordingVerifier()
        signature.verify_file(verifier, self.path)
        self.assertEqual(release_compat.threading_mode(),
                         verifier.threads == {threading.get_ident()})


class CursiveVerifierTest(test.NoDBTestCase):
    """With the verifier that Nova really uses and a key of our own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key = rsa.generate_private_key(public_exponent=65537,
                                           key_size=2048)

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.useFixture(fixtures.TempDir()).path,
                                 'image')
        self.data = os.urandom(3 * signature.CHUNK + 17)
        with open(self.path, 'wb') as image:
            image.write(self.data)

    def _verifier(self, data):
        salted = padding.PSS(mgf=padding.MGF1(hashes.SHA256()),
                             salt_length=padding.PSS.MAX_LENGTH)
        signed = self.key.sign(data, salted, hashes.SHA256())
        # The certificate would come from Barbican.
        certificate = mock.Mock(spec=x509.Certificate)
        certificate.public_key.return_value = self.key.public_key()
        with mock.patch.object(signature_utils, 'get_certificate',
                               return_value=certificate):
            return signature_utils.get_verifier(
                context=mock.sentinel.context,
                img_signature_certificate_uuid='certificate',
                img_signature_hash_method='SHA-256',
                img_signature=base64.b64encode(signed).decode(),
                img_signature_key_type='RSA-PSS')

    def test_good(self):
        signature.verify_file(self._verifier(self.data), self.path)

    def test_one_byte_is_wrong(self):
        verifier = self._verifier(self.data)
        with open(self.path, 'r+b') as image:
            image.seek(signature.CHUNK + 5)
            image.write(bytes([self.data[signature.CHUNK + 5] ^ 1]))
        self.assertRaises(cryptography.exceptions.InvalidSignature,
                          signature.verify_file, verifier, self.path)

    def test_truncated(self):
        os.truncate(self.path, len(self.data) - 1)
        self.assertRaises(cryptography.exceptions.InvalidSignature,
                          signature.verify_file, self._verifier(self.data),
                          self.path)

    def test_a_verifier_works_once(self):
        # The reason for a fresh one with each attempt.
        verifier = self._verifier(self.data)
        signature.verify_file(verifier, self.path)
        self.assertRaises(cryptography.exceptions.AlreadyFinalized,
                          signature.verify_file, verifier, self.path)


class CheckTest(download_case.DownloadTestCase):

    def setUp(self):
        super().setUp()
        self.flags(verify_glance_signatures=True, group='glance')
        self.verifiers = []
        self.useFixture(fixtures.MonkeyPatch(
            'cursive.signature_utils.get_verifier', self._get_verifier))
        self.glance.image.update(
            img_signature=base64.b64encode(b'signature').decode(),
            img_signature_hash_method='SHA-256',
            img_signature_key_type='RSA-PSS',
            img_signature_certificate_uuid=uuids.certificate)

    def _get_verifier(self, **kwargs):
        self.assertEqual(uuids.certificate,
                         kwargs['img_signature_certificate_uuid'])
        self.verifiers.append(FakeVerifier(CONTENT))
        return self.verifiers[-1]

    def test_good(self):
        self._assert_rbd()
        first, used = self.verifiers
        self.assertEqual(b'', first.data)
        self.assertEqual(CONTENT, used.data)
        self.assertIn('verified by sha512 and signature',
                      self._told()[-1][1])
        self.assertIn('Image signature verification succeeded',
                      self.log.output)

    def test_wrong_signature_of_the_right_bytes(self):
        # HTTP would bring the same ones.
        with mock.patch.object(FakeVerifier, 'verify',
                               side_effect=cryptography.exceptions.
                               InvalidSignature()):
            error = self.assertRaises(
                cursive_exception.SignatureVerificationError, self._download)
        self.assertNotIn('data', self.glance.calls)
        self.assertFalse(os.path.exists(self.path))
        self.assertNotIn(self.path, str(error))
        (level, line), = self._told()
        self.assertEqual('ERROR', level)
        self.assertIn('verified by sha512. HTTP is not tried', line)

    def test_wrong_bytes(self):
        self.flags(rbd_download_verify_hash=False, group='glance')
        self.pools['images'] = b'something else'
        removed = []
        with mock.patch.object(
                self.glance, '_data', side_effect=lambda *args: (
                    removed.append(not os.path.exists(self.path)),
                    FakeGlance._data(self.glance, *args))[1]):
            self._assert_http()
        # Gone before HTTP was asked.
        self.assertEqual([True], removed)
        (level, line), = self._told()
        self.assertEqual('WARNING', level)
        self.assertIn('signature of the image does not match', line)
        self.assertIn(errors.CAUSES['signature'].remedy, line)
        # HTTP had an unused one.
        _, for_rbd, for_http = self.verifiers
        self.assertEqual(CONTENT, for_http.data)
        self.assertEqual(b'something else', for_rbd.data)

    def test_wrong_bytes_and_no_fallback(self):
        self.flags(rbd_download_fallback=False,
                   rbd_download_verify_hash=False, group='glance')
        self.pools['images'] = b'something else'
        self._assert_fails()

    def test_a_fresh_verifier_for_each_location(self):
        self.flags(rbd_download_verify_hash=False, group='glance')
        self.glance.locations = [url('far'), url('near'), url('images')]
        self.pools.update(far=b'wrong', near=b'wrong, too')
        self._assert_rbd()
        self.assertEqual([b'', b'wrong', b'wrong, too', CONTENT],
                         [verifier.data for verifier in self.verifiers])
        self.assertEqual(2, len(self._told('WARNING')))

    def test_trusted_certificates_are_checked_for_rbd_too(self):
        trusted = mock.sentinel.trusted
        with mock.patch.object(self.service, '_get_verifier',
                               return_value=None) as get_verifier:
            self._download(trusted_certs=trusted)
        self.assertEqual([mock.call(self.context, IMAGE, trusted)] * 2,
                         get_verifier.call_args_list)

    def test_wrong_signature_everywhere_fails_over_http(self):
        self.flags(rbd_download_verify_hash=False, group='glance')
        self.pools['images'] = b'something else'
        with mock.patch.object(self.glance, '_data') as data:
            data.return_value.__iter__ = lambda _self: iter([b'more of it'])
            self.assertRaises(cryptography.exceptions.InvalidSignature,
                              self._download)

    def test_metadata_of_the_signature_is_wrong(self):
        # Then nothing is read at all, as ever.
        error = exception.Invalid()
        with mock.patch.object(signature_utils, 'get_verifier',
                               side_effect=error):
            self.assertRaises(exception.Invalid, self._download)
        self.assertEqual([], self.exports)

    def test_certificate_is_gone_meanwhile(self):
        for_http = FakeVerifier(CONTENT)
        with mock.patch.object(signature_utils, 'get_verifier',
                               side_effect=[None, OSError('no Barbican'),
                                            for_http]):
            self._assert_http()
        self.assertEqual(CONTENT, for_http.data)
        (_level, line), = self._told()
        self.assertIn('could not be checked, OSError: no Barbican', line)

    def test_copy_cannot_be_read_again(self):
        with mock.patch('nova.image.signature.verify_file',
                        side_effect=OSError(5, 'Input/output error')):
            self._assert_fails()
        (level, line), = self._told()
        self.assertEqual('ERROR', level)
        self.assertIn('Input/output error', line)
        self.assertIn(self.path, line)

    def test_copy_cannot_be_opened_again(self):
        # HTTP may find a free descriptor.
        with mock.patch('nova.image.signature.verify_file',
                        side_effect=OSError(24, 'Too many open files')):
            self._assert_http()
