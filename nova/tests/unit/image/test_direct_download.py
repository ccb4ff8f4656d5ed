# SPDX-License-Identifier: Apache-2.0

import base64
import hashlib
import logging
import os
import traceback
from unittest import mock

import cryptography.exceptions
from cursive import signature_utils
import fixtures
import glanceclient.exc
from keystoneauth1 import token_endpoint
from oslo_utils.fixture import uuidsentinel as uuids

from nova import context as nova_context
from nova import exception
from nova.image import direct_download
from nova.image import glance
from nova.storage import rbd_transfer
from nova import test
from nova.tests.unit.image import test_location_policy

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'
IMAGE = uuids.image
CONTENT = b'what the user uploaded'
SHA512 = hashlib.sha512(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def url(pool='images'):
    return 'rbd://%s/%s/%s/snap' % (FSID, pool, IMAGE)


class FakeImage(dict):
    """An image as glanceclient returns it."""

    BASE = ('id', 'name', 'status', 'size', 'checksum', 'os_hash_algo',
            'os_hash_value', 'disk_format', 'container_format', 'visibility',
            'owner', 'min_disk', 'min_ram', 'created_at', 'updated_at',
            'locations', 'direct_url')
    schema = {'name': 'image', 'properties': {name: {} for name in BASE}}


class FakeGlance:
    """Stands for GlanceClientWrapper, with one image."""

    client = None

    def __init__(self):
        self.image = FakeImage(
            id=IMAGE, status='active', size=len(CONTENT), checksum=MD5,
            os_hash_algo='sha512', os_hash_value=SHA512, disk_format='raw',
            container_format='bare', visibility='private', owner='project',
            min_disk=0, min_ram=0)
        self.locations = [url()]
        self.calls = []

    def call(self, context, version, method, controller=None, args=None,
             kwargs=None):
        self.calls.append(method)
        answer = getattr(self, '_' + method)(context, *args)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _get(self, context, image_id):
        return self.image

    def _data(self, context, image_id):
        chunks = mock.MagicMock()
        chunks.__iter__.side_effect = lambda: iter([CONTENT])
        return chunks

    def _get_image_locations(self, context, image_id):
        if isinstance(self.locations, Exception):
            return self.locations
        return [{'url': found, 'metadata': {}} for found in self.locations]


class FakeVerifier:
    """Like one of cryptography: good for once."""

    def __init__(self, good):
        self.good = good
        self.data = b''
        self.finalised = False

    def update(self, data):
        if self.finalised:
            raise cryptography.exceptions.AlreadyFinalized('used before')
        self.data += data

    def verify(self):
        self.finalised = True
        if self.data != self.good:
            raise cryptography.exceptions.InvalidSignature()


class DownloadTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.flags(enable_rbd_download=True, group='glance')
        self.path = os.path.join(self.useFixture(fixtures.TempDir()).path,
                                 'base.part')
        self.log = self.useFixture(fixtures.FakeLogger(
            level=logging.DEBUG, format='%(levelname)s|%(name)s|%(message)s'))
        self.context = nova_context.RequestContext('user', 'project',
                                                   auth_token='token')
        self.useFixture(fixtures.MonkeyPatch(
            'nova.release_compat.service_user_auth',
            lambda group: token_endpoint.Token('http://glance', 'secret')))
        self.glance = FakeGlance()
        self.service = glance.GlanceImageServiceV2(self.glance)
        self.exports = []
        # What the export engine does, by pool: bytes to write or an error.
        self.pools = {'images': CONTENT}
        self.fsid = mock.Mock(return_value=FSID)
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.rbd_transfer.fsid', self.fsid))
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.rbd_transfer.export', self._export))

    def _export(self, source, dst_path, size=None, digest=None, fsid=None):
        self.exports.append((source, dst_path, size, digest, fsid))
        outcome = self.pools[source.pool]
        if isinstance(outcome, Exception):
            raise outcome
        with open(dst_path, 'wb') as image:
            image.write(outcome)
        return rbd_transfer.Result(len(outcome), len(outcome), 0.1, digest,
                                   FSID)

    def _download(self, **kwargs):
        return self.service.download(self.context, IMAGE,
                                     dst_path=self.path, **kwargs)

    def _told(self, level='INFO'):
        """Return what our modules logged, without debug lines."""
        levels = ['INFO', 'WARNING', 'ERROR']
        levels = levels[levels.index(level):]
        lines = []
        # reset_output leaves NULs where the old lines were.
        for line in self.log.output.lstrip('\0').splitlines():
            if line.count('|') < 2:
                continue
            found, name, message = line.split('|', 2)
            if found in levels and name in (
                    'nova.image.direct_download', 'nova.image.locations',
                    'nova.image.location_policy', 'nova.storage.rbd_transfer'):
                lines.append((found, message))
        return lines

    def _content(self):
        with open(self.path, 'rb') as image:
            return image.read()

    def _assert_rbd(self):
        self._download()
        self.assertEqual(CONTENT, self._content())
        self.assertNotIn('data', self.glance.calls)

    def _assert_http(self):
        self._download()
        self.assertEqual(CONTENT, self._content())
        self.assertEqual(1, self.glance.calls.count('data'))

    def _assert_fails(self):
        error = self.assertRaises(exception.CouldNotFetchImage,
                                  self._download)
        self.assertNotIn('data', self.glance.calls)
        self.assertFalse(os.path.exists(self.path))
        # A user may see the message, an administrator the traceback.
        text = str(error) + ''.join(traceback.format_exception(error))
        for secret in (self.path, 'rbd://', FSID, 'images/', '--conf',
                       'cause of it'):
            self.assertNotIn(secret, text)
        self.assertIn(IMAGE, str(error))
        return error


class GatesTest(DownloadTestCase):

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
        self.glance.image = FakeGlance().image
        self.glance.image.deleted = True
        self.assertRaises(exception.ImageNotFound, self._download)
        self.assertEqual({'get'}, set(self.glance.calls))
        self.assertEqual([], self.exports)


class LocationsTest(DownloadTestCase):

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
        self.assertIn(IMAGE, line)
        self.assertIn('RBD image far/%s@snap: is damaged' % IMAGE, line)
        self.assertIn(direct_download.CURES['wrong_digest'], line)

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
        self.assertIn('no location of it is known (Glance answered 403)',
                      line)
        self.assertIn('To mend it: give the user of [service_user]', line)

    def test_none(self):
        self.glance.locations = []
        self._assert_http()
        (level, line), = self._told()
        self.assertEqual('WARNING', level)
        self.assertTrue(line.endswith('no location of it is known.'))

    def test_image_by_the_url_of_another_server(self):
        self.glance.client = mock.sentinel.client
        self.glance.image['locations'] = [{'url': url(), 'metadata': {}}]
        self._assert_http()
        self.assertEqual([], self.exports)
        self.assertIn('refer to it by its id', self._told()[0][1])

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
        self.assertIn('whether its locations were changed', line)

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
        self.assertIn(direct_download.CURES['connect'], line)


class TransferTest(DownloadTestCase):

    # Codes after which another location, or HTTP, may be better.
    CODES = ('unexpected', 'bad_arguments', 'not_found', 'permission',
             'connect', 'stalled', 'wrong_size', 'wrong_digest', 'bindings',
             'wrong_cluster', 'read', 'parent_died')

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

    def test_md5_where_the_multihash_is_of_an_unknown_kind(self):
        self.assertEqual((len(CONTENT), 'md5:' + MD5),
                         self._asked(os_hash_algo='whirlpool9'))

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
        with mock.patch.object(direct_download.image_fetch, 'waited',
                               return_value=12.34):
            self._assert_rbd()
        (_level, line), = self._told()
        self.assertTrue(line.endswith(
            ', verified by sha512, after a wait of 12.3 s for another one'),
            line)

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
            self.assertIn(direct_download.CURES.get(code, ''), line)

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
                1 if code in ('connect', 'bindings') else 2,
                len(self.exports), code)

    def test_all_locations_are_bad(self):
        self.glance.locations = [url(), url('more')]
        self._fail_with('not_found')
        self.pools['more'] = rbd_transfer.TransferError('wrong_size', 'short')
        self._assert_http()
        (_level, line), = self._told()
        self.assertIn('images/%s@snap: the cause' % IMAGE, line)
        self.assertIn('more/%s@snap: short' % IMAGE, line)
        self.assertIn(direct_download.CURES['not_found'], line)
        self.assertIn(direct_download.CURES['wrong_size'], line)


