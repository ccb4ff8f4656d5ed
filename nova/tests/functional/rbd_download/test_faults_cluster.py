# SPDX-License-Identifier: Apache-2.0

"""Whatever happens to the cluster, no download hangs or gives wrong bytes."""

import json
import logging
import os
import re
import signal
import socket
import time

from nova.storage import circuit_breaker
from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import fault_matrix
from nova.tests.functional.rbd_download import faults
from nova.tests.testbed import daemon
from nova.tests.testbed import namespaces
from nova.tests.testbed import rbd_testbed

MiB = base.MiB

STALLED = '(no byte has moved for 5 s|did not answer a request)'
UNREACHABLE = '(no monitor .*answered|could not be reached) within 2 s'


class ClusterFaultTestCase(faults.FaultTestCase):

    def check_during_copy(self, cause, produced, harm, heal, reason, within):
        """Break something during a copy, with and without HTTP allowed.

        :param harm: function that breaks it; it gets the pid of the engine
        :param heal: function that mends it
        :param reason: regular expression for the line in the log
        :param within: seconds of the timeouts in question
        """
        for allowed in (True, False):
            self.nova.set('glance', 'rbd_download_fallback', allowed)
            image_id = self.upload_to_both(self.data)
            self.slow(20)
            wait = self.in_thread(self.fetch, image_id)
            engine = self.wait_for_copying()
            harm(engine)
            watch = faults.Stopwatch()
            outcome = wait()
            self.conclude(allowed, image_id, outcome, cause, produced,
                          reason, watch.seconds, within)
            heal()
            self.begin_anew()

    def check_from_start(self, cause, produced, reason, within):
        """Download while something is broken, with HTTP and without."""
        for allowed in (True, False):
            self.nova.set('glance', 'rbd_download_fallback', allowed)
            image_id = self.files[allowed]
            wait = self.in_thread(self.fetch, image_id)
            watch = faults.Stopwatch()
            outcome = wait()
            self.conclude(allowed, image_id, outcome, cause, produced,
                          reason, watch.seconds, within)
            self.begin_anew()

    def upload_before(self):
        """Upload what check_from_start needs while everything works."""
        self.files = {allowed: self.upload_to_both(self.data)
                      for allowed in (True, False)}

    def conclude(self, allowed, image_id, outcome, cause, produced, reason,
                 seconds, within):
        if allowed:
            self.assertEqual(self.cache_path(image_id), outcome)
            self.assertOverHTTP(image_id, outcome, self.digest, reason)
        else:
            self.assertFailed(outcome, image_id, reason)
        self.assertWithin(within, seconds)
        self.assertNothingLeft()
        self.record(cause, produced,
                    faults.HTTP if allowed else faults.FAILED, seconds,
                    'right bytes' if allowed else 'nothing')

    def check_waited_for(self, cause, produced, least, harm, slow=6):
        """Break something for a while, which a download is to sit out.

        :param least: seconds that it has to last to prove anything
        :param harm: function that breaks and mends it; it gets the pid of
            the engine, and a function that tells whether the download goes on
        :param slow: seconds that the copy takes by itself
        """
        image_id = self.upload_to_both(self.data)
        self.slow(slow)
        wait = self.in_thread(self.fetch, image_id)
        engine = self.wait_for_copying()
        watch = faults.Stopwatch()
        harm(lambda: os.path.exists('/proc/%d' % engine))
        path = wait()
        self.assertEqual(self.cache_path(image_id), path)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertGreater(watch.seconds, least)
        self.record(cause, produced, faults.WAITED, watch.seconds)


