# SPDX-License-Identifier: Apache-2.0

import logging
import urllib.parse

import fixtures
import hypothesis
from hypothesis import strategies
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import token_endpoint
from oslo_context import context as oslo_context
from oslo_utils.fixture import uuidsentinel as uuids
import requests
import requests_mock
from requests_mock.contrib import fixture as request_fixture

from nova import context as nova_context
from nova.image import glance
from nova.image import locations
from nova import release_compat
from nova import test

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'
GOOD = 'rbd://%s/images/%s/snap' % (FSID, uuids.image)

# One set of examples for every run: a test that fails today and passes
# tomorrow helps nobody.
repeatable = hypothesis.settings(
    derandomize=True, deadline=None, database=None, max_examples=100)

# Every character, the interesting ones more often. (The strategies that know
# of Unicode's categories first build a table of them for some seconds.)
characters = strategies.one_of(
    strategies.sampled_from([chr(code) for code in range(128)]),
    strategies.integers(0, 0x10ffff).map(chr))
texts = strategies.text(characters)
names = strategies.text(
    characters.filter(str.isprintable), min_size=1, max_size=60).filter(
        lambda name: not name.startswith('-') and name not in ('.', '..'))


def url_of(fsid, *parts):
    """Write a location as glance_store does: each part quoted by itself."""
    return 'rbd://%s/%s' % (
        fsid, '/'.join(urllib.parse.quote(part, '') for part in parts))


# URLs that name no RBD snapshot, and a part of the reason given.
BAD = (
    ('nothing', '', 'not an rbd://'),
    ('another scheme', 'file:///etc/passwd', 'not an rbd://'),
    ('capitals', 'RBD://%s/images/i/snap' % FSID, 'not an rbd://'),
    ('space before', ' ' + GOOD, 'not an rbd://'),
    ('scheme alone', 'rbd://', '1 parts'),
    ('old form of one part', 'rbd://image', '1 parts'),
    ('three parts', 'rbd://%s/images/i' % FSID, '3 parts'),
    ('five parts', GOOD + '/more', '5 parts'),
    ('slash at the end', GOOD + '/', '5 parts'),
    ('no cluster', 'rbd:///images/i/snap', 'is empty'),
    ('no pool', 'rbd://%s//i/snap' % FSID, 'is empty'),
    ('no image', 'rbd://%s/images//snap' % FSID, 'is empty'),
    ('no snapshot', 'rbd://%s/images/i/' % FSID, 'is empty'),
    ('parent directory', 'rbd://%s/images/../snap' % FSID,
     'is not a valid name'),
    ('quoted parent directory', 'rbd://%s/images/%%2e%%2e/snap' % FSID,
     'is not a valid name'),
    ('this directory', 'rbd://%s/./i/snap' % FSID, 'is not a valid name'),
    ('option', 'rbd://%s/images/--conf=x/snap' % FSID, 'is not a valid name'),
    ('quoted option', 'rbd://%s/images/%%2D%%2Dconf=x/snap' % FSID,
     'is not a valid name'),
    ('short option', 'rbd://%s/-c/i/snap' % FSID, 'is not a valid name'),
    ('newline', 'rbd://%s/images/a\nb/snap' % FSID, 'control characters'),
    ('newline at the end', GOOD + '\n', 'control characters'),
    ('quoted newline', 'rbd://%s/images/a%%0Ab/snap' % FSID,
     'control characters'),
    ('NUL', 'rbd://%s/images/a%%00b/snap' % FSID, 'control characters'),
    ('line separator', 'rbd://%s/images/a%%E2%%80%%A8b/snap' % FSID,
     'control characters'),
    ('text direction', 'rbd://%s/images/a%%E2%%80%%AEb/snap' % FSID,
     'control characters'),
    ('surrogate', 'rbd://%s/images/a\ud800b/snap' % FSID,
     'control characters'),
    ('no UTF 8', 'rbd://%s/images/a%%ffb/snap' % FSID, 'not UTF-8'),
    ('10 kB', 'rbd://%s/images/%s/snap' % (FSID, 'a' * 10240),
     'longer than'),
    ('IPv6 address', 'rbd://[::1]/images/i/snap', 'not a UUID'),
    ('IPv6 address and port', 'rbd://[fe80::1%25eth0]:6789/images/i/snap',
     'not a UUID'),
    ('broken IPv6 address', 'rbd://[::1/images/i/snap', 'not a UUID'),
    ('host', 'rbd://mon.example.com:6789/images/i/snap', 'not a UUID'),
    ('user and fsid', 'rbd://admin@%s/images/i/snap' % FSID, 'not a UUID'),
    ('fsid and port', 'rbd://%s:6789/images/i/snap' % FSID, 'not a UUID'),
    ('fsid without hyphens',
     'rbd://%s/images/i/snap' % FSID.replace('-', ''), 'not a UUID'),
    ('fsid in braces', 'rbd://{%s}/images/i/snap' % FSID, 'not a UUID'),
    ('fsid as URN', 'rbd://urn:uuid:%s/images/i/snap' % FSID, 'not a UUID'),
    ('fsid in other digits',
     'rbd://%s/images/i/snap' % FSID.replace('5', '\uff15'), 'not a UUID'),
)


