# SPDX-License-Identifier: Apache-2.0

"""Which OSDs a download reads from, in a cluster that has two."""

import os

from nova import conf
from nova.storage import rbd_transfer
from nova import test
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import daemon

CONF = conf.CONF

MiB = 1 << 20


class ReplicasTestCase(test.NoDBTestCase):
    """Nova's options, as far as the OSDs that serve the bytes.

    Every object has a copy on both OSDs. The first one is the primary of
    all, the second one is as near to the node as can be.
    """

    SIZE = 32 * MiB

    def setUp(self):
        super().setUp()
        self.cluster = self.useFixture(ceph_cluster.CephCluster(osds=2))
        self.dir = self.useFixture(daemon.Directory()).path
        give = self.cluster.command
        give('osd primary-affinity', id=1, weight=0.0)
        for osd, host in enumerate(('far', 'near')):
            give('osd crush set', id=osd, weight=1.0,
                 args=['root=default', 'host=%s' % host])
        give('osd pool set', pool='images', var='size', val='2')
        self.data = os.urandom(self.SIZE)
        self.cluster.create_image('image', self.data)
        self.client = os.path.join(self.dir, 'ceph.conf')
        with open(self.cluster.nova.conf) as f:
            text = f.read()
        with open(self.client, 'w') as f:
            f.write(text + 'crush_location = host=near root=default\n')

    def settle(self):
        """Let the copies know that all of them are complete.

        They serve nothing that they only know to be written, and learn it
        with the next write to their placement group.
        """
        with self.cluster.ioctx('images') as ioctx:
            for number in range(100):
                ioctx.write_full('settle-%d' % number, b'')

    def read(self):
        """Bytes that each OSD has sent so far."""
        return [osd.command_asok('perf dump')['osd']['op_out_bytes']
                for osd in self.cluster.osds]

    def download(self, policy):
        """Download the image; returns the part that each OSD has sent."""
        self.flags(rbd_read_from_replica=policy,
                   rbd_ceph_conf=self.client, rbd_user='nova',
                   group='glance')
        path = os.path.join(self.dir, policy)
        before = self.read()
        rbd_transfer.export(
            rbd_transfer.Source('images', 'image', 'snap'), path,
            size=self.SIZE)
        with open(path, 'rb') as f:
            self.assertEqual(self.data, f.read())
        return [(after - then) / self.SIZE
                for then, after in zip(before, self.read())]

    def balanced(self):
        self.settle()
        return min(self.download('balance')) > 0.1

    def test_policies(self):
        # Copies are made and taken into use in the background.
        daemon.wait_for(self.balanced, 'both OSDs to be read from', 60)
        far, near = self.download('default')
        self.assertGreater(far, 0.99)
        self.assertLess(near, 0.01)
        far, near = self.download('localize')
        self.assertLess(far, 0.01)
        self.assertGreater(near, 0.99)
