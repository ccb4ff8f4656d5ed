# SPDX-License-Identifier: Apache-2.0

"""Images that are removed, and what holds them."""

from unittest import mock

from nova.tests.unit.storage import fake_bindings


class DestroyTestCase(fake_bindings.BindingsTestCase):

    def setUp(self):
        super().setUp()
        self.flags(group='libvirt', rbd_destroy_volume_retries=3,
                   rbd_destroy_volume_retry_interval=0)
        self.rbd = self.fake.rbd_module

    def test_at_once(self):
        self.driver.destroy_volume('disk')
        self.fake.rbd.remove.assert_called_once_with(self.fake.ioctx, 'disk')
        self.assertNotIn('rbd image', self.log.output)

    def test_busy_for_a_while(self):
        self.fake.rbd.remove.side_effect = [
            self.rbd.ImageBusy, self.rbd.ImageBusy, None]
        self.driver.destroy_volume('disk')
        self.assertEqual(3, self.fake.rbd.remove.call_count)
        self.assertNotIn('is still in use', self.log.output)

    def test_busy_for_ever(self):
        self.fake.rbd.remove.side_effect = self.rbd.ImageBusy
        self.driver.destroy_volume('disk', pool='images')
        # As many as configured, and a last one.
        self.assertEqual(4, self.fake.rbd.remove.call_count)
        self.assertIn('images/disk is still in use', self.log.output)

    def test_resize_snapshot_in_another_pool(self):
        self.fake.rbd.remove.side_effect = [self.rbd.ImageHasSnapshots, None]
        self.fake.image.list_snaps.return_value = [{'name': 'nova-resize'}]
        self.fake.image.is_protected_snap.return_value = False
        self.driver.destroy_volume('disk', pool='images')
        self.fake.image.remove_snap.assert_called_once_with('nova-resize')
        # It is looked for where the image is.
        self.assertEqual(
            [mock.call('images'), mock.call('images')],
            self.fake.client.open_ioctx.mock_calls)

    def test_resize_snapshot_is_protected(self):
        self.fake.rbd.remove.side_effect = self.rbd.ImageHasSnapshots
        self.fake.image.list_snaps.return_value = [{'name': 'nova-resize'}]
        self.fake.image.is_protected_snap.return_value = True
        self.fake.image.remove_snap.side_effect = self.rbd.ImageBusy
        self.driver.destroy_volume('disk')
        self.fake.image.unprotect_snap.assert_not_called()
        self.assertEqual(4, self.fake.rbd.remove.call_count)
        self.assertIn('vms/disk is still in use or has snapshots',
                      self.log.output)

    def test_other_failure(self):
        error = self.break_call('remove', 'rbd', 'Timeout')
        self.assertRaises(error, self.driver.destroy_volume, 'disk')
        self.assertEqual(['ioctx.close', 'shutdown'], self.fake.calls[-2:])

    def test_cleanup_volumes(self):
        self.fake.rbd.list.return_value = ['a_disk', 'b_disk', 'a_disk.swap']
        self.driver.cleanup_volumes(lambda name: name.startswith('a_'))
        self.assertEqual(
            [mock.call(self.fake.ioctx, 'a_disk'),
             mock.call(self.fake.ioctx, 'a_disk.swap')],
            self.fake.rbd.remove.mock_calls)

    def test_remove_image_held(self):
        for name, level in (('ImageNotFound', 'WARNING'),
                            ('ImageHasSnapshots', 'ERROR')):
            self.break_call('remove', 'rbd', name)
            self.driver.remove_image('disk')
            self.assertRegex(self.log.output,
                             level + '.* rbd image vms/disk ')

    def test_gone_already(self):
        self.break_call('remove', 'rbd', 'ImageNotFound')
        self.driver.destroy_volume('disk')
        self.fake.rbd.remove.assert_called_once_with(self.fake.ioctx, 'disk')
        self.assertNotRegex(self.log.output, '(ERROR|WARNING).* rbd image')

    def test_gone_after_a_while(self):
        self.fake.rbd.remove.side_effect = [
            self.rbd.ImageBusy, self.rbd.ImageNotFound]
        self.driver.destroy_volume('disk')
        self.assertEqual(2, self.fake.rbd.remove.call_count)
        self.assertNotIn('ERROR', self.log.output)

    def test_gone_while_its_snapshot_is_looked_for(self):
        self.fake.rbd.remove.side_effect = [
            self.rbd.ImageHasSnapshots, self.rbd.ImageNotFound]
        self.break_call('Image', 'rbd', 'ImageNotFound')
        self.driver.destroy_volume('disk')
        self.assertEqual(2, self.fake.rbd.remove.call_count)

    def test_cleanup_goes_on_after_a_failure(self):
        self.fake.rbd.list.return_value = ['a', 'b', 'c']
        self.fake.rbd.remove.side_effect = [
            self.rbd.ImageNotFound, self.rbd.Timeout('b'), None]
        exc = self.assertRaises(self.rbd.Timeout, self.driver.cleanup_volumes,
                                lambda name: True)
        self.assertEqual('b', str(exc))
        self.assertEqual(3, self.fake.rbd.remove.call_count)
