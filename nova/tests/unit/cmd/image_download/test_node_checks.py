# SPDX-License-Identifier: Apache-2.0

from unittest import mock

from nova.cmd.image_download import node_checks
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

    def test_disk_space(self):
        self.flags(instances_path='/')
        for free, sample, disk_format, state in (
            (1 << 30, {}, 'raw', 'ok'),
            ((1 << 30) - 4096, {}, 'raw', 'problem'),
            # Holes take nothing.
            (1 << 20, {'data_bytes': 1 << 20}, 'raw', 'ok'),
            # The raw file is beside the one it is made from.
            (1 << 30, {}, 'qcow2', 'problem'),
            (2 << 30, {}, 'qcow2', 'ok'),
        ):
            stat = mock.Mock(f_bavail=free // 4096, f_frsize=4096)
            with mock.patch('os.statvfs', return_value=stat), \
                    mock.patch('os.access', return_value=True):
                item = node_checks.disk_space(
                    dict(IMAGE, disk_format=disk_format), sample)
            self.assertEqual(state, item.state, item)
