# SPDX-License-Identifier: Apache-2.0

"""The core: servers boot from images that came over RBD.

Short enough for each run of all tests.
"""

from nova.tests.functional.rbd_boot import base
from nova.tests.functional.rbd_boot import matrix


class CoreTest(base.BootTestCase):

    def test_raw(self):
        data = base.noise(20 * base.MiB) + bytes(20 * base.MiB)
        path = self.file(data + base.noise(8 * base.MiB, 1))
        image = self.upload(path)
        server = self.boot_active(image)
        cached = self.check_cache(image, path)
        self.saw('the file in _base is the image, byte for byte')
        self.check_over_rbd(image)
        self.check_disk(server, cached)
        self.check_deleted(server)
        self.record(matrix.BOOT, 'A raw image')

    def test_qcow2(self):
        raw = self.file(base.noise(16 * base.MiB) + bytes(100 * base.MiB))
        image = self.upload(self.qcow2(raw), disk_format='qcow2')
        server = self.boot_active(image)
        cached = self.check_cache(image, raw)
        self.saw('the file in _base is raw, with the bytes that the qcow2 '
                 'file stands for')
        self.check_over_rbd(image)
        self.check_disk(server, cached)
        self.record(matrix.BOOT, 'A qcow2 image, force_raw_images on')

    def check_deleted(self, server):
        """Nothing of a server is left when it is deleted."""
        self.api.delete(server)
        self.assertEqual([], self.compute.host.domains())
        self.assertFalse(self.compute.has(server))
