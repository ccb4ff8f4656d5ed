# SPDX-License-Identifier: Apache-2.0
"""Each fault is told once, with its cause and its cure, and costs a while.

The image comes over HTTP then, or not at all where that is forbidden or
could not help.
"""

import logging
import os
import subprocess
import sys
from unittest import mock

from nova import exception
from nova.image import glance
from nova.storage import export_python
from nova.tests.functional.rbd_download import base
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import daemon

MiB = base.MiB


class FaultTestCase(base.DirectDownloadTestCase):

    def use(self, user, conf=None):
        """Let Nova work as a user of the cluster."""
        self.nova.set('glance', 'rbd_user', user.name)
        self.nova.set('glance', 'rbd_ceph_conf', conf or user.conf)

    def write(self, name, text):
        path = os.path.join(self.useFixture(daemon.Directory()).path, name)
        with open(path, 'w') as f:
            f.write(text)
        return path

    def get(self, image_id):
        return self.fetch(image_id)

    def assertFallsBack(self, reason, cure, image_id=None, digest=None):
        """It comes over HTTP if it may, and not at all if not.

        :param reason: a regular expression for the one line in the log
        :param cure: one for what follows in that line
        """
        if image_id is None:
            image_id, digest = self.common_image()
        path = self.get(image_id)
        self.assertOverHTTP(image_id, path, digest, reason, cure=cure)
        os.unlink(path)
        self._log.records.clear()
        self._forget()

        self.nova.set('glance', 'rbd_download_fallback', False)
        error = self.assertRaises(exception.CouldNotFetchImage, self.get,
                                  image_id)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(1, self.downloads(image_id))
        (line,) = self.messages(logging.WARNING)
        self.assertRegex(line, '^ERROR .*%s.*forbids HTTP.*(%s).*%s'
                         % (image_id, reason, cure))
        self.assertTellsNothing(error)

    def assertTellsNothing(self, error):
        """A tenant reads the error: nothing of the host is in there."""
        text = '%s %r' % (error, getattr(error, 'kwargs', ''))
        cluster = self.bed.cluster
        for secret in (cluster.nova.conf, cluster.dir, cluster.fsid,
                       cluster.mon_addr, self.nova.instances_path,
                       'python', '--', 'client.'):
            self.assertNotIn(secret, text)
        # Nor in what it was raised from: faults may show all of it.
        self.assertIsNone(error.__cause__)
        if not error.__suppress_context__:
            self.assertIsNone(error.__context__)


class ClusterFaultTestCase(FaultTestCase):
    """The cluster is not there, or is not the right one."""

    def conf_for(self, address):
        """A ceph.conf with a monitor at another address."""
        with open(self.bed.cluster.nova.conf) as f:
            lines = ['mon_host = %s\n' % address
                     if line.startswith('mon_host') else line for line in f]
        return self.write('ceph.conf', ''.join(lines))

    def test_nothing_listens(self):
        self.nova.set('glance', 'rbd_connect_timeout', 1)
        self.use(self.bed.cluster.nova, self.conf_for(
            '127.0.0.1:%d' % daemon.free_port()))
        self.assertFallsBack('no monitor .*answered within 1 s',
                             'monitors')

    def test_another_cluster(self):
        # It even has an image of that name, with something else in it.
        image_id, digest = self.common_image()
        other = self.useFixture(ceph_cluster.CephCluster())
        other.create_image(image_id, b'something else')
        self._before = self._traces()
        self.use(other.nova)
        self.assertFallsBack(
            'it is in another cluster, this node reads cluster %s'
            % other.fsid, 'rbd_ceph_conf', image_id,
            digest)
        self.assertEqual([], self.engine_starts())


class KeyFaultTestCase(FaultTestCase):
    """The cluster does not let us."""

    def test_wrong_key(self):
        keyring = self.write('keyring', '[client.nova]\nkey = %s\n'
                             % ceph_cluster.new_key())
        with open(self.bed.cluster.nova.conf) as f:
            conf = self.write('ceph.conf', f.read().replace(
                self.bed.cluster.nova.keyring, keyring))
        self.use(self.bed.cluster.nova, conf)
        self.assertFallsBack(
            'the cluster does not take the key for client.nova', '')

    def test_user_that_does_not_exist(self):
        self.nova.set('glance', 'rbd_user', 'nobody')
        self.assertFallsBack('client.nobody', '')

    def test_key_that_may_not_read_the_pool(self):
        self.use(self.bed.cluster.create_user(
            'elsewhere', osd='profile rbd-read-only pool=volumes'))
        self.assertFallsBack('this client may not read images/',
                             'profile rbd-read-only')

    def test_no_ceph_conf(self):
        self.nova.set('glance', 'rbd_ceph_conf', '/nowhere/ceph.conf')
        self.assertFallsBack('/nowhere/ceph.conf', '')


