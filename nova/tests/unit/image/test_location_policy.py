# SPDX-License-Identifier: Apache-2.0

from unittest import mock

import hypothesis
from hypothesis import strategies
from oslo_utils.fixture import uuidsentinel as uuids

from nova.image import location_policy
from nova.image import locations
from nova import test

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'
OTHER_FSID = '0b6f1f0c-95a5-4d3e-8a53-8d6f0e7b2a11'
IMAGE = uuids.image
GOOD = 'rbd://%s/images/%s/snap' % (FSID, IMAGE)

# What somebody who may write locations could try, with rbd_pool=images.
HOSTILE = {
    'volumes': 'rbd://%s/volumes/volume-%s/snap' % (FSID, uuids.volume),
    'same name in volumes': 'rbd://%s/volumes/%s/snap' % (FSID, IMAGE),
    'vms': 'rbd://%s/vms/%s_disk/snap' % (FSID, uuids.server),
    'namespace of the pool': 'rbd://%s/images%%2Fother/%s/snap' % (
        FSID, IMAGE),
    'pool in capitals': 'rbd://%s/IMAGES/%s/snap' % (FSID, IMAGE),
    'space after the pool': 'rbd://%s/images%%20/%s/snap' % (FSID, IMAGE),
    'list of pools': 'rbd://%s/images,volumes/%s/snap' % (FSID, IMAGE),
    'another image': 'rbd://%s/images/%s/snap' % (FSID, uuids.other),
    'image in capitals': 'rbd://%s/images/%s/snap' % (FSID, IMAGE.upper()),
    'image without hyphens': 'rbd://%s/images/%s/snap' % (
        FSID, IMAGE.replace('-', '')),
    'path to the image': 'rbd://%s/images/x%%2F..%%2F%s/snap' % (FSID, IMAGE),
    'pool before the image': 'rbd://%s/images/volumes%%2F%s/snap' % (
        FSID, IMAGE),
    'snapshot after the image': 'rbd://%s/images/%s%%40snap/snap' % (
        FSID, IMAGE),
    'double quoting': 'rbd://%s/images/%s/%%2573nap' % (FSID, IMAGE),
    'another snapshot': 'rbd://%s/images/%s/backup' % (FSID, IMAGE),
    'no snapshot': 'rbd://%s/images/%s/-' % (FSID, IMAGE),
    'parent directory': 'rbd://%s/images/../%s/snap' % (FSID, IMAGE),
    'parent as the image': 'rbd://%s/images/../snap' % FSID,
    'parent as the pool': 'rbd://%s/%%2e%%2e/%s/snap' % (FSID, IMAGE),
    'empty pool': 'rbd://%s//%s/snap' % (FSID, IMAGE),
    'empty image': 'rbd://%s/images//snap' % FSID,
    'empty snapshot': 'rbd://%s/images/%s/' % (FSID, IMAGE),
    'empty cluster': 'rbd:///images/%s/snap' % IMAGE,
    'five parts': 'rbd://%s/images/%s/snap/more' % (FSID, IMAGE),
    'three parts': 'rbd://%s/images/%s' % (FSID, IMAGE),
    'one part': 'rbd://%s' % IMAGE,
    'newline': 'rbd://%s/images/%s/snap%%0Asnap' % (FSID, IMAGE),
    'newline at the end': GOOD + '\n',
    'NUL': 'rbd://%s/images/%s%%00/snap' % (FSID, IMAGE),
    'option as the image': 'rbd://%s/images/--conf=%%2Ftmp%%2Fconf/snap'
                           % FSID,
    'option as the pool': 'rbd://%s/--pool=images/%s/snap' % (FSID, IMAGE),
    'option as the snapshot': 'rbd://%s/images/%s/--id=admin' % (FSID, IMAGE),
    '10 kB': 'rbd://%s/images/%s/snap%s' % (FSID, IMAGE, '%20' * 3400),
    'IPv6 address': 'rbd://[::1]/images/%s/snap' % IMAGE,
    'half an IPv6 address': 'rbd://[/images/%s/snap' % IMAGE,
    'host and port': 'rbd://mon.example.com:6789/images/%s/snap' % IMAGE,
    'user': 'rbd://admin@%s/images/%s/snap' % (FSID, IMAGE),
    'query': GOOD + '?conf=/tmp/conf',
    'fragment': GOOD + '#x',
    'terminal escape': GOOD + '\x1b[2J',
    'a file': 'file:///etc/passwd',
    'HTTP': 'http://169.254.169.254/images/%s/snap' % IMAGE,
}

# Why a hostile location is refused.
CODES = ('location_malformed', 'location_refused', 'pool_not_allowed')


class JudgeTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.fsid = mock.Mock(return_value=FSID)

    def _judge(self, *urls):
        return location_policy.judge(urls, IMAGE, self.fsid)

    def _refusal(self, url):
        verdict = self._judge(url)
        self.assertEqual((), verdict.candidates)
        refusal, = verdict.refusals
        return refusal

    def test_good(self):
        verdict = self._judge(GOOD)
        self.assertEqual(
            (locations.RBDLocation(FSID, 'images', IMAGE, 'snap'),),
            verdict.candidates)
        self.assertEqual((), verdict.refusals)

    def test_hostile(self):
        self.flags(rbd_pool='images', group='glance')
        for what, url in HOSTILE.items():
            refusal = self._refusal(url)
            self.assertIn(refusal.error.code, CODES, what)
            self.assertTrue(str(refusal).isprintable(), what)
            self.assertLess(len(str(refusal)), 400, what)
        # Nothing was asked of the cluster because of them.
        self.fsid.assert_not_called()

    def test_hostile_beside_a_good_one(self):
        self.flags(rbd_pool='images', group='glance')
        verdict = self._judge(*HOSTILE.values(), GOOD)
        self.assertEqual(
            (locations.RBDLocation(FSID, 'images', IMAGE, 'snap'),),
            verdict.candidates)
        self.assertEqual(len(HOSTILE), len(verdict.refusals))

    def test_another_cluster(self):
        refusal = self._refusal(GOOD.replace(FSID, OTHER_FSID))
        self.assertEqual('wrong_cluster', refusal.error.code)
        self.assertIn(FSID, str(refusal.error))
        self.assertIn(OTHER_FSID, refusal.url)

    def test_cluster_is_asked_once(self):
        self._judge(GOOD, GOOD.replace('images', 'more'))
        self.fsid.assert_called_once_with()

    def test_nothing_to_judge(self):
        self.assertEqual(location_policy.Verdict((), ()), self._judge())
        self.fsid.assert_not_called()

    def test_failure_of_the_cluster_is_passed_on(self):
        self.fsid.side_effect = ZeroDivisionError
        self.assertRaises(ZeroDivisionError, self._judge, GOOD)

    def test_order_is_glances_and_each_comes_once(self):
        pools = ['c', 'a', 'b', 'a', 'c']
        verdict = self._judge(*(GOOD.replace('images', pool)
                                for pool in pools))
        self.assertEqual(['c', 'a', 'b'],
                         [found.pool for found in verdict.candidates])

    def test_a_thousand_locations(self):
        verdict = self._judge(*(GOOD.replace('images', 'pool%d' % number)
                                for number in range(1000)))
        self.assertEqual(
            ['pool%d' % number for number in range(8)],
            [found.pool for found in verdict.candidates])
        self.assertEqual(992, len(verdict.refusals))
        self.assertIn('comes after 8 others', str(verdict.refusals[0].error))

    def test_no_allow_list_of_pools(self):
        verdict = self._judge(GOOD.replace('images', 'any'))
        self.assertEqual('any', verdict.candidates[0].pool)

    def test_several_pools(self):
        self.flags(rbd_pool=' images , edge,', group='glance')
        self.assertEqual({'images', 'edge'}, location_policy.allowed_pools())
        verdict = self._judge(GOOD, GOOD.replace('images', 'edge'),
                              GOOD.replace('images', 'vms'))
        self.assertEqual(['images', 'edge'],
                         [found.pool for found in verdict.candidates])
        self.assertIn('not in [glance]/rbd_pool (edge, images)',
                      str(verdict.refusals[0].error))

    def test_any_name_if_the_deployer_wants_it(self):
        self.flags(rbd_download_require_image_id=False, rbd_pool='images',
                   group='glance')
        verdict = self._judge('rbd://%s/images/golden/v1' % FSID,
                              'rbd://%s/vms/golden/v1' % FSID,
                              'rbd://%s/images/--golden/v1' % FSID)
        self.assertEqual(
            (locations.RBDLocation(FSID, 'images', 'golden', 'v1'),),
            verdict.candidates)

    def test_url_in_a_refusal_is_fit_for_a_log(self):
        refusal = self._refusal('rbd://\x1b]0;\n\u202e' + 'a' * 5000)
        self.assertTrue(refusal.url.isprintable())
        self.assertLess(len(refusal.url), 150)
        self.assertIn('?', refusal.url)
        self.assertTrue(refusal.url.endswith('...'))


parts = strategies.one_of(
    strategies.sampled_from([FSID, FSID.upper(), OTHER_FSID, 'images',
                             'volumes', IMAGE, IMAGE.upper(), 'snap', 'backup',
                             '', '..', '%2F', '%00', '%0A', '%2e%2e', '-c']),
    strategies.text(strategies.integers(0, 0x10ffff).map(chr), max_size=20))
urls = strategies.one_of(
    strategies.builds(
        '{}{}/{}/{}/{}'.format,
        strategies.sampled_from(['rbd://', 'rbd:/', 'RBD://', 'file://', '']),
        parts, parts, parts, parts),
    strategies.lists(parts, max_size=6).map(
        lambda found: locations.RBD_PREFIX + '/'.join(found)),
    strategies.sampled_from([GOOD, *HOSTILE.values()]))


class JudgePropertyTest(test.NoDBTestCase):

    @hypothesis.settings(derandomize=True, deadline=None, database=None,
                         max_examples=100)
    @hypothesis.given(strategies.lists(urls, max_size=5))
    def test_only_what_is_allowed_passes(self, given):
        self.flags(rbd_pool='images', group='glance')
        fsid = mock.Mock(return_value=FSID)
        verdict = location_policy.judge(given, IMAGE, fsid)
        for found in verdict.candidates:
            self.assertEqual(
                locations.RBDLocation(FSID, 'images', IMAGE, 'snap'), found)
        for refusal in verdict.refusals:
            self.assertTrue(str(refusal).isprintable())
        if not fsid.called:
            self.assertEqual((), verdict.candidates)
            self.assertEqual(len(given), len(verdict.refusals))