class OSDTestCase(ClusterFaultTestCase):

    def setUp(self):
        super().setUp()
        self.osd = self.bed.cluster.osd

    def mend(self):
        self.osd.resume()
        self.osd.start()
        self.bed.cluster.wait_ready()

    def test_frozen_during_the_copy(self):
        self.check_during_copy(
            'OSD hangs during the copy', 'SIGSTOP to ceph-osd',
            lambda engine: self.osd.pause(), self.mend, STALLED, self.STALL)

    def test_killed_during_the_copy(self):
        self.check_during_copy(
            'OSD dies during the copy', 'SIGKILL to ceph-osd',
            lambda engine: self.osd.kill(), self.mend, STALLED, self.STALL)

    def test_down_before_the_start(self):
        self.upload_before()
        self.osd.kill()
        self.check_from_start('All OSDs are down before the start',
                              'SIGKILL to ceph-osd', STALLED, self.STALL)

    def test_frozen_before_the_start(self):
        self.upload_before()
        self.osd.pause()
        self.check_from_start('All OSDs hang before the start',
                              'SIGSTOP to ceph-osd', STALLED, self.STALL)

    def test_slow(self):
        # What the OSD does for itself waits, too: on a busy machine single
        # requests may take seconds.
        self.nova.set('glance', 'rbd_download_stall_timeout', 20)
        self.check_waited_for(
            'OSD is slow',
            'each request waits for 0.2 s and for all before it; the '
            'stall timeout is 20 seconds', 0,
            lambda goes_on: self.bed.cluster.slow_down(0.2))

    def test_stutters(self):
        # Each time for much less, as a busy machine adds to that; all the
        # times together for longer.
        self.nova.set('glance', 'rbd_download_stall_timeout', 12)

        def stutter(goes_on):
            (engine,) = self.engines()
            while goes_on():
                before = written(engine)
                self.osd.pause()
                time.sleep(2)
                self.osd.resume()
                daemon.wait_for(lambda: written(engine) > before or
                                not goes_on(), 'the copy to go on', 30)

        def written(engine):
            return faults.written(engine, self.nova.instances_path)

        self.check_waited_for(
            'OSD hangs again and again, for less than the stall timeout',
            'SIGSTOP and SIGCONT to ceph-osd; the stall timeout is 12 seconds',
            12, stutter, 13)

    def test_back_in_time(self):
        self.nova.set('glance', 'rbd_download_stall_timeout', 20)

        def freeze(goes_on):
            self.osd.pause()
            time.sleep(3)
            self.osd.resume()

        self.check_waited_for(
            'OSD hangs for less than the stall timeout',
            'SIGSTOP, 3 s later SIGCONT to ceph-osd; the stall timeout is 20 '
            'seconds', 3, freeze)

    def test_restarted_in_time(self):
        # As long as it takes on a busy machine.
        self.nova.set('glance', 'rbd_download_stall_timeout', 60)

        def restart(goes_on):
            self.osd.kill()
            self.osd.start()

        self.check_waited_for(
            'OSD dies and is started again within the stall timeout',
            'SIGKILL to ceph-osd, then a new one', 1, restart)


class MonitorTestCase(ClusterFaultTestCase):

    def setUp(self):
        super().setUp()
        self.mon = self.bed.cluster.mon
        self.upload_before()

    def check_no_monitor(self, cause, produced):
        self.check_from_start(cause, produced, UNREACHABLE, self.CONNECT)

    def test_gone(self):
        self.mon.kill()
        self.check_no_monitor('Monitor is gone before the start',
                              'SIGKILL to ceph-mon')

    def test_frozen(self):
        self.mon.pause()
        self.check_no_monitor('Monitor hangs before the start',
                              'SIGSTOP to ceph-mon')

    def test_silent(self):
        with socket.socket() as silent:
            silent.bind(('127.0.0.1', 0))
            silent.listen(64)
            with open(self.bed.cluster.nova.conf) as f:
                text = f.read()
            path = os.path.join(self.useFixture(daemon.Directory()).path,
                                'ceph.conf')
            with open(path, 'w') as f:
                f.write(re.sub('mon_host = .*', 'mon_host = v2:127.0.0.1:%d'
                               % silent.getsockname()[1], text))
            self.nova.set('glance', 'rbd_ceph_conf', path)
            self.check_no_monitor(
                'Monitor accepts connections and says nothing',
                'a listening socket in its place')

    def test_gone_during_the_copy(self):
        # Who has the map of the cluster needs no monitor to read.
        def kill(goes_on):
            self.mon.kill()
            daemon.wait_for(lambda: not goes_on(), 'the engine to end', 90)
            self.mon.start()

        self.check_waited_for('Monitor dies during the copy',
                              'SIGKILL to ceph-mon', 0, kill)


class NetworkTestCase(ClusterFaultTestCase):

    TOPIC = fault_matrix.NETWORK

    def start_bed(self):
        # Another one, in a network where nobody else is in the way.
        self.network = self.useFixture(namespaces.NetworkNamespace())
        return self.useFixture(rbd_testbed.RbdTestBed())

    def osd_ports(self):
        """The ports on which the OSD serves clients."""
        dump = self.bed.cluster.command('osd dump', format='json')
        (osd,) = json.loads(dump)['osds']
        return [int(each['addr'].rpartition(':')[2])
                for each in osd['public_addrs']['addrvec']]

    def test_blackhole(self):
        ports = self.osd_ports()
        how = 'iptables drops all packets of its port, in a network namespace'
        self.check_during_copy(
            'Packets to the OSD vanish during the copy', how,
            lambda engine: self.network.swallow(*ports),
            self.network.let_pass, STALLED, self.STALL)

        def blink(goes_on):
            self.network.swallow(*ports)
            time.sleep(2)
            self.network.let_pass()

        self.nova.set('glance', 'rbd_download_stall_timeout', 20)
        self.check_waited_for(
            'Packets to the OSD vanish for less than the stall timeout',
            'the same, for 2 s; the stall timeout is 20 seconds', 2, blink)
        self.begin_anew()

        self.upload_before()
        self.network.swallow(*self.bed.cluster._ports)
        self.check_from_start('Packets to the monitor vanish', how,
                              UNREACHABLE, self.CONNECT)
        self.network.let_pass()


