# SPDX-License-Identifier: Apache-2.0

"""What is found out about the key of a client."""

import base64
import os
import struct
from unittest import mock

import fixtures

from nova.storage.rbd_export import keyring
from nova import test


def key(kind=1, length=16, cut=0):
    data = struct.pack('<HIIH', kind, 1790000000, 0, length) + bytes(length)
    return base64.b64encode(data[:len(data) - cut]).decode()


class KeyringTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.dir, 'k')

    def write(self, text, path=None):
        with open(path or self.path, 'w') as f:
            f.write(text)

    def test_states(self):
        def state():
            return keyring.state(self.path, 'client.nova')
        self.assertEqual('missing', state())
        self.write('[client.nova-images]\nkey = %s\n' % key())
        self.assertEqual('no entry', state())
        self.write('[client.nova]\n\tkey=%s\n[client.x]\nkey = x\n' % key())
        self.assertEqual('ok', state())
        self.write('[client.nova]\n  caps mon = "allow r"\n')
        self.assertEqual('undecodable', state())
        with mock.patch('builtins.open', side_effect=PermissionError):
            self.assertEqual('unreadable', state())

    def test_keys(self):
        self.assertIsNone(keyring.key_problem(key()))
        for text in ('', 'AQA', '???', '\u00e9', key(cut=1), key(2, 32),
                     key(length=8), 'TYPE_THE_KEY_HERE'):
            self.assertIsNotNone(keyring.key_problem(text), text)

    def explain(self, code, *words, **options):
        cluster = mock.Mock()
        cluster.conf_get.side_effect = lambda name: options.get(name, '')
        error = keyring.explain(cluster, 'client.nova')
        self.assertEqual(code, error.code, error)
        for word in words:
            self.assertIn(word, str(error))
        self.assertNotIn(key(), str(error))

    def test_which_file_counts(self):
        self.explain('no_key', '/no/a or /no/b', keyring='/no/a, /no/b,')
        self.write('[client.nova]\nkey = %s\n' % key())
        self.explain('key_rejected', self.path,
                     keyring='/no/a,%s' % self.path)
        other = os.path.join(self.dir, 'other')
        self.write('[client.x]\nkey = %s\n' % key(), other)
        self.explain('no_key', other,
                     keyring='%s,%s' % (other, self.path))
        self.write('[client.nova]\nkey = %s\n' % key(2, 32))
        self.explain('bad_keyring', 'kind 2', keyring=self.path)
        with mock.patch('builtins.open', side_effect=PermissionError(
                13, 'x')):
            self.explain('keyring_not_readable', 'EACCES', keyring=self.path)

    def test_key_without_a_keyring(self):
        self.explain('key_rejected', 'option "key"', key=key(),
                     keyring='/no/a')
        self.explain('bad_keyring', 'option "key"', key='x')
        self.write(key())
        self.explain('key_rejected', self.path, keyfile=self.path)
        self.write('x')
        self.explain('bad_keyring', self.path, keyfile=self.path)
        self.explain('keyring_not_readable', 'ENOENT', keyfile='/no/a')
