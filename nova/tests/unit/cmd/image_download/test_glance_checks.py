# SPDX-License-Identifier: Apache-2.0

from unittest import mock

from nova.cmd.image_download import glance_checks
from nova.cmd.image_download import image_names
from nova.cmd.image_download import service_user
from nova.image import location_policy
from nova.image import locations
from nova.storage import rbd_transfer
from nova import test
from nova.tests.unit.cmd.image_download import test_cluster_checks

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'
IMAGE = '2ab5c1f0-1f4b-4e0c-9a53-6f2b3d9c8e71'
URL = 'rbd://%s/images/%s/snap' % (FSID, IMAGE)

FACTS = test_cluster_checks.FACTS
facts = test_cluster_checks.facts


def told_by(code):
    return locations.Locations((), rbd_transfer.TransferError(code, 'why'))


class GlanceTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.identity = service_user.Identity('nova', 'service',
                                              ('admin', 'service'))
        self.image = {'id': IMAGE, 'name': 'x', 'status': 'active',
                      'locations': []}
        self.told = [locations.Locations((URL,))]
        self.newest = (IMAGE,)

    def _items(self, wanted=IMAGE):
        service = mock.Mock()
        service._client.api_server = 'http://glance'
        patches = {'context': mock.Mock(),
                   'identity': mock.Mock(return_value=self.identity),
                   'service': mock.Mock(return_value=service),
                   'newest': mock.Mock(return_value=self.newest),
                   }
        glance = glance_checks.Glance(wanted)
        with mock.patch.multiple(service_user, **patches), \
                mock.patch.object(image_names, 'show',
                                  return_value=self.image), \
                mock.patch.object(locations, 'find',
                                  side_effect=self.told) as find:
            items = {item.topic: item for item in glance.items()}
        for call in find.call_args_list:
            self.assertIs(self.image, call[0][2])
        return glance, items

    def test_told(self):
        glance, items = self._items()
        self.assertEqual({'ok'}, {item.state for item in items.values()})
        self.assertEqual((URL,), glance.urls)

    def test_refused(self):
        self.identity = service_user.Identity('nova', 'service', ('member',))
        self.told = [told_by('locations_refused')]
        _glance, items = self._items()
        self.assertEqual('warning', items['roles'].state)
        self.assertEqual('problem', items['locations'].state)
        self.assertEqual(
            '"openstack role add --user nova --project service service" and '
            '"openstack role add --user nova --project service admin"',
            items['locations'].remedy)

    def test_shown_to_users(self):
        self.told = [locations.Locations(
            (URL,), told_by('no_locations_api').error)]
        glance, items = self._items()
        self.assertEqual('warning', items['locations'].state)
        self.assertIn('OSSN-0090', items['locations'].found)
        self.assertEqual((URL,), glance.urls)

    def test_hidden(self):
        self.told = [told_by('no_locations_api')]
        _glance, items = self._items()
        self.assertEqual('problem', items['locations'].state)
        self.assertIn('use Glance 29 or newer', items['locations'].remedy)

    def test_any_image_in_rbd(self):
        self.newest = ('1', '2', '3')
        self.told = [locations.Locations(('file:///a',)),
                     locations.Locations((URL,))]
        glance, items = self._items(wanted=None)
        self.assertEqual((URL,), glance.urls)

    def test_no_image(self):
        self.newest = ()
        glance, items = self._items(wanted=None)
        self.assertIsNone(glance.image)
        self.assertEqual('problem', items['locations'].state)

    def test_no_credentials(self):
        glance = glance_checks.Glance(None)
        with mock.patch.object(
                service_user, 'context',
                side_effect=service_user.OperatorError('none', 'some')):
            items = list(glance.items())
        self.assertEqual(
            [('credentials', 'problem'), ('roles', 'not applicable'),
             ('Glance', 'not applicable'), ('locations', 'not applicable')],
            [(item.topic, item.state) for item in items])


class ImageTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.flags(rbd_pool='images', group='glance')
        self.cluster = rbd_transfer.Cluster(conf='/etc/ceph/ceph.conf')
        self.image = {'id': IMAGE, 'size': 1 << 30, 'disk_format': 'raw',
                      'container_format': 'bare', 'status': 'active'}

    def _locations(self, *urls, known=FACTS):
        return glance_checks.location_items(self.image, urls, known,
                                            self.cluster)

    def test_good(self):
        location, (item,) = self._locations(URL)
        self.assertEqual(IMAGE, location.image)
        self.assertEqual('ok', item.state)

    def test_elsewhere(self):
        location, (item,) = self._locations('file:///a', 'swift+https://b')
        self.assertIsNone(location)
        self.assertIn('in file, swift+https', item.found)

    def test_one_of_two_is_bad(self):
        location, items = self._locations(URL.replace('images', 'volumes'),
                                          URL)
        self.assertEqual('images', location.pool)
        self.assertEqual(['ok', 'warning'], [item.state for item in items])
        self.assertIn('rbd_pool = volumes', items[1].remedy)

    def test_what_follows_from_the_pools_is_no_problem_of_its_own(self):
        self.flags(rbd_pool='imagez', group='glance')
        wrong = [{'pool': 'imagez', 'read': 'missing', 'write': 'missing'}]
        _location, (item,) = self._locations(URL, known=facts(pools=wrong))
        self.assertEqual(('not applicable', ''), (item.state, item.remedy))
        # The pool is there, only not that of Glance.
        wrong[0]['read'] = 'yes'
        _location, (item,) = self._locations(URL, known=facts(pools=wrong))
        self.assertEqual('problem', item.state)
        self.assertIn('rbd_pool = images', item.remedy)

    def test_another_cluster(self):
        location, (item,) = self._locations(
            URL, known=facts(fsid=FSID.replace('5a', '6a')))
        self.assertIsNone(location)
        self.assertEqual('problem', item.state)
        self.assertRegex(item.remedy, 'ceph.conf, .* cluster %s' % FSID)

    def test_without_cluster(self):
        location, (item,) = self._locations(URL, known={})
        self.assertIsNone(location)
        self.assertEqual('not applicable', item.state)

    def test_made_by_hand(self):
        _location, (item,) = self._locations(URL.replace('/snap', '/mine'))
        self.assertIn('rbd_download_require_image_id = False', item.remedy)

    def test_malformed(self):
        _location, (item,) = self._locations('rbd://x')
        self.assertIn('upload it anew', item.remedy)

    def test_refusals_of_the_policy_are_the_real_ones(self):
        with mock.patch.object(location_policy, 'judge', wraps=location_policy
                               .judge) as judge:
            self._locations(URL)
        judge.assert_called_once()

    def test_status_and_format(self):
        self.assertEqual('ok', glance_checks.image_item(self.image).state)
        self.image['disk_format'] = 'qcow2'
        self.assertEqual('warning', glance_checks.image_item(self.image).state)
        self.image['status'] = 'deactivated'
        self.assertEqual('problem', glance_checks.image_item(self.image).state)

    def test_integrity(self):
        item = glance_checks.integrity(
            dict(self.image, os_hash_algo='sha512', os_hash_value='0'))
        self.assertEqual(('ok', 'copies are verified by sha512'),
                         (item.state, item.found))
        item = glance_checks.integrity(dict(self.image, checksum='0'))
        self.assertIn('md5', item.found)
        self.assertEqual('warning',
                         glance_checks.integrity(self.image).state)
        self.flags(rbd_download_verify_hash=False, group='glance')
        item = glance_checks.integrity(dict(self.image, checksum='0'))
        self.assertEqual('warning', item.state)
