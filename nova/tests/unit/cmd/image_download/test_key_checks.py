# SPDX-License-Identifier: Apache-2.0

import os

import fixtures

from nova.cmd.image_download import key_checks
from nova.storage import rbd_transfer
from nova import test
from nova.tests.unit.cmd.image_download import test_cluster_checks

FACTS = test_cluster_checks.FACTS
facts = test_cluster_checks.facts


class KeyringTestCase(test.NoDBTestCase):

    def _keyring(self, known, code=None):
        failure = code and rbd_transfer.TransferError(code, 'said so')
        return key_checks.keyring(known, failure,
                                       rbd_transfer.Cluster(conf=self.conf))

    conf = '/dev/null'

    def test_keyring(self):
        item = self._keyring(FACTS)
        self.assertEqual('ok', item.state)
        self.assertIn('/etc/ceph/k has an entry', item.found)

    def test_key_elsewhere_is_as_good(self):
        known = facts(keyrings=[{'path': '/k', 'state': 'missing'}])
        item = self._keyring(known)
        self.assertEqual('ok', item.state)
        self.assertIn('needs no keyring', item.found)
        # Without an answer of the cluster this is not known.
        item = self._keyring(dict(known, fsid=None), 'connect')
        self.assertEqual('not applicable', item.state)

    def test_key_that_is_at_fault(self):
        for code in key_checks.KEY_CODES:
            item = self._keyring(facts(fsid=None), code)
            self.assertEqual(('problem', 'said so'), (item.state, item.found))
            self.assertNotIn('chown', item.remedy)
        item = self._keyring(facts(client='client.admin'),
                             'keyring_not_readable')
        self.assertIn('set [glance]/rbd_user', item.remedy)

    def test_key_that_all_users_may_read(self):
        directory = self.useFixture(fixtures.TempDir()).path
        # The directories above it are not for all to enter.
        self.assertFalse(key_checks._readable_by_all(directory))
        self.useFixture(fixtures.MockPatchObject(
            key_checks, '_readable_by_all',
            lambda path: os.path.exists(path) and os.stat(path).st_mode & 4))
        self.conf, key = (os.path.join(directory, name)
                          for name in ('ceph.conf', 'key'))
        for path in (self.conf, key):
            with open(path, 'w') as f:
                f.write('[client.nova]\nkey = x\n')
        for text, path in (('', None), ('[a]\n\tkey = x\n', self.conf),
                           ('[a]\nkeyfile = %s\n' % key, key)):
            with open(self.conf, 'w') as f:
                f.write(text)
            os.chmod(key, 0o644)
            item = self._keyring(facts(keyrings=[]))
            self.assertEqual('warning' if path else 'ok', item.state, text)
            if path:
                self.assertIn('chmod o= %s' % path, item.remedy)
                os.chmod(path, 0o640)
                self.assertEqual('ok', self._keyring(facts()).state)
                os.chmod(path, 0o644)