class PolicyFaultTestCase(FaultTestCase):
    """We do not let ourselves."""

    def test_pool_is_not_allowed(self):
        self.nova.set('glance', 'rbd_pool', 'volumes,backups')
        self.assertFallsBack(
            r'its pool is not in \[glance\]/rbd_pool \(backups, volumes\)',
            'add the pool')
        # Not even to ask for the cluster's name.
        self.assertEqual([], self.children_started())

    def test_image_of_another_name(self):
        data = base.noise(MiB)
        image_id = self.bed.glance.upload(data, store='fast')
        other = self.bed.glance.upload(b'secret', user='other')
        self.set_locations(image_id, [None, self.rbd_url(other)])
        self.assertFallsBack(
            'it is not %s@snap' % image_id,
            'who changed the locations', image_id, base.sha512(data))
        self.assertEqual([], self.children_started())

    def test_next_location(self):
        data = base.noise(MiB)
        image_id = self.bed.glance.upload(data)
        other = self.bed.glance.upload(b'secret', user='other')
        self.set_locations(image_id, [
            self.rbd_url(image_id, fsid='11111111-' + self.bed.cluster
                         .fsid[9:]),
            self.rbd_url(other), 'rbd://%2e%2e/x', None])
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, base.sha512(data))


class MissingTestCase(FaultTestCase):
    """What is to be read is not there."""

    def test_snapshot(self):
        data = base.noise(MiB)
        image_id = self.upload_to_both(data)
        with self.bed.cluster.image(image_id) as image:
            image.unprotect_snap('snap')
            image.remove_snap('snap')
        self.assertFallsBack('images/%s@snap' % image_id,
                             'still in the pool', image_id,
                             base.sha512(data))

    def test_image(self):
        data = base.noise(MiB)
        image_id = self.upload_to_both(data)
        self.bed.cluster.remove_image(image_id)
        self.assertFallsBack('images/%s@snap' % image_id,
                             'still in the pool', image_id,
                             base.sha512(data))

    def test_image_that_glance_has_not_either(self):
        image_id = self.bed.glance.upload(base.noise(MiB))
        self.bed.cluster.remove_image(image_id)
        self.assertRaises(Exception, self.fetch, image_id)
        self.assertFalse(os.path.exists(self.cache_path(image_id)))
        self.assertRegex(self.messages(logging.WARNING)[0],
                         'still in the pool')


class BindingsTestCase(FaultTestCase):
    """Nova's Python may lack the bindings of Ceph, or all may."""

    def setUp(self):
        super().setUp()
        # A virtual environment has what was installed into it, and no more.
        directory = self.useFixture(daemon.Directory()).path
        subprocess.run([sys.executable, '-m', 'venv', '--without-pip',
                        directory], check=True)
        self.bare = os.path.join(directory, 'bin', 'python')
        self.real = sys.executable

    def get(self, image_id):
        # The rest of a fetch would not run under such a Python.
        return self.download(image_id)

    def test_no_python_has_them(self):
        with mock.patch.object(sys, 'executable', self.bare), \
                mock.patch.object(export_python, 'SYSTEM_PYTHON',
                                  '/nowhere'), \
                mock.patch.object(export_python, 'binding_paths',
                                  return_value=()):
            self.assertFallsBack('no Python on this host has the Ceph '
                                 'bindings.*%s, /nowhere' % self.bare,
                                 'install the packages python3-rados')

    def test_another_python_has_them(self):
        image_id, digest = self.common_image()
        with mock.patch.object(sys, 'executable', self.bare), \
                mock.patch.object(export_python, 'SYSTEM_PYTHON', self.real):
            path = self.get(image_id)
        self.assertOverRBD(image_id, path, digest)
        (command,) = self.engine_starts()
        self.assertEqual(self.real, command[0])


class TargetTestCase(FaultTestCase):
    """The directory is the cause: HTTP is tried, and fails as upstream's."""

    def test_directory_that_is_not_there(self):
        self._test(os.path.join(self.nova.instances_path, 'no', 'where'))

    def test_directory_that_takes_no_file(self):
        # Not even from root.
        self._test('/proc/nova-image')

    def _test(self, path):
        image_id, _digest = self.common_image()
        self.assertRaises(
            FileNotFoundError, glance.API().download, self.context,
            image_id, dest_path=path)
        line = self.messages(logging.WARNING)[0]
        self.assertRegex(line, '^WARNING .*%s over HTTP.*%s'
                         % (image_id, os.path.dirname(path)))
