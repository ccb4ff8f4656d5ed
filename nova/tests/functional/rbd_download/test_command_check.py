# SPDX-License-Identifier: Apache-2.0

"""nova-image-download check, on a node in order and on ones that are not.

Each mistake is a real one, and has to be named in one line with its cure.
"""

import os
import re
import subprocess
import sys

from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import command
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import file_systems
from nova.tests.testbed import namespaces
from nova.tests.testbed import old_glance

MiB = base.MiB


class CheckTestCase(command.CommandTestCase):

    def setUp(self):
        super().setUp()
        self.nova.set('glance', 'rbd_connect_timeout', 2)
        self.image_id, self.digest = self.common_image()

    def use(self, user, conf=None):
        """Let Nova be another user of a cluster."""
        self.nova.set('glance', 'rbd_user', user.name)
        self.nova.set('glance', 'rbd_ceph_conf', conf or user.conf)

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, 'w') as f:
            f.write(text)
        return path

    def assertNames(self, topic, found, cure, *words, others=()):
        """The check names one problem and its cure, and nothing else.

        :param topic: of the problem
        :param found: regular expression for the evidence
        :param cure: regular expression for the cure
        :param others: topics of problems that it cannot but bring along
        """
        status, items = self.check(*words)
        self.assertEqual(1, status)
        problems = {name for name, entries in items.items()
                    if any(state == 'problem' for state, _, _ in entries)}
        self.assertEqual({topic} | set(others), problems, items)
        (entry,) = [entry for entry in items[topic] if entry[0] == 'problem']
        self.assertRegex(entry[1], found)
        self.assertRegex(entry[2], cure)
        # The reader of the table gets it in one line.
        _status, out, _err = self.give('check', *words)
        (line,) = [line for line in out.splitlines()
                   if line.startswith(topic + ' ') and ' problem ' in line]
        self.assertIn(entry[1], line)
        self.assertIn(entry[2], line)
        self.assertTellsNoSecret(out)
        return items

    def assertTellsNoSecret(self, text):
        self.assertNotIn(self.bed.keystone.password, text)
        with open(self.bed.cluster.nova.keyring) as f:
            self.assertNotIn(re.search('key = (.*)', f.read()).group(1), text)


class GoodTestCase(CheckTestCase):

    def test_image(self):
        status, items = self.check(self.image_id)
        self.assertEqual(0, status, items)
        self.assertEqual(
            {'ok'}, {state for entries in items.values()
                     for state, _, _ in entries}, items)
        for topic, evidence in (
            ('switch', 'True'), ('Ceph bindings', 'librbd 1'),
            ('ceph.conf', self.bed.cluster.nova.conf),
            ('keyring', self.bed.cluster.nova.keyring),
            ('cluster', self.bed.cluster.fsid), ('pools', 'images'),
            ('other pools', 'can write to none and read no other'),
            ('credentials', 'user nova in project service'),
            ('Glance', self.bed.glance.url), ('locations', 'locations API'),
            ('image', '24.0 MiB'), ('location', 'may be read'),
            ('integrity', 'sha512'), ('disk space', 'needs 24.0 MiB'),
            ('sample read', r'24.0 MiB in .* \(.*/s'),
        ):
            self.assertRegex(items[topic][0][1], evidence)
        # And that is what a boot meets.
        self.assertEqual(self.digest, base.sha512(self.fetch(self.image_id)))
        self.assertEqual(0, self.downloads(self.image_id))
        status, items = self.check(self.image_id)
        self.assertRegex(items['disk space'][0][1], 'has the image already')

    def test_without_image(self):
        # One that is elsewhere, and newer.
        self.bed.glance.upload(b'in a file', store='fast')
        status, items = self.check()
        self.assertEqual(0, status, items)
        self.assertEqual('ok', items['sample read'][0][0])

    def test_process(self):
        process = self.start('check', self.image_id)
        out, err = process.communicate(timeout=120)
        self.assertEqual(0, process.returncode, out + err)
        self.assertEqual('A boot on this node reads this image from RBD.',
                         out.splitlines()[-1])
        self.assertEqual([], self.lines(err))
        self.assertTellsNoSecret(out)

    def test_image_by_name(self):
        self.bed.glance.upload(b'x' * MiB, name='check-by-name')
        status, items = self.check('check-by-name')
        self.assertEqual(0, status, items)
        self.bed.glance.upload(b'x', name='check-by-name', store='fast')
        self.assertNames('locations', 'more than one image',
                         'name it by its id', 'check-by-name')

    def test_nothing_was_changed(self):
        before = self._objects()
        self.check(self.image_id)
        self.assertEqual(before, self._objects())

    def _objects(self):
        with self.bed.cluster.ioctx() as ioctx:
            return {(o.key, o.stat()) for o in ioctx.list_objects()}