class ChildTestCase(ClusterFaultTestCase):
    """The process that copies is the one that breaks."""

    TOPIC = fault_matrix.PROCESSES

    def test_stopped(self):
        # It can no longer notice anything itself.
        self.check_during_copy(
            'The engine hangs', 'SIGSTOP to the engine',
            lambda engine: os.kill(engine, signal.SIGSTOP), lambda: None,
            'gave no sign of life for 10 s', self.STALL + self.CONNECT + 3)

    def test_killed(self):
        self.check_during_copy(
            'The engine dies', 'SIGKILL to the engine',
            lambda engine: os.kill(engine, signal.SIGKILL), lambda: None,
            'was ended by SIGKILL', 0)

    def test_killed_with_another_location(self):
        cluster = self.bed.cluster
        cluster.create_pool('second')
        user = cluster.create_user(
            'two', osd='profile rbd-read-only pool=images, '
                       'profile rbd-read-only pool=second')
        self.nova.set('glance', 'rbd_user', user.name)
        self.nova.set('glance', 'rbd_ceph_conf', user.conf)
        self.nova.set('glance', 'rbd_pool', 'images,second')
        image_id = self.bed.glance.upload(self.data, store='fast')
        for pool in ('images', 'second'):
            cluster.create_image(image_id, self.data, pool=pool)
        self.set_locations(image_id, [self.rbd_url(image_id),
                                      self.rbd_url(image_id, 'second')])
        self.slow(20)
        wait = self.in_thread(self.fetch, image_id)
        engine = self.wait_for_copying()
        self.full_speed()
        os.kill(engine, signal.SIGKILL)
        watch = faults.Stopwatch()
        path = wait()
        self.assertEqual(self.cache_path(image_id), path)
        self.assertEqual(self.digest, base.sha512(path))
        self.assertEqual(0, self.downloads(image_id))
        (line,) = self.messages(logging.WARNING)
        self.assertIn('images/%s@snap: the export process was ended by '
                      'SIGKILL' % image_id, line)
        self.assertWithin(0, watch.seconds)
        self.record('The engine dies, the image has another location',
                    'SIGKILL to the engine', 'read the next location',
                    watch.seconds)


class CircuitBreakerTestCase(ClusterFaultTestCase):

    # Longer than a few downloads take.
    PAUSE = 100

    def test_outage(self):
        self.stub_out('nova.storage.circuit_breaker.FIRST_PAUSE',
                      float(self.PAUSE))
        self.assertEqual(self.PAUSE, circuit_breaker.FIRST_PAUSE)
        first, *others, last = [self.upload_to_both(self.data)
                                for _ in range(6)]
        self.bed.cluster.mon.pause()
        watch = faults.Stopwatch()
        self.fetch(first)
        paid = watch.seconds
        self.assertGreaterEqual(paid, self.CONNECT)

        # While the cluster is known to be away nobody else waits for it.
        started = self.children_started()
        slowest = 0.0
        for image_id in others:
            self._log.records.clear()
            watch = faults.Stopwatch()
            path = self.fetch(image_id)
            slowest = max(slowest, watch.seconds)
            self.assertOverHTTP(image_id, path, self.digest,
                                'not tried again for')
        self.assertEqual(started, self.children_started())
        self.record('The cluster is away, and was a moment ago',
                    'SIGSTOP to ceph-mon, four more downloads',
                    faults.HTTP + ' at once', slowest)

        self.bed.cluster.mon.resume()
        self.bed.cluster.wait_ready()
        # Nobody has to wait for the end of the pause.
        for breaker in circuit_breaker._breakers.values():
            breaker._clock = lambda: time.monotonic() + self.PAUSE
        self._log.records.clear()
        watch = faults.Stopwatch()
        path = self.fetch(last)
        self.assertOverRBD(last, path, self.digest, starts=1)
        self.record('The cluster is back', 'SIGCONT to ceph-mon, one more '
                    'download after the pause', 'came over RBD',
                    watch.seconds)
