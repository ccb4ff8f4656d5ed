# SPDX-License-Identifier: Apache-2.0

from unittest import mock

from nova.cmd.image_download import node_checks
from nova.cmd.image_download import node_user
from nova import test

IMAGE = {'id': '2ab5c1f0-1f4b-4e0c-9a53-6f2b3d9c8e71', 'size': 1 << 30,
         'disk_format': 'raw'}


class GatesTestCase(test.NoDBTestCase):

    def test_gates(self):
        def states():
            return [item.state for item in node_checks.gates()]

        self.flags(enable_rbd_download=True, group='glance')
        self.assertEqual(['ok'] * 4, states())
        self.flags(enable_rbd_download=False, group='glance')
        self.assertEqual(['ok', 'problem', 'ok', 'ok'], states())
        self.flags(allowed_direct_url_schemes=[],
                   rbd_download_fallback=False, group='glance')
        self.flags(images_type='rbd', group='libvirt')
        self.assertEqual(['problem', 'problem', 'problem', 'warning'],
                         states())


class DiskSpaceTestCase(test.NoDBTestCase):

    def _state(self, free, sample=None, **image):
        stat = mock.Mock(f_bavail=free // 4096, f_frsize=4096)
        with mock.patch('os.statvfs', return_value=stat), \
                mock.patch.object(node_user, 'why_not_writable',
                                  return_value=''):
            return node_checks.disk_space(dict(IMAGE, **image), sample or {})

    def setUp(self):
        super().setUp()
        self.flags(instances_path='/')

    def test_raw(self):
        self.assertEqual('ok', self._state(1 << 30).state)
        self.assertEqual('problem', self._state((1 << 30) - 4096).state)
        # Holes take nothing.
        self.assertEqual('ok', self._state(
            1 << 20, {'data_bytes': 1 << 20}).state)

    def test_parts_that_may_be_zeros(self):
        sample = {'data_bytes': 1 << 25, 'nonzero_bytes': 1 << 22}
        self.assertEqual('unknown', self._state(1 << 23, sample).state)
        self.assertEqual('problem', self._state(1 << 21, sample).state)

    def test_room_for_the_raw_copy(self):
        for free, virtual, force, state in (
            (3 << 30, 2 << 30, True, 'ok'),
            (2 << 30, 2 << 30, True, 'warning'),
            # A hole of any size is no reason to refuse it.
            (2 << 30, 500 << 30, True, 'warning'),
            (2 << 30, None, True, 'warning'),
            (2 << 30, 2 << 30, False, 'ok'),
            (1 << 20, 2 << 30, True, 'problem'),
        ):
            self.flags(force_raw_images=force)
            item = self._state(free, disk_format='qcow2',
                               virtual_size=virtual)
            self.assertEqual(state, item.state, item)

    def test_directory_that_cannot_be_written(self):
        with mock.patch.object(node_user, 'why_not_writable',
                               return_value='full of sand'):
            item = node_checks.disk_space(IMAGE, {})
        self.assertEqual('problem', item.state)
        self.assertIn('full of sand', item.found)


class UserTestCase(test.NoDBTestCase):

    def _user(self, doubt=('', '')):
        with mock.patch.object(node_user, 'doubt', return_value=doubt):
            return node_checks.user()

    def test_states(self):
        with mock.patch.object(node_checks.CONF, 'config_file', ['/x']):
            self.assertEqual('ok', self._user().state)
            item = self._user(('who knows', 'be another'))
        self.assertEqual(('unknown', 'be another'),
                         (item.state, item.remedy))
        with mock.patch.object(node_checks.CONF, 'config_file', []):
            self.assertEqual('problem', self._user().state)
