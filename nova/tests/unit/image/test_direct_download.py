# SPDX-License-Identifier: Apache-2.0

"""Tests of the gates, the order of locations, and the fallback."""

from unittest import mock

import glanceclient.exc
from oslo_utils.fixture import uuidsentinel as uuids

from nova import exception
from nova.image import direct_download
from nova.image import lock_wait
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer
from nova.storage import watching
from nova.tests.unit.image import download_case
from nova.tests.unit.image import test_location_policy

CONTENT = download_case.CONTENT
FSID = download_case.FSID
IMAGE = download_case.IMAGE
MD5 = download_case.MD5
SHA512 = download_case.SHA512
url = download_case.url


def remedy(code):
    return '. To fix this, %s.' % errors.CAUSES[code].remedy


class GatesTest(download_case.DownloadTestCase):

    def _assert_untouched(self):
        self._assert_http()
        self.assertEqual(['data'], self.glance.calls)
        self.assertEqual([], self.exports)
        self.assertEqual([], self._told())

    def test_both_open(self):
        self.assertTrue(direct_download.enabled())
        self._assert_rbd()

    def test_switch_is_off(self):
        self.flags(enable_rbd_download=False, group='glance')
        self.assertFalse(direct_download.enabled())
        self._assert_untouched()

    def test_scheme_is_not_allowed(self):
        self.flags(allowed_direct_url_schemes=[], group='glance')
        self.assertFalse(direct_download.enabled())
        self._assert_untouched()

    def test_schemes_of_another_time(self):
        self.flags(allowed_direct_url_schemes=['file'], group='glance')
        direct_download._warn_of_schemes.cache_clear()
        for _ in range(2):
            self.glance.calls.clear()
            self._assert_http()
        (level, line), = self._told()
        self.assertEqual('WARNING', level)
        self.assertIn('are ignored: file. To fix this, set it to rbd', line)
        self.glance.calls.clear()
        self.flags(allowed_direct_url_schemes=['file', 'rbd'], group='glance')
        self._assert_rbd()

    def test_gates_off_while_fallback_is_forbidden(self):
        # There is nothing to fall back from.
        self.flags(allowed_direct_url_schemes=[],
                   rbd_download_fallback=False, group='glance')
        self._assert_untouched()

    def test_data_without_a_path(self):
        self.assertFalse(direct_download.download(
            self.service, self.context, IMAGE, None))
        self.assertEqual([], self.glance.calls)

    def test_images_that_are_not_active(self):
        for status in ('queued', 'saving', 'deactivated', 'killed', 'deleted',
                       'pending_delete', 'importing', 'uploading', None):
            self.glance.image['status'] = status
            self.assertFalse(direct_download.download(
                self.service, self.context, IMAGE, self.path))
        self.assertEqual([], self.exports)
        self.fsid.assert_not_called()
        self.assertEqual({'get'}, set(self.glance.calls))

    def test_images_that_the_user_may_not_see(self):
        for answer, expected in (
                (glanceclient.exc.HTTPNotFound(), exception.ImageNotFound),
                (glanceclient.exc.HTTPForbidden(),
                 exception.ImageNotAuthorized)):
            self.glance.image = answer
            self.assertRaises(expected, self._download)
        self.glance.image = download_case.FakeGlance().image
        self.glance.image.deleted = True
        self.assertRaises(exception.ImageNotFound, self._download)
        self.assertEqual({'get'}, set(self.glance.calls))
        self.assertEqual([], self.exports)