class MisconfiguredTestCase(CheckTestCase):
    """The ten that are easily made."""

    def test_wrong_key(self):
        keyring = self.write('keyring', '[client.nova]\nkey = %s\n'
                             % ceph_cluster.new_key())
        with open(self.bed.cluster.nova.conf) as f:
            conf = self.write('ceph.conf', f.read().replace(
                self.bed.cluster.nova.keyring, keyring))
        self.use(self.bed.cluster.nova, conf)
        self.assertNames('cluster', 'not take the key for client.nova .*key '
                         'is wrong',
                         'output of "ceph auth get client.nova" in %s'
                         % keyring, self.image_id)

    def test_no_caps(self):
        user = self.bed.cluster.create_user('bare', osd='')
        self.use(user)
        self.assertNames(
            'pools', 'client.bare may not read pool images',
            "ceph auth caps client.bare mon 'allow r' osd 'profile "
            "rbd-read-only pool=images'", self.image_id)

    def test_no_caps_on_the_monitors_either(self):
        self.use(self.bed.cluster.create_user('barer', mon='', osd=''))
        self.assertNames('cluster', 'not take the key for client.barer',
                         "caps must be mon 'allow r' osd", self.image_id)

    def test_wrong_pool(self):
        self.nova.set('glance', 'rbd_pool', 'imagez')
        items = self.assertNames(
            'pools', 'no pool imagez', 'client.nova can read images',
            self.image_id)
        (location,) = items['location']
        self.assertEqual('not applicable', location[0])
        self.assertIn('(imagez)', location[1])

    def test_another_pool(self):
        self.bed.cluster.create_pool('volumes')
        self.use(self.bed.cluster.create_user(
            'everything', osd='profile rbd-read-only'))
        self.nova.set('glance', 'rbd_pool', 'volumes')
        items = self.assertNames(
            'location', 'its pool is not in .*volumes',
            r'set \[glance\]/rbd_pool = images', self.image_id)
        self.assertEqual('warning', items['other pools'][0][0])
        self.assertRegex(items['other pools'][0][1], 'can read images')

    def test_wrong_fsid(self):
        other = self.useFixture(ceph_cluster.CephCluster())
        self._before = self._traces()
        self.use(other.nova)
        self.assertNames('location', 'another cluster, this node reads '
                         'cluster %s' % other.fsid,
                         'point %s.* at the cluster %s'
                         % (other.nova.conf, self.bed.cluster.fsid),
                         self.image_id)

    def test_missing_bindings(self):
        self.useFixture(namespaces.MountNamespace())
        for python in ('/usr/bin/python3', sys.executable):
            path = subprocess.run(
                [python, '-c', 'import rados; print(rados.__file__)'],
                capture_output=True, text=True).stdout.strip()
            if path:
                namespaces.run('mount', '--bind', '/dev/null',
                               os.path.realpath(path))
        self._before = self._traces()
        self.assertNames('Ceph bindings', 'no Python on this host has the '
                         'Ceph bindings', 'packages python3-rados and '
                         'python3-rbd', self.image_id)

    def test_switch_off(self):
        self.nova.set('glance', 'enable_rbd_download', False)
        items = self.assertNames(
            'switch', 'enable_rbd_download is False',
            r'set \[glance\]/enable_rbd_download = True', self.image_id)
        # The rest is looked at all the same.
        self.assertEqual('ok', items['sample read'][0][0])

    def test_scheme_gate_shut(self):
        self.nova.set('glance', 'allowed_direct_url_schemes', [])
        self.assertNames('scheme gate', 'allowed_direct_url_schemes has no '
                         'rbd', 'set it to rbd', self.image_id)

    def test_full_disk(self):
        self.useFixture(file_systems.SmallDisk(self.nova.instances_path,
                                               8 * MiB))
        self._before = self._traces()
        self.assertNames('disk space', '8.0 MiB free, the image needs 24.0',
                         'free at least 16.0 MiB', self.image_id)

    def test_monitor_down(self):
        self.bed.cluster.mon.stop()
        self.assertNames('cluster', 'no monitor .*answered within 2 s.*'
                         'connection refused', 'ceph mon dump.*firewall',
                         self.image_id)

    def test_monitor_frozen(self):
        self.bed.cluster.mon.pause()
        self.assertNames('cluster', 'no monitor .*answered within 2 s',
                         'whether they run', self.image_id)


class ServiceRoleTestCase(CheckTestCase):
    """As in Glance 29 and 30: the service role and no other counts."""

    GLANCE_POLICIES = {'fetch_image_location': 'role:service'}

    def act_as(self, name, *roles):
        if name not in self.bed.keystone.user_ids:
            self.bed.keystone.create_user(name, 'service', roles)
        self.nova.set('service_user', 'username', name)

    def test_no_service_role(self):
        self.act_as('noservice', 'admin')
        items = self.assertNames(
            'locations', 'refuses user noservice.*403',
            'openstack role add --user noservice --project service service',
            self.image_id)
        self.assertEqual('warning', items['roles'][0][0])

    def test_no_role(self):
        self.act_as('norole', 'member')
        self.assertNames(
            'locations', 'shows no image', 'role admin', self.image_id)

    def test_no_credentials(self):
        self.nova.set('service_user', 'auth_type', None)
        self.assertNames('credentials', 'has no credentials',
                         'set auth_type, auth_url')

    def test_wrong_password(self):
        self.nova.set('service_user', 'password', 'wrong')
        self.assertNames('credentials', 'Keystone rejects',
                         'correct username, password')

    def test_glance_down(self):
        self.nova.set('glance', 'endpoint_override', 'http://127.0.0.1:1')
        self.assertNames('Glance', 'cannot use Glance',
                         'this node reaches')


class OldGlanceTestCase(CheckTestCase):

    def start_bed(self):
        bed = super().start_bed()
        self.old = self.useFixture(old_glance.OldGlance(bed.glance.url))
        return bed

    def setUp(self):
        super().setUp()
        self.nova.set('glance', 'endpoint_override', self.old.url)

    def test_locations_hidden(self):
        self.assertNames('locations', 'Glance has no locations API, and '
                         'Glance shows none', 'use Glance 29 or newer',
                         self.image_id)


class OldGlanceShowingTestCase(OldGlanceTestCase):

    GLANCE_CONFIG = {'DEFAULT': {'show_image_direct_url': True}}

    def test_locations_hidden(self):
        status, items = self.check(self.image_id)
        self.assertEqual(0, status, items)
        self.assertEqual('warning', items['locations'][0][0])
        self.assertRegex(items['locations'][0][1], 'OSSN-0090')
