# SPDX-License-Identifier: Apache-2.0

"""The snapshot of an image."""

import errno
import struct
from unittest import mock

from nova.storage.rbd_export import errors
from nova.storage.rbd_export import snapshot
from nova.tests.unit.storage.rbd_export import fake_ceph


class SnapshotTestCase(fake_ceph.CephTestCase):
    """What errors of the bindings become, and what is asked of them."""

    def test_pool(self):
        for number, code in ((errno.ENOENT, 'not_found'),
                             (errno.EPERM, 'permission'),
                             (errno.ETIMEDOUT, 'stalled'), (5, 'read')):
            self.client.open_ioctx.side_effect = self.error(number, 'rados')
            self.assert_code(code, self.open)

    def test_opened_read_only_at_the_snapshot(self):
        self.open()
        self.rbd.Image.assert_called_once_with(
            self.client.open_ioctx.return_value, 'i', snapshot='snap',
            read_only=True)

    def test_image_or_snapshot_missing(self):
        missing = self.error(errno.ENOENT, 'rbd', 'ImageNotFound')
        self.rbd.Image.side_effect = missing
        exc = self.assert_code('not_found', self.open)
        self.assertEqual('image', exc.facts['missing'])
        self.rbd.Image.side_effect = [missing, self.image]
        exc = self.assert_code('not_found', self.open)
        self.assertEqual('snapshot', exc.facts['missing'])
        self.rbd.Image.side_effect = [missing, self.error(errno.EPERM)]
        self.assert_code('permission', self.open)

    def test_open_errors(self):
        for number, code in ((errno.EPERM, 'permission'),
                             (errno.ETIMEDOUT, 'stalled'), (5, 'read')):
            self.rbd.Image.side_effect = self.error(number)
            self.assert_code(code, self.open)

    def test_extents(self):
        def iterate(offset, length, since, take, **kwargs):
            self.assertEqual((0, 64, None), (offset, length, since))
            self.assertEqual({'include_parent': True, 'whole_object': True},
                             kwargs)
            take(8, 8, True)
            take(16, 8, False)

        self.image.diff_iterate.side_effect = iterate
        self.assertEqual([(8, 8)], self.open().extents())

    def _list_objects(self, found):
        regions = []

        def iterate(offset, length, since, take, **kwargs):
            self.assertIsNone(since)
            self.assertEqual({'include_parent': True, 'whole_object': False},
                             kwargs)
            regions.append((offset, length))
            take(offset, 8, True)
            take(offset + 8, 8, False)

        self.image.diff_iterate.side_effect = iterate
        touched = mock.Mock()
        with mock.patch.object(snapshot, 'LISTED_AT_ONCE', 3):
            made = snapshot.Snapshot(self.client, 'p', 'i', 'snap', touched)
            touched.reset_mock()
            self.assertEqual(found, made.extents())
        self.assertEqual(len(found), touched.call_count)
        return regions

    def test_extents_without_a_map(self):
        for attribute, value in (('features', 0), ('flags', 1),
                                 ('flags', 2)):
            call = getattr(self.image, attribute)
            before, call.return_value = call.return_value, value
            self.assertEqual([(0, 24), (24, 24), (48, 16)],
                             self._list_objects([(0, 8), (24, 8), (48, 8)]))
            self.image.diff_iterate.reset_mock()
            self.assertIsNone(self.open().extents(ask_each=False))
            self.image.diff_iterate.assert_not_called()
            call.return_value = before

    def test_extents_of_a_striped_image_without_a_map(self):
        self.image.features.return_value = 0
        self.image.stripe_count.return_value = 2
        self.assertEqual([(0, 48), (48, 16)],
                         self._list_objects([(0, 8), (48, 8)]))

    def test_extents_of_nothing(self):
        self.image.size.return_value = 0
        self.assertIsNone(self.open().extents())
        self.image.diff_iterate.assert_not_called()

    def test_extents_that_cannot_be_had(self):
        self.image.diff_iterate.side_effect = self.error(errno.EPERM)
        self.assert_code('permission', self.open().extents)
        # Without a map it is an attempt.
        self.image.features.return_value = 0
        self.assertIsNone(self.open().extents())
        # But more requests would hang as well.
        self.image.diff_iterate.side_effect = self.error(errno.ETIMEDOUT)
        self.assert_code('stalled', self.open().extents)

    def test_read(self):
        made = self.open()
        self.assertEqual(b'xxx', made.read(1, 3))
        self.image.read.side_effect = lambda offset, length: b'x'
        self.assert_code('read', made.read, 0, 3)
        for number, code in ((errno.EPERM, 'permission'), (5, 'read'),
                             (errno.ETIMEDOUT, 'stalled')):
            self.image.read.side_effect = self.error(number)
            self.assert_code(code, made.read, 0, 3)

    def test_still_there(self):
        self.image.id.return_value = 'abc'
        execute = self.client.open_ioctx.return_value.execute
        execute.return_value = 0, struct.pack('<QIQQ', 9, 2, 7, 2)
        made = self.open()
        self.rbd.Image.reset_mock()
        made.check_still_there()
        self.rbd.Image.assert_not_called()
        self.assertEqual(('rbd_header.abc', 'rbd', 'get_snapcontext'),
                         execute.call_args[0][:3])
        # Where that does not tell, the image is opened again.
        for answer in ((0, b''), (0, struct.pack('<QIQ', 9, 2, 2)),
                       (0, struct.pack('<QIQ', 9, 1, 7))):
            execute.return_value = answer
            made.check_still_there()
            self.rbd.Image.assert_called_once()
            self.rbd.Image.reset_mock()
        execute.side_effect = self.error(errno.EPERM, 'rados')
        made.check_still_there()
        self.rbd.Image.assert_called_once()
        self.image.list_snaps.return_value = [{'name': 'snap', 'id': 3}]
        self.assert_code('snapshot_removed', made.check_still_there)
        self.rbd.Image.side_effect = self.error(2, 'rbd', 'ImageNotFound')
        self.assert_code('snapshot_removed', made.check_still_there)
        self.rbd.Image.side_effect = self.error(5)
        self.assert_code('read', made.check_still_there)

    def test_fenced_and_limited(self):
        made = self.open()
        for number, code in ((errno.ESHUTDOWN, 'blocklisted'),
                             (errno.EMFILE, 'limits')):
            self.image.read.side_effect = self.error(number)
            exc = self.assert_code(code, made.read, 0, 3)
            self.assertIn(errno.errorcode[number], str(exc))

    def test_permission_names_the_data_pool(self):
        ioctx = self.client.open_ioctx.return_value
        ioctx.get_pool_id.return_value = 3
        self.image.data_pool_id.return_value = 7
        self.client.pool_reverse_lookup.return_value = 'ec'
        made = self.open()
        self.image.read.side_effect = self.error(errno.EPERM)
        exc = self.assert_code('permission', made.read, 0, 3)
        self.assertIn('pool ec', str(exc))
        self.assertIn('pool=p, profile rbd-read-only pool=ec', exc.remedy)
        self.image.data_pool_id.return_value = 3
        exc = self.assert_code('permission', made.read, 0, 3)
        self.assertEqual(errors.CAUSES['permission'].remedy, exc.remedy)

    def test_limits(self):
        made = self.open()
        options = self.image.config_list

        def option(name, value):
            return {'name': name, 'value': value, 'source': 'pool'}

        options.return_value = [option('rbd_qos_read_bps_limit', '0'),
                                option('rbd_cache', '1')]
        self.assertIsNone(made.slowest_limit(1 << 20))
        options.return_value = [option('rbd_qos_bps_limit', '1048576'),
                                option('rbd_qos_read_iops_limit', '10'),
                                option('rbd_qos_read_bps_limit', '65536'),
                                option('rbd_qos_write_bps_limit', '1')]
        limit = made.slowest_limit(1 << 20)
        self.assertEqual(('rbd_qos_read_bps_limit', 65536, 65536, 1),
                         (limit.option, limit.value, limit.read_size,
                          limit.seconds))
        options.return_value = [option('rbd_qos_iops_limit', '2')]
        limit = made.slowest_limit(1 << 20)
        self.assertEqual((1 << 20, .5), (limit.read_size, limit.seconds))
        options.side_effect = self.error(errno.EPERM)
        self.assertIsNone(made.slowest_limit(1 << 20))
