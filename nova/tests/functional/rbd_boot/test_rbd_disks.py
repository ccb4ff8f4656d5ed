# SPDX-License-Identifier: Apache-2.0

"""Disks in Ceph: the driver's own use of RBD, through our rbd_utils."""

import rbd

from nova.tests.functional.rbd_boot import base
from nova.tests.functional.rbd_boot import matrix
from nova.tests.testbed import daemon

READ_ONLY = 'profile rbd-read-only pool=images'
WRITE = 'profile rbd pool=images'


class RbdDisksTest(base.BootTestCase):

    # Nova clones only what it may see the location of.
    GLANCE = {'DEFAULT': {'show_image_direct_url': True}}

    def options(self):
        return self.stack.rbd_disks_options()

    def setUp(self):
        super().setUp()
        self.path = self.file(base.noise(16 * base.MiB))
        self.image = self.upload(self.path)

    def check_clone(self, server, image):
        """A server's disk is a clone of an image, and nothing was copied."""
        with self.bed.cluster.image(f'{server}_disk', 'vms',
                                    read_only=True) as disk:
            parent = disk.get_parent_image_spec()
            self.assertEqual(
                ('images', image, 'snap'),
                (parent['pool_name'], parent['image_name'],
                 parent['snap_name']))
        self.saw('the disk is an RBD clone of images/IMAGE@snap')
        self.check_over_rbd(image, times=0)

    def read(self, server, size):
        with self.bed.cluster.image(f'{server}_disk', 'vms',
                                    read_only=True) as disk:
            return disk.read(0, size), disk.size()

    def check_bytes(self, server, gib=1):
        with open(self.path, 'rb') as f:
            data = f.read()
        self.assertEqual((data, gib * base.GiB),
                         self.read(server, len(data)))
        self.saw('it has the bytes of the image and the size of the flavor')

    def disks(self):
        """Names of the RBD images that are disks."""
        with self.bed.cluster.ioctx('vms') as ioctx:
            return rbd.RBD().list(ioctx)

    def test_boot_and_delete(self):
        server = self.boot_active(self.image)
        self.check_clone(server, self.image)
        self.check_bytes(server)
        self.api.delete(server)
        self.assertEqual([], self.disks())
        self.saw('deleted, and the pool is empty')
        self.record(matrix.DISKS, 'Boot and delete')

    def snapshot(self):
        server = self.boot_active(self.image)
        snapshot = self.api.action(server, 'createImage',
                                   name='snapshot')['image_id']
        self.addCleanup(self.bed.glance.delete, snapshot)
        daemon.wait_for(
            lambda: self.bed.glance.show(
                snapshot, 'admin', 'demo')['status'] == 'active',
            'the image', 120, 0.5)
        self.api.wait(server)
        return snapshot

    def test_direct_snapshot(self):
        self.stack.rbd_disks_user(WRITE)
        snapshot = self.snapshot()
        self.assertEqual([], self.bed.glance.server.requests(
            f'PUT /v2/images/{snapshot}/file'))
        self.saw('the snapshot is an RBD image, nothing was uploaded')
        server = self.boot_active(snapshot)
        self.check_clone(server, snapshot)
        self.check_bytes(server)
        self.record(matrix.DISKS, 'Snapshot in the cluster, a boot of it')

    def test_uploaded_snapshot(self):
        self.stack.rbd_disks_user(READ_ONLY)
        self.addCleanup(self.stack.rbd_disks_user, WRITE)
        snapshot = self.snapshot()
        self.assertEqual(1, len(self.bed.glance.server.requests(
            f'PUT /v2/images/{snapshot}/file')))
        self.saw('the snapshot was uploaded')
        server = self.boot_active(snapshot)
        self.check_bytes(server)
        self.record(matrix.DISKS, 'Snapshot with a key that may not write to '
                    "Glance's pool, a boot of it")

    def test_resize(self):
        other = self.stack.second_compute()
        other.reconfigure(self.options())
        self.addCleanup(other.reconfigure, {})
        server = self.boot_active(self.image)
        self.resize(server, other)
        self.check_clone(server, self.image)
        self.check_bytes(server, 2)
        self.api.action(server, 'confirmResize')
        self.check_active(server)
        self.assertEqual([f'{server}_disk'], self.disks())
        self.saw('one disk in the pool, and no snapshot of it')
        with self.bed.cluster.image(f'{server}_disk', 'vms',
                                    read_only=True) as disk:
            self.assertEqual([], list(disk.list_snaps()))
        self.record(matrix.DISKS, 'Resize to another host')

    def test_capacity(self):
        with self.bed.cluster.connect() as client:
            kib = client.get_cluster_stats()['kb']
        node = next(node for node in self.api.hypervisors()
                    if node['service']['host'] == self.compute.name)
        self.assertEqual(kib >> 20, node['local_gb'])
        self.saw("the host's local_gb is the size of the cluster")
        self.record(matrix.DISKS, 'Capacity')
