# SPDX-License-Identifier: Apache-2.0

"""Hash algorithms and their names."""

import hashlib
from unittest import mock

from nova.storage.rbd_export import digest
from nova.storage.rbd_export import errors
from nova import test


class DigestTestCase(test.NoDBTestCase):

    def test_parse(self):
        value = hashlib.sha256(b'').hexdigest()
        self.assertEqual(('sha256', value),
                         digest.parse('sha256:' + value.upper()))
        self.assertEqual(('sha512', None), digest.parse('sha512'))

    def test_md5_where_it_is_not_secure(self):
        with mock.patch.object(hashlib, 'new', wraps=hashlib.new) as new:
            digest.new('md5')
        new.assert_called_with('md5', usedforsecurity=False)

    def test_bad(self):
        for text in ('', ':', 'nothing', 'shake_128', 'sha256:',
                     'sha256:' + 'g' * 64, 'sha256:' + '0' * 63,
                     'sha256:0x' + '0' * 62, 'sha256:' + '0' * 66):
            exc = self.assertRaises(errors.ExportError, digest.parse, text)
            self.assertEqual('bad_arguments', exc.code)

    def test_names_what_there_is(self):
        exc = self.assertRaises(errors.ExportError, digest.new, 'sha9')
        self.assertIn('sha512', str(exc))
        self.assertNotIn('shake', str(exc))
