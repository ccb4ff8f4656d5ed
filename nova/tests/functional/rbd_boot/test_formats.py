# SPDX-License-Identifier: Apache-2.0

"""Images that stay as they are: force_raw_images off."""

from nova.tests.functional.rbd_boot import base
from nova.tests.functional.rbd_boot import matrix


class NotForcedRawTest(base.BootTestCase):

    OPTIONS = {'DEFAULT': {'force_raw_images': False}}

    def check(self, path, disk_format):
        image = self.upload(path, disk_format=disk_format)
        server = self.boot_active(image)
        cached = self.check_cache(image, path)
        self.saw('the file in _base is the image, byte for byte')
        self.check_over_rbd(image)
        self.check_disk(server, cached, disk_format)

    def test_qcow2(self):
        raw = self.file(base.noise(16 * base.MiB) + bytes(50 * base.MiB))
        self.check(self.qcow2(raw), 'qcow2')
        self.record(matrix.BOOT, 'A qcow2 image, force_raw_images off')

    def test_raw(self):
        self.check(self.file(base.noise(16 * base.MiB)), 'raw')
        self.record(matrix.BOOT, 'A raw image, force_raw_images off')
