# SPDX-License-Identifier: Apache-2.0

"""Snapshots of disks of instances."""

from nova import exception
from nova.tests.unit.storage import fake_bindings


class SnapshotTestCase(fake_bindings.BindingsTestCase):

    def test_create_snap(self):
        self.fake.image.is_protected_snap.return_value = True
        self.driver.create_snap('disk', 'snap', protect=True)
        self.fake.image.create_snap.assert_called_once_with('snap')
        self.fake.image.protect_snap.assert_not_called()

    def test_remove_snap_missing(self):
        self.driver.remove_snap('disk', 'snap', ignore_errors=True)
        self.assertNotIn('rbd image', self.log.output)
        self.driver.remove_snap('disk', 'snap')
        self.assertIn('no snapshot snap of rbd image disk', self.log.output)
        self.fake.image.remove_snap.assert_not_called()

    def test_rollback_to_snap_missing(self):
        self.assertRaises(exception.SnapshotNotFound,
                          self.driver.rollback_to_snap, 'disk', 'snap')
        self.fake.image.rollback_to_snap.assert_not_called()