class SignatureTest(DownloadTestCase):

    def setUp(self):
        super().setUp()
        self.flags(verify_glance_signatures=True, group='glance')
        self.verifiers = []
        self.useFixture(fixtures.MonkeyPatch(
            'cursive.signature_utils.get_verifier', self._get_verifier))
        self.glance.image.update(
            img_signature=base64.b64encode(b'signature').decode(),
            img_signature_hash_method='SHA-256',
            img_signature_key_type='RSA-PSS',
            img_signature_certificate_uuid=uuids.certificate)

    def _get_verifier(self, **kwargs):
        self.assertEqual(uuids.certificate,
                         kwargs['img_signature_certificate_uuid'])
        self.verifiers.append(FakeVerifier(CONTENT))
        return self.verifiers[-1]

    def test_good(self):
        self._assert_rbd()
        first, used = self.verifiers
        self.assertEqual(b'', first.data)
        self.assertEqual(CONTENT, used.data)
        self.assertIn('verified by sha512 and signature',
                      self._told()[-1][1])
        self.assertIn('Image signature verification succeeded',
                      self.log.output)

    def test_wrong_bytes(self):
        self.pools['images'] = b'something else'
        removed = []
        with mock.patch.object(
                self.glance, '_data', side_effect=lambda *args: (
                    removed.append(not os.path.exists(self.path)),
                    FakeGlance._data(self.glance, *args))[1]):
            self._assert_http()
        # Gone before HTTP was asked.
        self.assertEqual([True], removed)
        (level, line), = self._told()
        self.assertEqual('WARNING', level)
        self.assertIn('signature of the image does not match', line)
        self.assertIn(direct_download.CURES['signature'], line)
        # HTTP had an unused one.
        _, for_rbd, for_http = self.verifiers
        self.assertEqual(CONTENT, for_http.data)
        self.assertEqual(b'something else', for_rbd.data)

    def test_wrong_bytes_and_no_fallback(self):
        self.flags(rbd_download_fallback=False, group='glance')
        self.pools['images'] = b'something else'
        self._assert_fails()

    def test_a_fresh_verifier_for_each_location(self):
        self.glance.locations = [url('far'), url('near'), url('images')]
        self.pools.update(far=b'wrong', near=b'wrong, too')
        self._assert_rbd()
        self.assertEqual([b'', b'wrong', b'wrong, too', CONTENT],
                         [verifier.data for verifier in self.verifiers])
        self.assertEqual(2, len(self._told('WARNING')))

    def test_trusted_certificates_are_checked_for_rbd_too(self):
        trusted = mock.sentinel.trusted
        with mock.patch.object(self.service, '_get_verifier',
                               return_value=None) as get_verifier:
            self._download(trusted_certs=trusted)
        self.assertEqual([mock.call(self.context, IMAGE, trusted)] * 2,
                         get_verifier.call_args_list)

    def test_wrong_signature_everywhere_fails_over_http(self):
        self.pools['images'] = b'something else'
        with mock.patch.object(self.glance, '_data') as data:
            data.return_value.__iter__ = lambda _self: iter([b'more of it'])
            self.assertRaises(cryptography.exceptions.InvalidSignature,
                              self._download)

    def test_metadata_of_the_signature_is_wrong(self):
        # Then nothing is read at all, as ever.
        error = exception.Invalid()
        with mock.patch.object(signature_utils, 'get_verifier',
                               side_effect=error):
            self.assertRaises(exception.Invalid, self._download)
        self.assertEqual([], self.exports)

    def test_certificate_is_gone_meanwhile(self):
        for_http = FakeVerifier(CONTENT)
        with mock.patch.object(signature_utils, 'get_verifier',
                               side_effect=[None, OSError('no Barbican'),
                                            for_http]):
            self._assert_http()
        self.assertEqual(CONTENT, for_http.data)
        (_level, line), = self._told()
        self.assertIn('could not be checked, OSError: no Barbican', line)

    def test_copy_cannot_be_read_again(self):
        with mock.patch('nova.image.signature.verify_file',
                        side_effect=OSError(5, 'Input/output error')):
            self._assert_fails()
        (level, line), = self._told()
        self.assertEqual('ERROR', level)
        self.assertIn('Input/output error', line)
        self.assertIn(self.path, line)