class ParseTest(test.NoDBTestCase):

    def test_good(self):
        self.assertEqual(
            locations.RBDLocation(fsid=FSID, pool='images',
                                  image=uuids.image, snapshot='snap'),
            locations.parse_rbd_url(GOOD))

    def test_fsid_in_capitals(self):
        location = locations.parse_rbd_url(GOOD.replace(FSID, FSID.upper()))
        self.assertEqual(FSID, location.fsid)

    def test_split_before_unquoting(self):
        location = locations.parse_rbd_url(
            'rbd://%s/pool%%2Fa/image%%20b/snap%%40c' % FSID)
        self.assertEqual(('pool/a', 'image b', 'snap@c'),
                         (location.pool, location.image, location.snapshot))

    def test_unquoted_once(self):
        location = locations.parse_rbd_url(
            'rbd://%s/pool%%252Fa/image/snap' % FSID)
        self.assertEqual('pool%2Fa', location.pool)

    def test_bad(self):
        for what, url, reason in BAD:
            error = self.assertRaises(locations.InvalidLocation,
                                      locations.parse_rbd_url, url)
            self.assertIn(reason, str(error), what)
            # What a tenant may have written is not carried into a log.
            self.assertLess(len(str(error)), 100, what)

    def test_nothing_is_cut_off(self):
        for tail in ('?x=1', '#x', ';x', '@x', '%zz', ':x'):
            self.assertEqual('snap' + tail,
                             locations.parse_rbd_url(GOOD + tail).snapshot)


class ParsePropertyTest(test.NoDBTestCase):

    @repeatable
    @hypothesis.given(fsid=strategies.uuids(), pool=names, image=names,
                      snapshot=names)
    def test_round_trip(self, fsid, pool, image, snapshot):
        url = url_of(fsid, pool, image, snapshot)
        hypothesis.assume(len(url) <= locations.MAX_URL_LENGTH)
        self.assertEqual(
            locations.RBDLocation(str(fsid), pool, image, snapshot),
            locations.parse_rbd_url(url))

    @repeatable
    @hypothesis.given(strategies.one_of(
        texts,
        texts.map(lambda text: locations.RBD_PREFIX + text),
        texts.map(lambda text: 'rbd://%s/%s' % (FSID, text)),
        strategies.lists(strategies.one_of(
            texts, strategies.sampled_from(
                [FSID, '..', '', '%2F', '%00', '-c', 'images', 'snap'])),
            max_size=6).map(
                lambda parts: locations.RBD_PREFIX + '/'.join(parts))))
    def test_any_text_is_parsed_or_refused(self, text):
        try:
            location = locations.parse_rbd_url(text)
        except locations.InvalidLocation:
            return
        for name in (location.pool, location.image, location.snapshot):
            self.assertTrue(name.isprintable())
            self.assertFalse(name.startswith('-'))
            self.assertNotIn(name, ('', '.', '..'))
        self.assertRegex(location.fsid, r'^[0-9a-f-]{36}\Z')


