# SPDX-License-Identifier: Apache-2.0

"""What a client can do; the functional tests ask a real cluster."""

import errno
import sys
import types
from unittest import mock

import fixtures

from nova.storage.rbd_export import access_probe
from nova.storage.rbd_export import errors
from nova.storage.rbd_export import snapshot
from nova import test


class FakeError(Exception):

    def __init__(self, number=None):
        super().__init__('failed')
        self.errno = number


class FakeNotFound(FakeError):
    pass


class RightsTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        rados = types.ModuleType('rados')
        rados.Error, rados.ObjectNotFound = FakeError, FakeNotFound
        patcher = mock.patch.dict(sys.modules, rados=rados)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.client = mock.Mock()
        self.ioctx = self.client.open_ioctx.return_value
        self.touched = 0

    def _touch(self):
        self.touched += 1

    def test_answers(self):
        no = FakeError(errno.EPERM)
        for read, write, expected in (
            (None, no, ('yes', 'no')),
            # As the object to be removed never exists.
            (None, FakeNotFound(errno.ENOENT), ('yes', 'yes')),
            # No image was ever in the pool.
            (FakeNotFound(errno.ENOENT), no, ('yes', 'no')),
            (no, FakeError(-errno.EACCES), ('no', 'no')),
            (FakeError(errno.ETIMEDOUT), None, ('timeout', 'timeout')),
            (FakeError(errno.EIO), no, ('Input/output error (EIO)', 'no')),
        ):
            self.ioctx.read.side_effect = [read]
            self.ioctx.remove_object.side_effect = [write]
            found = access_probe._rights(self.client, 'images')
            self.assertEqual(('images', *expected), (
                found['pool'], found['read'], found['write']))
        self.assertEqual(6, self.ioctx.close.call_count)

    def test_no_pool(self):
        self.client.open_ioctx.side_effect = FakeNotFound(errno.ENOENT)
        self.assertEqual('missing',
                         access_probe._rights(self.client, 'images')['read'])

    def _pools(self, answers):
        self.client.list_pools.return_value = ['a', 'b', 'c']
        with mock.patch.object(access_probe, '_rights', side_effect=lambda
                               client, name: {'pool': name,
                                              'read': answers}):
            found, all_pools = access_probe.pools(self.client, ['c', 'x'],
                                            self._touch)
        return [entry['pool'] for entry in found], all_pools

    def test_wanted_ones_first(self):
        self.assertEqual((['c', 'x', 'a', 'b'], True), self._pools('yes'))
        self.assertEqual(4, self.touched)

    def test_no_time_for_others(self):
        with mock.patch.object(access_probe, 'POOLS_TIME', -1):
            self.assertEqual((['c', 'x'], False), self._pools('yes'))

    def test_osds_that_do_not_answer_are_waited_for_once(self):
        self.assertEqual((['c'], False), self._pools('timeout'))


class SampleTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.snapshot = mock.Mock(size=100)
        self.snapshot.read.side_effect = lambda offset, length: bytes(length)
        self.useFixture(fixtures.MockPatchObject(
            snapshot, 'Snapshot', return_value=self.snapshot))
        self.useFixture(fixtures.MockPatchObject(
            access_probe, 'SAMPLE_READ_SIZE', 16))

    def _sample(self, limit):
        return access_probe.sample(mock.Mock(), 'p', 'i', 's', limit,
                                   lambda: None)

    def test_data_only(self):
        self.snapshot.extents.return_value = [(0, 20), (60, 8)]
        found = self._sample(1000)
        self.assertEqual((28, 28, 100), (found['bytes'], found['data_bytes'],
                                         found['size']))
        self.assertEqual([(0, 16), (16, 4), (60, 8)], sorted(
            call[0] for call in self.snapshot.read.call_args_list))

    def test_no_more_than_wanted(self):
        self.snapshot.extents.return_value = None
        found = self._sample(40)
        self.assertEqual((40, None), (found['bytes'], found['data_bytes']))

    def test_extents_past_the_end(self):
        self.snapshot.extents.return_value = [(96, 16)]
        found = self._sample(1000)
        self.assertEqual((4, 4), (found['bytes'], found['data_bytes']))

    def test_failure(self):
        self.snapshot.extents.return_value = None
        self.snapshot.read.side_effect = errors.ExportError('read', 'bad')
        self.assertRaises(errors.ExportError, self._sample, 40)

    def test_time_is_over(self):
        self.snapshot.extents.return_value = None
        with mock.patch.object(access_probe, 'SAMPLE_TIME', -1):
            self.assertEqual(0, self._sample(40)['bytes'])
