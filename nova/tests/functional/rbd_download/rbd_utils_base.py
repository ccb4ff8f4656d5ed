# SPDX-License-Identifier: Apache-2.0

"""What the tests of the RBD driver have in common."""

import contextlib
import functools
import os
import threading
import time
from urllib import parse

from nova.storage import rbd_utils
from nova import test
from nova.tests.testbed import ceph_cluster

MiB = 1 << 20


@functools.cache
def shared_cluster():
    """Return the cluster of this process, which ends with it."""
    cluster = ceph_cluster.CephCluster(['images', 'vms'], manager=True)
    cluster.setUp()
    # What a compute node gets whose disks are in Ceph.
    cluster.create_user('compute', osd='profile rbd pool=vms, '
                        'profile rbd-read-only pool=images')
    return cluster


class Ticker:
    """Counts how often other work gets its turn while a block runs.

    The thread is a greenthread in eventlet mode: it stands still while the
    hub is blocked, as everything else would.

    :ivar count: turns taken, one each 10 ms at best
    :ivar longest: the longest time between two turns, in seconds
    """

    def __enter__(self):
        self.count = 0
        self.longest = 0.0
        self._end = False
        self._thread = threading.Thread(target=self._tick)
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._end = True
        self._thread.join()

    def _tick(self):
        last = time.monotonic()
        while not self._end:
            time.sleep(0.01)
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            self.count += 1
            last = now


class RbdUtilsTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.log = self.stdlog.logger

    @contextlib.contextmanager
    def takes(self, least, most=45):
        """Check how long a block takes, and that it lets others work.

        :param least: seconds
        :param most: seconds, generous: the machine may be busy, and what
            does not end takes minutes
        """
        start = time.monotonic()
        with Ticker() as ticker:
            yield
        seconds = time.monotonic() - start
        self.assertGreater(seconds, least)
        self.assertLess(seconds, most)
        # A blocked hub would give one turn or two, far apart.
        self.assertGreater(ticker.count, 10)
        self.assertLess(ticker.longest, seconds * 0.75)


class ClusterTestCase(RbdUtilsTestCase):

    def setUp(self):
        super().setUp()
        self.cluster = shared_cluster()
        self.user = self.cluster.users['compute']
        self.flags(group='libvirt', images_rbd_pool='vms',
                   rbd_user='compute', rbd_connect_timeout=5,
                   images_rbd_ceph_conf=self.user.conf,
                   rbd_destroy_volume_retries=2,
                   rbd_destroy_volume_retry_interval=1)
        self.addCleanup(self.recover)
        self.driver = rbd_utils.RBDDriver()
        # Whatever a test makes has a name of its own.
        self.name = self.id().rpartition('.')[2]
        self.data = os.urandom(MiB) + bytes(MiB) + os.urandom(4097)

    def recover(self):
        for part in (self.cluster.mon, self.cluster.osd):
            part.resume()
        self.cluster.wait_ready()

    def url(self, image, pool='images', snapshot='snap', fsid=None):
        return 'rbd://' + '/'.join(
            parse.quote(part, safe='') for part in
            (fsid or self.cluster.fsid, pool, image, snapshot))

    def make_disk(self, data=None, **kwargs):
        self.cluster.create_image(self.name, data or self.data, pool='vms',
                                  snapshot=None, **kwargs)

    def read(self, name, pool='vms'):
        with self.cluster.image(name, pool, read_only=True) as image:
            return image.read(0, image.size())

    def watchers(self, name, pool='vms'):
        with self.cluster.image(name, pool, read_only=True) as image:
            return list(image.watchers_list())

    def snapshots(self, name, pool='vms'):
        with self.cluster.image(name, pool, read_only=True) as image:
            return [snap['name'] for snap in image.list_snaps()]