class FindTest(test.NoDBTestCase):
    """With the real clients of Keystone and Glance, up to the sockets."""

    SERVER = 'http://glance.example.com:9292'
    SHOWN = 'rbd://%s/images/%s/shown' % (FSID, uuids.image)

    def setUp(self):
        super().setUp()
        self.flags(api_servers=[self.SERVER], num_retries=0, group='glance')
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.http = self.useFixture(request_fixture.Fixture())
        self.plugin = self.useFixture(fixtures.MockPatchObject(
            release_compat, 'service_user_auth',
            return_value=token_endpoint.Token(self.SERVER,
                                              'service-secret'))).mock
        self.context = nova_context.RequestContext(
            'user', 'project', auth_token='user-secret')
        self.service = glance.GlanceImageServiceV2()
        self.image = {'id': uuids.image, 'status': 'active'}

    def tearDown(self):
        # Whatever happened, no token is in any log.
        self.assertNotIn('service-secret', self.log.output)
        self.assertNotIn('user-secret', self.log.output)
        super().tearDown()

    def _glance(self, version='v2.17', **answer):
        self.http.get(self.SERVER + '/versions', json={'versions': [
            {'id': version, 'status': 'CURRENT'}]})
        self.http.get('%s/v2/images/%s/locations'
                      % (self.SERVER, uuids.image), **answer)

    def _show_locations(self):
        self.image['locations'] = [
            {'url': self.SHOWN, 'metadata': {'store': 'ceph'}},
            {'url': self.SHOWN, 'metadata': {}}]

    def _find(self):
        return locations.find(self.service, self.context, self.image)

    def _warnings(self):
        return [line for line in self.log.output.splitlines()
                if line.startswith('Could not read the locations')]

    def test_service_api(self):
        self._glance(json=[{'url': GOOD, 'metadata': {}},
                           {'url': 'file:///image', 'metadata': {}},
                           {'url': GOOD, 'metadata': {}}])
        self._show_locations()
        self.assertEqual(locations.Locations((GOOD, 'file:///image')),
                         self._find())
        for request in self.http.request_history:
            # The caller's own roles, and those of the service token: one of
            # them counts, which one depends on the release of Glance.
            self.assertEqual('service-secret',
                             request.headers['X-Auth-Token'])
            self.assertEqual('service-secret',
                             request.headers['X-Service-Token'])
        self.assertEqual([], self._warnings())

    def test_service_token_is_sent_once_if_nova_sends_one_anyway(self):
        self.flags(send_service_user_token=True, group='service_user')
        self._glance(json=[{'url': GOOD, 'metadata': {}}])
        self.assertEqual((GOOD,), self._find().urls)
        request = self.http.last_request
        self.assertEqual('service-secret', request.headers['X-Auth-Token'])
        self.assertEqual('service-secret', request.headers['X-Service-Token'])

    def test_context_of_the_user_stays_current(self):
        self._glance(json=[{'url': GOOD, 'metadata': {}}])
        self._find()
        self.assertIs(self.context, oslo_context.get_current())

    def test_request_id_is_passed_on(self):
        self._glance(json=[])
        self._find()
        self.assertEqual(
            self.context.global_id,
            self.http.last_request.headers['X-OpenStack-Request-ID'])

    def test_no_locations(self):
        self._glance(json=[])
        self._show_locations()
        found = self._find()
        self.assertEqual(((), 'no_location'), (found.urls, found.error.code))
        self.assertEqual([], self._warnings())

    def test_senseless_locations(self):
        self._glance(json=[{'url': None}, {}, {'url': ''}, {'url': 5},
                           {'url': ['x']}, {'url': GOOD}])
        self.assertEqual((GOOD,), self._find().urls)

    def _refused(self, code, message):
        """Check what is said if users see the locations, and if not."""
        found = self._find()
        self.assertEqual(((), code), (found.urls, found.error.code))
        self.assertIn(message, str(found.error))
        # The one line about the fallback says it.
        self.assertEqual([], self._warnings())

        self._show_locations()
        found = self._find()
        self.assertEqual(((self.SHOWN,), code), (found.urls, found.error.code))
        line, = self._warnings()
        self.assertIn(message, line)
        self.assertIn('. To fix this, %s.' % found.error.remedy, line)
        self.assertIn(uuids.image, line)

    def test_forbidden(self):
        self._glance(status_code=403)
        self._refused('locations_refused',
                      'Glance returned no locations (HTTP 403)')

    def test_image_of_another_project(self):
        self._glance(status_code=404)
        self._refused('locations_hidden',
                      'Glance returned no locations (HTTP 404)')

    def test_unauthorized(self):
        self._glance(status_code=401)
        self._refused('service_user_rejected',
                      'Glance returned no locations (HTTP 401)')

    def test_keystone_rejects_the_password(self):
        self._glance(json=[])
        auth = self.plugin.return_value
        with fixtures.MockPatchObject(auth, 'get_token',
                                      side_effect=ks_exc.Unauthorized()):
            self._refused('service_user_rejected', 'Keystone rejected')

    def test_server_error(self):
        self._glance(status_code=500)
        self._refused('glance_unreachable', 'HTTPInternalServerError')

    def test_no_connection(self):
        self.http.get(requests_mock.ANY,
                      exc=requests.exceptions.ConnectTimeout)
        self._refused('glance_unreachable', 'GlanceConnectionFailed')

    def test_not_json(self):
        self._glance(text='<html>', headers={'Content-Type': 'text/html'})
        self._refused('glance_unreachable', 'could not be asked')

    def test_incomplete_credentials(self):
        self.plugin.side_effect = ks_exc.MissingRequiredOptions([])
        self._refused('bad_service_user', 'MissingRequiredOptions')
        self.assertFalse(self.http.called)

    def test_unknown_credentials(self):
        self.plugin.side_effect = ks_exc.NoMatchingPlugin('passwort')
        self._refused('bad_service_user', 'passwort')

    def _not_offered(self, code):
        found = self._find()
        self.assertEqual(((), code), (found.urls, found.error.code))
        self._show_locations()
        self.assertEqual((self.SHOWN,), self._find().urls)
        # That is how the cloud is set up and no reason to warn each time.
        self.assertEqual([], self._warnings())

    def test_old_glance(self):
        self._glance(version='v2.16')
        self._not_offered('no_locations_api')

    def test_old_glanceclient(self):
        self._glance(json=[{'url': GOOD, 'metadata': {}}])
        with fixtures.MockPatchObject(locations.glance_images, 'Controller',
                                      object):
            self._not_offered('glanceclient_too_old')
        self.assertFalse(self.http.called)

    def test_no_credentials(self):
        self.plugin.return_value = None
        self._not_offered('no_service_user')
        self.assertFalse(self.http.called)

    def test_foreign_server(self):
        # The reference of the image names its own server.
        client = glance.GlanceClientWrapper(self.context,
                                            'http://foreign.example.com')
        self.service = glance.GlanceImageServiceV2(client)
        self._glance(json=[{'url': GOOD, 'metadata': {}}])
        self._show_locations()
        found = self._find()
        self.assertEqual(((), 'image_by_url'), (found.urls, found.error.code))
        self.assertFalse(self.plugin.called)
        self.assertFalse(self.http.called)
