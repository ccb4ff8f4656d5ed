# SPDX-License-Identifier: Apache-2.0

"""Several hosts that share one instances path download each image once."""

import os

from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import compute_host
from nova.tests.functional.rbd_download import fault_matrix
from nova.tests.functional.rbd_download import faults
from nova.tests.testbed import daemon
from nova.tests.testbed import file_systems

MiB = base.MiB


class SharedCacheTestCase(faults.FaultTestCase):
    """Two hosts, each with its own configuration and path to the cache."""

    TOPIC = fault_matrix.CRASHES
    SIZE = 8 * MiB

    def start_hosts(self):
        # Shared storage need not be mounted at the same place.
        link = os.path.join(self.useFixture(daemon.Directory()).path, 'nova')
        os.symlink(self.nova.instances_path, link)
        hosts = []
        for name, path in (('one', self.nova.instances_path), ('two', link)):
            config = self.bed.nova_config(path)
            config['DEFAULT']['host'] = name
            config['glance']['rbd_download_fallback'] = False
            hosts.append(self.useFixture(
                compute_host.ComputeHost(config, self.context)))
        for host in hosts:
            host.wait_ready()
        self._before = self._traces()
        return hosts

    def assertCached(self, image_id):
        path = self.cache_path(image_id)
        self.assertEqual(self.digest, base.sha512(path))
        self._wanted.add(path)

    def assertDownloadedOnce(self, results):
        self.assertEqual([None] * len(results),
                         [result['error'] for result in results], results)
        done = [message for result in results
                for message in result['messages']
                if 'Successfully transferred using rbd' in message]
        self.assertEqual(1, len(done), done)

    def test_one_download_for_all(self):
        hosts = self.start_hosts()
        image_ids = [self.bed.glance.upload(self.data) for _ in range(4)]
        watch = faults.Stopwatch()
        forks = {image_id: [host.fork(image_id) for host in hosts * 2]
                 for image_id in image_ids}
        for image_id in image_ids:
            self.assertDownloadedOnce(
                [fork.result() for fork in forks[image_id]])
            self.assertCached(image_id)
            self.assertEqual(0, self.downloads(image_id))
        self.record('Two hosts share the cache, four builds of each image at '
                    'once', 'processes with their own configuration and path',
                    'one download of each image', watch.seconds)

    def test_holder_is_killed(self):
        one, two = self.start_hosts()
        image_id = self.bed.glance.upload(self.data)
        holder = one.fork(image_id, rbd_download_max_rate=self.SIZE // 60)
        self.wait_for_copying()
        waiter = two.fork(image_id)
        daemon.wait_for(lambda: waits_for_lock(waiter.pid),
                        'the other host to wait', 30)
        holder.kill()
        watch = faults.Stopwatch()
        self.assertDownloadedOnce([waiter.result()])
        self.assertWithin(0, watch.seconds)
        self.assertCached(image_id)
        self.record('The host that downloads dies, another one waits',
                    'SIGKILL to its nova-compute',
                    'the other one downloaded over RBD', watch.seconds)

    def test_nothing_in_use_is_reclaimed(self):
        os.makedirs(os.path.dirname(self.cache_path('image')), exist_ok=True)
        # The file of a copy has a name there.
        self.useFixture(file_systems.NoTmpfile(
            os.path.dirname(self.cache_path('image'))))
        one, _two = self.start_hosts()
        image_id = self.bed.glance.upload(self.data)
        fork = one.fork(image_id, rbd_download_max_rate=self.SIZE // 3)
        self.wait_for_copying()
        before = os.listdir(os.path.dirname(self.cache_path(image_id)))
        self.assertEqual(1, len([n for n in before if '.rbd-export-' in n]))
        faults.look_after_cache(self.context)
        self.assertDownloadedOnce([fork.result()])
        self.assertCached(image_id)


def waits_for_lock(pid):
    """Whether a process waits for a file lock that another one holds.

    oslo.concurrency asks for it again and again instead of blocking, so that
    nothing in /proc/locks tells. It has the lock's file open meanwhile.
    """
    try:
        return any('/locks/nova-fetch-' in os.readlink(
            '/proc/%d/fd/%s' % (pid, fd))
            for fd in os.listdir('/proc/%d/fd' % pid))
    except OSError:
        return False