class LocationsTest(download_case.DownloadTestCase):

    def test_with_service_credentials(self):
        self._assert_rbd()
        self.assertEqual(['get', 'get_image_locations'], self.glance.calls)

    def test_what_users_see_does_not_count_then(self):
        self.glance.image['locations'] = [{'url': url('volumes'),
                                           'metadata': {}}]
        self._assert_rbd()
        self.assertEqual('images', self.exports[0][0].pool)

    def test_what_users_see_with_an_older_glance(self):
        self.glance.locations = glanceclient.exc.HTTPNotImplemented()
        self.glance.image['locations'] = [{'url': url(), 'metadata': {}}]
        self._assert_rbd()

    def test_direct_url_with_an_older_glance(self):
        self.glance.locations = glanceclient.exc.HTTPNotImplemented()
        self.glance.image['direct_url'] = url()
        self._assert_rbd()

    def test_order(self):
        self.glance.locations = [url('far'), url('near'), url('images')]
        self.pools.update(
            far=rbd_transfer.TransferError('not_found', 'is not there'),
            near=rbd_transfer.TransferError('wrong_digest', 'is damaged'))
        self._assert_rbd()
        self.assertEqual(['far', 'near', 'images'],
                         [export[0].pool for export in self.exports])

    def test_bad_locations_are_told_of_even_if_one_is_good(self):
        self.glance.locations = [url('far'), url('images')]
        self.pools['far'] = rbd_transfer.TransferError('wrong_digest',
                                                       'is damaged')
        self._assert_rbd()
        (_level, line), = self._told('WARNING')
        self.assertIn('Skipped a bad location of image %s: RBD image '
                      'far/%s@snap: is damaged.' % (IMAGE, IMAGE), line)
        self.assertTrue(line.endswith(remedy('wrong_digest')), line)

    def test_another_store(self):
        self.glance.locations = ['file:///var/lib/glance/images/x']
        self._assert_http()
        (level, line), = self._told()
        self.assertEqual('INFO', level)
        self.assertIn('does not keep it in RBD', line)
        self.fsid.assert_not_called()

    def test_another_store_first(self):
        self.glance.locations = ['file:///images/x', url()]
        self._assert_rbd()

    def test_hidden(self):
        self.glance.locations = glanceclient.exc.HTTPForbidden()
        self._assert_http()
        (level, line), = self._told()
        self.assertEqual('WARNING', level)
        self.assertTrue(line.endswith(
            'Glance returned no locations (HTTP 403)' +
            remedy('locations_refused')), line)

    def test_none(self):
        self.glance.locations = []
        self._assert_http()
        (level, line), = self._told()
        self.assertEqual('WARNING', level)
        self.assertTrue(line.endswith(
            'Glance has no location of it' + remedy('no_location')), line)

    def test_image_by_the_url_of_another_server(self):
        self.glance.client = mock.Mock()
        self.glance.image['locations'] = [{'url': url(), 'metadata': {}}]
        self._assert_http()
        self.assertEqual([], self.exports)
        self.assertIn('refer to the image by its id', self._told()[0][1])

    def test_hostile(self):
        self.flags(rbd_pool='images', group='glance')
        for what, hostile in test_location_policy.HOSTILE.items():
            self.glance.locations = [hostile]
            self._assert_http()
            self.glance.calls.clear()
        self.assertEqual([], self.exports)
        self.fsid.assert_not_called()
        told = self._told()
        self.assertEqual(len(test_location_policy.HOSTILE), len(told))
        for _level, line in told:
            self.assertTrue(line.isprintable())
            self.assertLess(len(line), 800)

    def test_a_thousand_hostile(self):
        self.flags(rbd_pool='images', group='glance')
        self.glance.locations = [
            url('pool%d' % number) for number in range(1000)]
        self._assert_http()
        self.assertEqual([], self.exports)
        (_level, line), = self._told()
        self.assertLess(len(line), 2000)
        self.assertEqual(3, line.count(' is not in [glance]/rbd_pool'))
        self.assertTrue(line.endswith(remedy('pool_not_allowed')), line)

    def test_another_cluster(self):
        self.glance.locations = [url().replace(FSID, uuids.other)]
        self._assert_http()
        self.assertEqual([], self.exports)
        self.assertIn('in another cluster', self._told('WARNING')[0][1])

    def test_cluster_cannot_be_asked(self):
        self.fsid.side_effect = rbd_transfer.TransferError(
            'connect', 'no monitor answers')
        self._assert_http()
        (level, line), = self._told()
        self.assertEqual('WARNING', level)
        self.assertIn('no monitor answers', line)
        self.assertTrue(line.endswith(remedy('connect')), line)


