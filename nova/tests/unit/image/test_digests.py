# SPDX-License-Identifier: Apache-2.0

"""Tests of which digest a copy must have."""

from nova.image import digests
from nova.storage import rbd_transfer
from nova import test


class ExpectedTest(test.NoDBTestCase):

    def _expected(self, algorithm, **more):
        return digests.expected(dict(
            more, os_hash_algo=algorithm, os_hash_value='abc'))

    def test_each_way_to_write_it(self):
        # Glance and glanceclient take whatever hashlib.new takes.
        for name in ('sha512', 'SHA512', 'sha-512', 'SHA2-512'):
            self.assertEqual('sha512:abc', self._expected(name))
        self.assertEqual('md5:abc', self._expected('MD5'))

    def test_unknown(self):
        for name in ('blake3', 'whirlpool9', 'shake_128', '', None, 'x' * 999):
            error = self.assertRaises(rbd_transfer.TransferError,
                                      self._expected, name, checksum='def')
            self.assertEqual('digest_unknown', error.code)
            self.assertLess(len(str(error)), 120)

    def test_only_the_older_one(self):
        self.assertEqual('md5:def', digests.expected(
            {'os_hash_algo': None, 'os_hash_value': None, 'checksum': 'def'}))

    def test_none(self):
        self.assertIsNone(digests.expected({'checksum': ''}))

    def test_none_is_wanted(self):
        self.flags(rbd_download_verify_hash=False, group='glance')
        self.assertIsNone(self._expected('blake3', checksum='def'))
