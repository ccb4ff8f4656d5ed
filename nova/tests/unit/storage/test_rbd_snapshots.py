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

    def _snapshot(self):
        self.fake.image.list_snaps.return_value = [{'name': 'snap'}]
        self.fake.image.is_protected_snap.return_value = False

    def test_remove_snap_gone_meanwhile(self):
        self._snapshot()
        self.fake.image.remove_snap.side_effect = (
            self.fake.rbd_module.ImageNotFound)
        self.driver.remove_snap('disk', 'snap', ignore_errors=True)
        self.assertNotIn('no snapshot', self.log.output)
        self.driver.remove_snap('disk', 'snap')
        self.assertIn('no snapshot snap of rbd image disk', self.log.output)

    def test_remove_snap_of_an_image_that_is_gone(self):
        self.break_call('Image', 'rbd', 'ImageNotFound')
        self.driver.remove_snap('disk', 'snap')
        self.assertIn('no snapshot snap of rbd image disk', self.log.output)

    def test_remove_snap_fails(self):
        self._snapshot()
        self.fake.image.remove_snap.side_effect = self.fake.rbd_module.Timeout
        self.assertRaises(self.fake.rbd_module.Timeout,
                          self.driver.remove_snap, 'disk', 'snap',
                          ignore_errors=True)
