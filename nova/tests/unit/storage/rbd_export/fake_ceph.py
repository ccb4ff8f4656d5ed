# SPDX-License-Identifier: Apache-2.0

"""Stand-ins for the Ceph bindings."""

import sys
import types
from unittest import mock

from nova.storage.rbd_export import connection
from nova.storage.rbd_export import errors
from nova.storage.rbd_export import snapshot
from nova import test


def _errors(*names):
    """Make exceptions that look like those of the bindings."""
    base = type('Error', (Exception,), {'errno': None})
    made = {'Error': base}
    for name in names:
        made[name] = type(name, (base,), {})
    return made


class CephTestCase(test.NoDBTestCase):
    """Stand-ins for the bindings, their classes and their errors."""

    def setUp(self):
        super().setUp()
        self.settings = {}
        self.client = mock.Mock()
        self.client.conf_set.side_effect = self.settings.__setitem__
        self.rados = types.SimpleNamespace(
            Rados=mock.Mock(return_value=self.client), **_errors('Other'))
        self.image = mock.Mock()
        self.image.size.return_value = 64
        self.image.stat.return_value = {'obj_size': 8}
        self.image.stripe_count.return_value = 1
        self.image.features.return_value = 16
        self.image.flags.return_value = 0
        self.image.list_snaps.return_value = [
            {'name': 'other', 'id': 1}, {'name': 'snap', 'id': 2}]
        self.image.read.side_effect = lambda offset, length: b'x' * length
        self.rbd = types.SimpleNamespace(
            Image=mock.Mock(return_value=self.image),
            RBD_FEATURE_FAST_DIFF=16, RBD_FLAG_FAST_DIFF_INVALID=2,
            RBD_FLAG_OBJECT_MAP_INVALID=1, **_errors('ImageNotFound'))
        patcher = mock.patch.dict(sys.modules, rados=self.rados,
                                  rbd=self.rbd)
        patcher.start()
        self.addCleanup(patcher.stop)
        connection.load_rados()

    def error(self, number, module='rbd', name='Error'):
        exc = getattr(getattr(self, module), name)('words of the library')
        exc.errno = number
        return exc

    def connect(self, **kwargs):
        values = dict(user='nova', conf='/conf', keyring=None,
                      connect_timeout=3.2, stall_timeout=7)
        values.update(kwargs)
        return connection.connect(**values)

    def open(self):
        return snapshot.Snapshot(self.client, 'p', 'i', 'snap')

    def assert_code(self, code, call, *args):
        exc = self.assertRaises(errors.ExportError, call, *args)
        self.assertEqual(code, exc.code, str(exc))
        return exc
