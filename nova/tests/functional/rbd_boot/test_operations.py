# SPDX-License-Identifier: Apache-2.0

"""What is done with a server that came over RBD."""

from nova.tests.functional.rbd_boot import base
from nova.tests.functional.rbd_boot import matrix
from nova.tests.testbed import daemon


class OperationsTest(base.BootTestCase):

    def setUp(self):
        super().setUp()
        self.path = self.file(base.noise(16 * base.MiB))
        self.image = self.upload(self.path)

    def another(self, seed=7):
        """Another image and the file it was made of."""
        path = self.file(base.noise(16 * base.MiB, seed), 'another')
        return self.upload(path), path

    def check_same_disk(self, cached):
        """A disk has the bytes of the image, and zeros up to its end."""
        base.qemu_img('compare', '-f', 'raw', '-F', 'raw', self.path, cached)

    def test_snapshot(self):
        server = self.boot_active(self.image)
        snapshot = self.api.action(server, 'createImage',
                                   name='snapshot')['image_id']
        self.addCleanup(self.bed.glance.delete, snapshot)
        self.wait_for_image(snapshot)
        self.api.wait(server)
        self.boot_active(snapshot)
        self.check_same_disk(self.compute.cache_path(snapshot))
        self.saw('the new _base file has the bytes of the first image')
        self.check_over_rbd(snapshot)
        self.record(matrix.OPERATIONS, 'Snapshot, and a boot of the snapshot')

    def wait_for_image(self, image):
        daemon.wait_for(
            lambda: self.bed.glance.show(image, 'admin', 'demo')['status'] ==
            'active', 'the image', 120, 0.5)

    def test_rescue(self):
        server = self.boot_active(self.image)
        image, path = self.another()
        self.api.action(server, 'rescue', rescue_image_ref=image)
        self.check_active(server, 'RESCUE')
        cached = self.check_cache(image, path)
        self.saw('the rescue image is in _base, byte for byte')
        self.check_over_rbd(image)
        self.check_disk(server, cached, name='disk.rescue')
        self.api.action(server, 'unrescue')
        self.check_active(server)
        self.check_disk(server, self.compute.cache_path(self.image))
        self.record(matrix.OPERATIONS, 'Rescue with another image, unrescue')

    def test_rebuild(self):
        server = self.boot_active(self.image)
        image, path = self.another()
        self.api.action(server, 'rebuild', imageRef=image)
        # It is ACTIVE at first, and for a moment without a task.
        daemon.wait_for(lambda: self.api.show(server)['image']['id'] == image,
                        'the rebuild', 60)
        self.check_active(server)
        cached = self.check_cache(image, path)
        self.saw('the new image is in _base, byte for byte')
        self.check_over_rbd(image)
        self.check_disk(server, cached)
        self.record(matrix.OPERATIONS, 'Rebuild to another image')

    def test_shelve(self):
        server = self.boot_active(self.image)
        self.api.action(server, 'shelve')
        self.api.wait(server, 'SHELVED_OFFLOADED')
        self.assertFalse(self.compute.has(server))
        self.assertEqual([], self.compute.host.domains())
        self.saw('SHELVED_OFFLOADED, nothing of it on the host')
        shelved = next(image['id'] for image in self.bed.glance.client(
            'admin', 'demo').images.list()
            if image.get('image_type') == 'snapshot'
            and image['name'].endswith('-shelved'))
        self.api.action(server, 'unshelve')
        # Any host will do for it.
        compute = self.host_of(self.check_active(server))
        self.check_same_disk(compute.cache_path(shelved))
        self.saw('the _base file of the shelved image has the bytes of the '
                 'first one')
        self.check_over_rbd(shelved, compute=compute)
        self.record(matrix.OPERATIONS, 'Shelve and unshelve')

    def test_resize(self):
        other = self.stack.second_compute()
        server = self.boot_active(self.image)
        self.resize(server, other)
        self.assertEqual(2 * base.GiB, self.disk_info(server)['virtual-size'])
        self.saw('its disk has the new size')
        cached = self.check_cache(self.image, self.path, other)
        self.saw('that host has the image in _base, byte for byte')
        self.assertEqual(1, len(other.log_lines(base.TRANSFERRED,
                                                self.image)))
        self.check_over_rbd(self.image)
        self.check_disk(server, cached)
        self.api.action(server, 'confirmResize')
        self.check_active(server)
        daemon.wait_for(lambda: not self.compute.has(server),
                        'the first host to forget the server', 60)
        self.saw('nothing of it is left on the first one')
        self.record(matrix.OPERATIONS,
                    'Resize to another host, with a copy of the disk')
