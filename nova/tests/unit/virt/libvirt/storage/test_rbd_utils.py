# SPDX-License-Identifier: Apache-2.0

import importlib
import sys
from unittest import mock
import warnings

from nova.storage import rbd_utils
from nova import test

OLD = 'nova.virt.libvirt.storage.rbd_utils'


class OldPathTestCase(test.NoDBTestCase):

    def import_old(self):
        sys.modules.pop(OLD, None)
        self.addCleanup(sys.modules.pop, OLD, None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            old = importlib.import_module(OLD)
        return old, [str(w.message) for w in caught
                     if w.category is DeprecationWarning]

    def test_same_objects(self):
        old, _caught = self.import_old()
        for name in ('RBDDriver', 'RBDVolumeProxy', 'RADOSClient', 'RbdProxy',
                     'RESIZE_SNAPSHOT_NAME'):
            self.assertIs(getattr(rbd_utils, name), getattr(old, name))

    def test_deprecated(self):
        _old, caught = self.import_old()
        self.assertEqual(1, len(caught), caught)
        self.assertIn('import nova.storage.rbd_utils instead', caught[0])

    def test_import_from(self):
        self.import_old()
        from nova.virt.libvirt.storage import rbd_utils as old
        self.assertIs(rbd_utils.RBDDriver, old.RBDDriver)

    def test_what_is_replaced_in_one_is_in_the_other(self):
        self.import_old()
        with mock.patch(OLD + '.rados') as replaced:
            self.assertIs(replaced, rbd_utils.rados)
