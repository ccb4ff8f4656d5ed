# SPDX-License-Identifier: Apache-2.0

import os
from unittest import mock

import fixtures

from nova.cmd.image_download import check_item
from nova.cmd.image_download import cluster_checks
from nova.image import locations
from nova.storage import rbd_transfer
from nova import test

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'

IMAGE = {'id': '2ab5c1f0-1f4b-4e0c-9a53-6f2b3d9c8e71', 'size': 1 << 30}
URL = 'rbd://%s/images/%s/snap' % (FSID, IMAGE['id'])

FACTS = {
    'python': '/usr/bin/python3', 'python_version': '3.11.2',
    'client': 'client.nova', 'librbd': '1.16.0', 'fsid': FSID,
    'release': 'ceph version 16.2.15', 'mon_host': '127.0.0.1:6789',
    'keyrings': [{'path': '/etc/ceph/k', 'state': 'ok'}],
    'pools': [{'pool': 'images', 'read': 'yes', 'write': 'no'}],
    'all_pools': True,
}


def facts(**changes):
    return {**FACTS, **changes}


def pool(name, read='yes', write='no'):
    return {'pool': name, 'read': read, 'write': write}


class AddressesTestCase(test.NoDBTestCase):

    def _test(self, mon_host, expected):
        self.assertEqual(expected, cluster_checks._addresses(mon_host))

    def test_none(self):
        self._test('', [])

    def test_hosts_without_ports(self):
        self._test('mon1, mon2', [('mon1', 3300), ('mon1', 6789),
                                  ('mon2', 3300), ('mon2', 6789)])

    def test_both_protocols(self):
        self._test('[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0] '
                   '[v2:10.0.0.2:3300/0,v1:10.0.0.2:6789/0]',
                   [('10.0.0.1', 3300), ('10.0.0.1', 6789),
                    ('10.0.0.2', 3300), ('10.0.0.2', 6789)])

    def test_ipv6(self):
        self._test('[v2:[fd00::1]:3300,v1:[fd00::1]:6789]',
                   [('fd00::1', 3300), ('fd00::1', 6789)])


class ClusterTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.flags(rbd_pool='images', group='glance')

    def _survey(self, answer):
        with mock.patch.object(rbd_transfer, 'survey',
                               side_effect=[answer]) as survey:
            result, items = cluster_checks.survey(
                rbd_transfer.Cluster(conf='/dev/null'))
        self.assertEqual(['images'], survey.call_args[0][1])
        return result, {item.topic: item for item in items}

    def _states(self, items):
        return {topic: item.state for topic, item in items.items()}

    def test_good(self):
        result, items = self._survey(FACTS)
        self.assertEqual(FSID, result['fsid'])
        self.assertEqual({'ok'}, set(self._states(items).values()), items)

    def test_no_bindings(self):
        _result, items = self._survey(rbd_transfer.TransferError(
            'bindings', 'no Python has them'))
        self.assertEqual('no Python has them', items['Ceph bindings'].found)
        self.assertIn('python3-rados', items['Ceph bindings'].remedy)
        self.assertEqual(check_item.PROBLEM,
                         items['Ceph bindings'].state)
        for topic in ('keyring', 'cluster', 'pools', 'other pools'):
            self.assertEqual(check_item.NOT_APPLICABLE,
                             items[topic].state)

    def test_engine_that_does_not_run(self):
        _result, items = self._survey(rbd_transfer.TransferError(
            'unexpected', 'it crashed'))
        self.assertIn('it crashed', items['Ceph bindings'].found)

    def test_missing_key_is_named_once(self):
        known = {key: value for key, value in FACTS.items()
                 if key not in ('fsid', 'pools')}
        known['keyrings'] = [{'path': '/k', 'state': 'missing'}]
        _result, items = self._survey(rbd_transfer.TransferError(
            'no_key', 'there is no key', facts=known))
        self.assertEqual({'Ceph bindings': 'ok', 'ceph.conf': 'ok',
                          'keyring': 'problem', 'cluster': 'not applicable',
                          'pools': 'not applicable',
                          'other pools': 'not applicable'},
                         self._states(items))

    def test_engine_that_cannot_be_read(self):
        directory = self.useFixture(fixtures.TempDir()).path
        path = os.path.join(directory, 'a.py')
        open(path, 'w').close()
        with mock.patch.object(cluster_checks, '_engine_directory',
                               return_value=directory):
            self.assertEqual('', cluster_checks._unreadable_engine())
            with mock.patch('os.access', return_value=False):
                _result, items = self._survey(rbd_transfer.TransferError(
                    'unexpected', 'it crashed'))
            self.assertIn('cannot read %s' % path,
                          items['Ceph bindings'].found)
            self.assertIn('chmod -R a+rX', items['Ceph bindings'].remedy)

    def test_nothing_was_found_out_before_the_cluster_failed(self):
        _result, items = self._survey(rbd_transfer.TransferError(
            'name_resolution', 'no name server answers'))
        self.assertEqual('ok', items['Ceph bindings'].state)
        self.assertEqual('problem', items['cluster'].state)

    def test_rights_that_could_not_be_found_out(self):
        item = cluster_checks._other_pools(
            facts(pools=[pool('images', write='timeout')]), ['images'])
        self.assertEqual('warning', item.state)
        self.assertIn('could not be found out', item.found)

    def test_monitors_are_tried_one_by_one(self):
        failure = rbd_transfer.TransferError('connect', 'nobody answers')
        with mock.patch('socket.create_connection', side_effect=[
                mock.Mock(), TimeoutError(),
                ConnectionRefusedError(111, 'Connection refused')]):
            item = cluster_checks._connection(
                facts(fsid=None, mon_host='a:1,b:2,c:3'), failure, True)
        self.assertEqual(
            'nobody answers (a port 1: accepts connections; b port 2: does '
            'not answer; c port 3: connection refused)', item.found)

    def test_pool_is_missing(self):
        item = cluster_checks._pools(facts(pools=[
            pool('imagez', 'missing', 'missing'), pool('images'),
            pool('hidden', 'no')]), ['imagez'])
        self.assertIn('no pool imagez', item.found)
        self.assertIn('client.nova can read images)', item.remedy)

    def test_pool_is_refused(self):
        item = cluster_checks._pools(
            facts(pools=[pool('a'), pool('b', 'no')]), ['a', 'b'])
        self.assertIn('may not read pool b', item.found)
        self.assertIn("osd 'profile rbd-read-only pool=a, profile "
                      "rbd-read-only pool=b'", item.remedy)

    def test_pool_does_not_answer(self):
        item = cluster_checks._pools(
            facts(pools=[pool('a', 'timeout', 'timeout')]), ['a'])
        self.assertEqual('problem', item.state)
        self.assertIn('ceph health detail', item.remedy)

    def test_any_pool(self):
        item = cluster_checks._pools(FACTS, [])
        self.assertEqual('warning', item.state)
        item = cluster_checks._pools(facts(pools=[pool('a', 'no')]), [])
        self.assertEqual('problem', item.state)

    def test_key_that_can_do_more(self):
        item = cluster_checks._other_pools(facts(pools=[
            pool('images', write='yes'), *[
                pool('p%d' % number) for number in range(7)]]), ['images'])
        self.assertEqual('warning', item.state)
        self.assertIn('can write to images and can read p0, p1, p2, p3, p4 '
                      'and 2 more', item.found)

    def test_pool_that_is_misspelt(self):
        item = cluster_checks._other_pools(facts(pools=[
            pool('imagez', 'missing', 'missing'), pool('images')]),
            ['imagez'])
        self.assertEqual('ok', item.state)


class SampleTestCase(test.NoDBTestCase):

    def test_sample(self):
        location = locations.parse_rbd_url(URL)
        good = {'size': 1 << 30, 'data_bytes': None, 'bytes': 1 << 26,
                'seconds': 0.5, 'reads': 8}
        for sample, state, found in (
            (good, 'ok', r'64.0 MiB in 0.50 s \(128.0 MiB/s'),
            (dict(good, size=1), 'problem', '1 bytes in RBD and 10'),
            ({'code': 'permission', 'message': 'no'}, 'problem', 'no'),
        ):
            item = cluster_checks.judge_sample(IMAGE, location, sample,
                                               FACTS)
            self.assertEqual(state, item.state)
            self.assertRegex(item.found, found)
        self.assertIn('ceph auth caps client.nova', item.remedy)

    def test_pool_that_may_not_be_read_is_no_problem_of_its_own(self):
        self.flags(rbd_pool='images', group='glance')
        refused = facts(pools=[
            {'pool': 'images', 'read': 'no', 'write': 'no'}])
        item = cluster_checks.judge_sample(
            IMAGE, locations.parse_rbd_url(URL),
            {'code': 'permission', 'message': 'no'}, refused)
        self.assertEqual('not applicable', item.state)
        self.flags(rbd_pool='', group='glance')
        item = cluster_checks.judge_sample(
            IMAGE, locations.parse_rbd_url(URL),
            {'code': 'permission', 'message': 'no'}, refused)
        self.assertEqual('problem', item.state)
