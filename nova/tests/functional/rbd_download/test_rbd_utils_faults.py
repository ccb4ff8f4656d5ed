# SPDX-License-Identifier: Apache-2.0

"""The RBD driver and a cluster that does not answer."""

import contextlib
import os
import socket
import subprocess

import fixtures
import rados
import rbd

from nova import exception
from nova.storage import rbd_utils
from nova.tests.functional.rbd_download import rbd_utils_base
from nova.tests.testbed import daemon

MiB = rbd_utils_base.MiB


class UnreachableMonitorTestCase(rbd_utils_base.RbdUtilsTestCase):
    """A monitor's address at which somebody listens and never answers."""

    def setUp(self):
        super().setUp()
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(('127.0.0.1', 0))
        listener.listen(64)
        self.conf = os.path.join(
            self.useFixture(daemon.Directory()).path, 'ceph.conf')
        with open(self.conf, 'w') as conf:
            conf.write('[global]\n'
                       'mon_host = 127.0.0.1:%d\n'
                       'auth_client_required = none\n'
                       % listener.getsockname()[1])
        self.driver = rbd_utils.RBDDriver(
            pool='vms', user='nova', ceph_conf=self.conf, connect_timeout=2)

    def test_connect(self):
        with self.takes(1.9):
            self.assertRaises(rados.TimedOut, self.driver._connect_to_rados)
        self.assertIn('Cannot open Ceph pool vms as user nova with %s'
                      % self.conf, self.log.output)

    def test_connect_to_read(self):
        with self.takes(1.9):
            self.assertRaises(rados.TimedOut, self.driver.exists, 'disk')

    def test_ceph_tool(self):
        with self.takes(1.9):
            self.assertRaises(exception.StorageError,
                              self.driver.get_pool_info)
        with self.takes(1.9):
            self.assertRaises(exception.StorageError,
                              self.driver.get_mon_addrs)

    def test_ceph_tool_hangs(self):
        # As "ceph df" does without a manager, no matter what is configured.
        tool = os.path.join(os.path.dirname(self.conf), 'ceph')
        with open(tool, 'w') as script:
            script.write('#!/bin/sh\necho $$ > %s.pid\nexec sleep 600\n'
                         % tool)
        os.chmod(tool, 0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', os.path.dirname(tool) + ':' + os.environ['PATH']))
        self.stub_out('nova.storage.rbd_connection.REQUEST_PATIENCE', 1)
        self.stub_out('nova.storage.rbd_tools.COMMAND_GRACE', 1)
        driver = rbd_utils.RBDDriver(connect_timeout=1)
        with self.takes(2.5):
            exc = self.assertRaises(exception.StorageError,
                                    driver.get_mon_addrs)
        self.assertEqual(124, exc.__cause__.exit_code)
        with open(tool + '.pid') as pid:
            self.assertFalse(os.path.exists('/proc/' + pid.read().strip()))

    def test_rbd_tool(self):
        with self.takes(1.9):
            self.assertRaises(exception.StorageError,
                              self.driver.import_image, self.conf, 'disk')

    def test_conf_missing(self):
        driver = rbd_utils.RBDDriver(pool='vms', ceph_conf='/no/such.conf')
        self.assertRaises(rados.Error, driver.get_fsid)
        self.assertIn('with /no/such.conf', self.log.output)


class FaultTestCase(rbd_utils_base.ClusterTestCase):

    def setUp(self):
        super().setUp()
        # Enough to tell it from the timeout of the connection.
        self.stub_out('nova.storage.rbd_connection.REQUEST_PATIENCE', 4)

    def driver_with(self, conf, name='bad.conf', **kwargs):
        """Return a driver with a ceph.conf of its own."""
        path = os.path.join(self.useFixture(daemon.Directory()).path, name)
        with open(path, 'w') as f:
            f.write(conf)
        return rbd_utils.RBDDriver(ceph_conf=path, **kwargs)

    def wrong_key(self):
        with open(self.cluster.nova.keyring) as f:
            entry = f.read().replace('client.nova', 'client.compute')
        keyring = os.path.join(self.useFixture(daemon.Directory()).path, 'k')
        with open(keyring, 'w') as f:
            f.write(entry)
        return self.driver_with('[global]\nmon_host = %s\nkeyring = %s\n'
                                % (self.cluster.mon_host, keyring))

    def test_wrong_key(self):
        self.assertRaises(rados.Error, self.wrong_key().get_fsid)
        self.assertIn('as user compute', self.log.output)

    def test_monitor_frozen(self):
        driver = rbd_utils.RBDDriver(connect_timeout=2)
        self.cluster.mon.pause()
        with self.takes(1.9):
            self.assertRaises(rados.TimedOut, driver.exists, self.name)
        self.cluster.mon.resume()
        self.assertFalse(driver.exists(self.name))

    def test_osd_frozen_reads_end(self):
        self.make_disk()
        driver = rbd_utils.RBDDriver(connect_timeout=1)
        self.cluster.osd.pause()
        with self.takes(3.9):
            self.assertRaises(rbd.Timeout, driver.size, self.name)
        self.cluster.osd.resume()
        self.assertEqual(len(self.data), driver.size(self.name))

    def test_osd_frozen_writes_wait(self):
        self.make_disk()
        driver = rbd_utils.RBDDriver(connect_timeout=1)
        self.cluster.osd.pause()
        # Not by a thread: it could wait for a blocked hub, for ever.
        thaw = subprocess.Popen(['sh', '-c', 'sleep 6; kill -CONT -%d'
                                 % self.cluster.osd.pid])
        self.addCleanup(thaw.wait)
        with self.takes(5.5):
            driver.resize(self.name, 8 * MiB)
        self.assertEqual(8 * MiB, driver.size(self.name))

    def test_osd_frozen_limit_in_ceph_conf(self):
        self.make_disk()
        with open(self.user.conf) as f:
            conf = f.read()
        driver = self.driver_with(
            conf + '\n[client]\nrados_osd_op_timeout = 2\n')
        # The other limits are none then.
        self.stub_out('nova.storage.rbd_utils.REQUEST_PATIENCE', 100)
        self.cluster.osd.pause()
        with self.takes(1.9):
            self.assertRaises(rbd.Timeout, driver.size, self.name)
        with self.takes(1.9):
            self.assertRaises(rbd.Timeout, driver.resize, self.name, MiB)

    def test_nothing_leaks(self):
        self.make_disk()
        self.cluster.create_image(self.name, self.data)
        unreachable = self.driver_with(
            '[global]\nmon_host = 127.0.0.1:1\nauth_client_required = none\n',
            connect_timeout=1)
        no_conf = rbd_utils.RBDDriver(ceph_conf='/no/such.conf')
        wrong_key = self.wrong_key()

        def failures(count):
            for _i in range(count):
                self.assertRaises(rados.Error, wrong_key.get_fsid)
                self.assertRaises(rados.Error, no_conf.get_fsid)
                self.assertRaises(rados.Error, self.driver.exists, 'x',
                                  pool='no-pool')
                self.assertRaises(rbd.PermissionError, self.driver.flatten,
                                  self.name, pool='images')
                self.assertFalse(self.driver.exists('x'))
            self.assertRaises(rados.Error, unreachable.get_fsid)

        def successes(count):
            for _i in range(count):
                self.driver.get_fsid()
                self.driver.resize(self.name, 8 * MiB)
                self.driver.size(self.name)

        def held():
            return {kind: len(os.listdir('/proc/self/' + kind))
                    for kind in ('fd', 'task')}

        # librados and eventlet keep some things from their first use.
        failures(1)
        successes(1)
        before = held()
        failures(10)
        successes(20)
        # What ends gets the time for it.
        with contextlib.suppress(daemon.DaemonError):
            daemon.wait_for(lambda: held() == before, 'the end', 20)
        self.assertEqual(before, held())
        self.assertEqual([], self.watchers(self.name))