class TransferTest(download_case.DownloadTestCase):

    # Codes after which another location, or HTTP, may be better.
    CODES = ('unexpected', 'bad_arguments', 'not_found', 'permission',
             'connect', 'wrong_size', 'wrong_digest', 'bindings',
             'wrong_cluster', 'read', 'parent_died', 'not_writable',
             'no_conf')

    def _fail_with(self, code):
        self.pools['images'] = rbd_transfer.TransferError(
            code, 'the cause of it at %s' % self.path)

    def test_what_is_asked_of_the_engine(self):
        self._assert_rbd()
        self.assertEqual(
            [(rbd_transfer.Source('images', IMAGE, 'snap'), self.path,
              len(CONTENT), 'sha512:' + SHA512, FSID)], self.exports)

    def _asked(self, **image):
        self.glance.image.update(image)
        self._assert_rbd()
        return self.exports[-1][2:4]

    def test_md5_where_there_is_no_multihash(self):
        self.assertEqual(
            (len(CONTENT), 'md5:' + MD5),
            self._asked(os_hash_algo=None, os_hash_value=None))
        self.assertIn('verified by md5', self._told()[-1][1])

    def test_hash_of_an_unknown_kind(self):
        # A weaker one is no substitute.
        self.glance.image['os_hash_algo'] = 'whirlpool9'
        with mock.patch.object(self.glance, '_data', return_value=mock.Mock(
                wrapped=None)):
            self.assertRaises(exception.ImageUnacceptable, self._download)
        self.assertEqual(['get', 'data'], self.glance.calls)
        (_level, line), = self._told()
        self.assertIn("its hash is of the kind 'whirlpool9'", line)
        self.assertTrue(line.endswith(remedy('digest_unknown')), line)

    def test_direct_snapshot(self):
        # Nova and Cinder give neither size nor hash.
        self.assertEqual(
            (None, None),
            self._asked(os_hash_algo=None, os_hash_value=None, checksum=None,
                        size=0))
        self.assertEqual(
            (None, None), self._asked(size=None))
        self.assertIn('unverified', self._told()[-1][1])

    def test_empty_image(self):
        self.assertEqual((0, 'sha512:' + SHA512), self._asked(size=0))
        self.assertEqual(
            (0, 'md5:' + MD5),
            self._asked(os_hash_algo=None, os_hash_value=None))

    def test_no_hash_is_wanted(self):
        self.flags(rbd_download_verify_hash=False, group='glance')
        self.assertEqual((len(CONTENT), None), self._asked())
        self.assertIn('unverified', self._told()[-1][1])

    def test_lines_that_others_grep_for(self):
        # Also in the jobs of devstack-plugin-ceph and whitebox.
        self._assert_rbd()
        self.assertIn(
            'Attempting to export RBD image: [pool_name: images] '
            '[image_uuid: %s] [snapshot_name: snap] [dst_path: %s]'
            % (IMAGE, self.path), self.log.output)
        (level, line), = self._told()
        self.assertEqual('INFO', level)
        self.assertTrue(line.startswith('Successfully transferred using rbd'))
        self.assertTrue(line.endswith(', verified by sha512'), line)

    def test_waited_for_another_download(self):
        token = lock_wait.begin(12.34)
        self.addCleanup(lock_wait.end, token)
        self._assert_rbd()
        (_level, line), = self._told()
        self.assertTrue(line.endswith(
            ', verified by sha512, after 12.3 s of waiting while another '
            'process fetched it'), line)

    def test_announced(self):
        seen = []
        with watching.watching(seen.append):
            self._assert_rbd()
        found = [entry for entry in seen
                 if isinstance(entry, direct_download.Downloaded)]
        self.assertEqual([(IMAGE, len(CONTENT), ('sha512',))], [
            (entry.image, entry.result.size, entry.proofs)
            for entry in found])

    def test_not_successful_if_it_is_not(self):
        self._fail_with('read')
        self._assert_http()
        self.assertNotIn('Successfully', self.log.output)

    def test_falls_back_with_one_line(self):
        for code in self.CODES:
            self.log.reset_output()
            self.glance.calls.clear()
            self._fail_with(code)
            self._assert_http()
            (level, line), = self._told()
            self.assertEqual('WARNING', level, code)
            self.assertTrue(line.startswith(
                'Downloading image %s over HTTP, not from RBD: RBD image '
                'images/%s@snap: the cause of it' % (IMAGE, IMAGE)), line)
            self.assertIn(errors.CAUSES[code].remedy, line)

    def test_fallback_is_forbidden(self):
        self.flags(rbd_download_fallback=False, group='glance')
        for code in self.CODES:
            self.log.reset_output()
            self._fail_with(code)
            self._assert_fails()
            (level, line), = self._told()
            self.assertEqual('ERROR', level, code)
            self.assertIn('rbd_download_fallback forbids HTTP', line)
            self.assertIn('the cause of it', line)

    def test_fallback_is_forbidden_without_a_location(self):
        self.flags(rbd_download_fallback=False, group='glance')
        for locations in ([], ['file:///x'], ['rbd://x'],
                          glanceclient.exc.HTTPForbidden()):
            self.log.reset_output()
            self.glance.locations = locations
            self._assert_fails()
            self.assertEqual(['ERROR'],
                             [level for level, _line in self._told()])

    def test_local_disk(self):
        self.glance.locations = [url(), url('more')]
        for fallback in (True, False):
            self.flags(rbd_download_fallback=fallback, group='glance')
            for code in ('no_space', 'local_file'):
                self.log.reset_output()
                self.exports.clear()
                self._fail_with(code)
                self._assert_fails()
                self.assertEqual(1, len(self.exports))
                (level, line), = self._told()
                self.assertEqual('ERROR', level)
                self.assertIn('the cause of it at ' + self.path, line)
                self.assertIn('HTTP is not tried', line)

    def test_no_other_location_if_none_can_be_better(self):
        self.glance.locations = [url(), url('more')]
        self.pools['more'] = CONTENT
        for code in self.CODES:
            self.exports.clear()
            self._fail_with(code)
            self._download()
            self.assertEqual(
                1 if code in ('connect', 'bindings', 'not_writable',
                              'no_conf') else 2,
                len(self.exports), code)

    def test_stalled_read(self):
        # Glance would read from the same OSDs.
        self.glance.locations = [url(), url().replace('snap', 'other')]
        self.flags(rbd_download_require_image_id=False, group='glance')
        self._fail_with('stalled')
        self._assert_fails()
        # Not another image of that pool either.
        self.assertEqual(1, len(self.exports))
        (level, line), = self._told()
        self.assertEqual('ERROR', level)
        self.assertIn('HTTP is not tried, since Glance keeps the image in '
                      'that cluster only' + remedy('stalled'), line)
        # The builds that wait for it do not wait again.
        self.log.reset_output()
        self.pools['images'] = rbd_transfer.TransferError(
            'stalled_before', 'it stalled', errors.CAUSES['stalled'].remedy)
        self._assert_fails()
        (level, line), = self._told()
        self.assertIn('HTTP is not tried, since Glance keeps the image in '
                      'that cluster only' + remedy('stalled'), line)

    def test_stalled_read_and_another_pool(self):
        self.glance.locations = [url(), url('more')]
        self._fail_with('stalled')
        self.pools['more'] = CONTENT
        self._assert_rbd()
        (_level, line), = self._told('WARNING')
        self.assertIn('Skipped a bad location', line)

    def test_stalled_read_and_another_store(self):
        self._fail_with('stalled')
        for other in ('file:///x', url().replace(FSID, uuids.other)):
            self.glance.calls.clear()
            self.glance.locations = [url(), other]
            self._assert_http()

    def test_snapshot_is_removed_meanwhile(self):
        # As a user may do at any time: no alarm.
        self._fail_with('snapshot_removed')
        self._assert_http()
        (level, line), = self._told()
        self.assertEqual('INFO', level)
        self.assertNotIn('damaged', line)

    def test_all_locations_are_bad(self):
        self.glance.locations = [url(), url('more')]
        self._fail_with('not_found')
        self.pools['more'] = rbd_transfer.TransferError('wrong_size', 'short')
        self._assert_http()
        (_level, line), = self._told()
        self.assertIn('images/%s@snap: the cause' % IMAGE, line)
        self.assertIn('more/%s@snap: short' % IMAGE, line)
        self.assertTrue(line.endswith(' To fix this, %s; %s.' % (
            errors.CAUSES['not_found'].remedy,
            errors.CAUSES['wrong_size'].remedy)), line)
