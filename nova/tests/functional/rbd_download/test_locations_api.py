# SPDX-License-Identifier: Apache-2.0
"""Locations that Glance tells services, and hides from users.

Glance is as it comes: neither direct_url nor locations are shown.
"""

import logging
import os
from unittest import mock

import glanceclient.common.utils
from oslo_utils import uuidutils

from nova import exception
from nova.tests.functional.rbd_download import base

MiB = base.MiB

# What Glance has to be told to show locations to everybody.
SHOWN = {'DEFAULT': {'show_image_direct_url': True,
                     'show_multiple_locations': True}}


class LocationsTestCase(base.DirectDownloadTestCase):

    def setUp(self):
        super().setUp()
        self.image_id, self.digest = self.common_image(4 * MiB)
        self._first_request = len(self.bed.glance.server.requests())

    def asked_for_locations(self):
        """How often the API for services was asked."""
        return len([
            request for request in
            self.bed.glance.server.requests()[self._first_request:]
            if request.path == '/v2/images/%s/locations' % self.image_id])

    def assertOldWay(self, reason, cure):
        """Locations came from what users see, and one line says why."""
        path = self.fetch(self.image_id)
        self.assertEqual(self.digest, base.sha512(path))
        self.assertEqual(0, self.downloads(self.image_id))
        self.assertEqual(1, len(self.engine_starts()))
        lines = self.messages(logging.WARNING)
        if reason:
            self.assertEqual(1, len(lines), lines)
            self.assertRegex(lines[0], '^WARNING .*%s.*%s.*%s' % (
                self.image_id, reason, cure))
        else:
            self.assertEqual([], lines)

    def assertHidden(self, reason, cure):
        """There was no way, and one line says why and what to do."""
        path = self.fetch(self.image_id)
        self.assertOverHTTP(self.image_id, path, self.digest, reason,
                            cure=cure)
        self.assertEqual([], self.children_started())


class _PolicyTests:
    """What is the same under every policy that Glance has had.

    Whatever it is, the configuration of Nova is not.
    """

    def test_service_is_told(self):
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, self.digest)
        self.assertEqual(1, self.asked_for_locations())
        # A user is told nothing.
        shown = self.bed.glance.show(self.image_id)
        self.assertNotIn('direct_url', shown)
        self.assertNotIn('locations', shown)

    def test_tokens_of_users_go_alone(self):
        # Nova adds the service's only if told so. This is another matter.
        self.nova.set('service_user', 'send_service_user_token', False)
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, self.digest)
        self.assertEqual(1, self.asked_for_locations())

    def test_user_without_roles(self):
        keystone = self.bed.keystone
        if 'plain' not in keystone.user_ids:
            keystone.create_user('plain', 'service', ('member',))
        self.nova.set('service_user', 'username', 'plain')
        self.assertHidden(r'no locations \(HTTP 40[34]\)',
                          r'\[service_user\] the roles service and admin')
        self.assertEqual(1, self.asked_for_locations())


class RoleOfCallerTestCase(_PolicyTests, LocationsTestCase):
    """Glance 29 and 30."""

    GLANCE_POLICIES = {'fetch_image_location': 'role:service'}


class RoleOfServiceTokenTestCase(_PolicyTests, LocationsTestCase):
    """Glance 31."""

    GLANCE_POLICIES = {'fetch_image_location': 'service_roles:service'}


class ServiceOrAdminTestCase(_PolicyTests, LocationsTestCase):
    """Glance 32 and 33."""

    GLANCE_POLICIES = {'fetch_image_location': 'role:service or role:admin'}


class DefaultPolicyTestCase(LocationsTestCase):
    """The policy of the Glance that is installed."""

    def test_without_service_user(self):
        self.nova.set('service_user', 'auth_type', None)
        self.nova.set('service_user', 'send_service_user_token', False)
        self.assertHidden('nova.conf has no .service_user.',
                          r'\[service_user\]')
        self.assertEqual(0, self.asked_for_locations())

    def test_over_rbd(self):
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, self.digest)
        self.assertEqual(1, self.asked_for_locations())

    def test_wrong_password(self):
        self.nova.set('service_user', 'password', 'wrong')
        # The token of the service goes with every request that Nova makes
        # for a user, so that nothing works any more, over HTTP either.
        self.nova.set('service_user', 'send_service_user_token', False)
        self.assertHidden('HTTP 401', r'\[service_user\]')

    def test_locations_hidden_and_http_forbidden(self):
        self.nova.set('glance', 'rbd_download_fallback', False)
        self.nova.set('service_user', 'auth_type', None)
        self.nova.set('service_user', 'send_service_user_token', False)
        self.assertRaises(exception.CouldNotFetchImage, self.fetch,
                          self.image_id)
        (line,) = self.messages(logging.WARNING)
        self.assertRegex(line, r'^ERROR .*no locations.*\[service_user\]')

    def test_old_glance(self):
        with _older_glance():
            self.assertHidden('no locations', 'Glance 29')
        self.assertEqual(0, self.asked_for_locations())


class RefusedTestCase(LocationsTestCase):
    """Glance's policy lets nobody read locations."""

    GLANCE_POLICIES = {'fetch_image_location': 'role:nobody'}

    def test_over_http(self):
        self.assertHidden(r'no locations \(HTTP 403\)',
                          r'\[service_user\] the roles service and admin')
        self.assertEqual(1, self.asked_for_locations())


class ShownTestCase(LocationsTestCase):
    """Glance shows locations to everybody, as it had to before."""

    GLANCE_CONFIG = SHOWN
    GLANCE_POLICIES = {'fetch_image_location': 'role:nobody'}

    def test_refused(self):
        self.assertOldWay(r'no locations \(HTTP 403\)',
                          r'\[service_user\] the roles service and admin')
        self.assertEqual(1, self.asked_for_locations())

    def test_without_service_user(self):
        # That was the way for years, nothing is wrong with it.
        self.nova.set('service_user', 'auth_type', None)
        self.nova.set('service_user', 'send_service_user_token', False)
        self.assertOldWay('', '')
        self.assertEqual(0, self.asked_for_locations())

    def test_old_glance(self):
        with _older_glance():
            self.assertOldWay('', '')
        self.assertEqual(0, self.asked_for_locations())


class DirectURLTestCase(LocationsTestCase):
    """Glance shows one location to everybody."""

    GLANCE_CONFIG = {'DEFAULT': {'show_image_direct_url': True}}
    GLANCE_POLICIES = {'fetch_image_location': 'role:nobody'}

    def test_without_service_user(self):
        self.nova.set('service_user', 'auth_type', None)
        self.nova.set('service_user', 'send_service_user_token', False)
        self.assertOldWay('', '')


class RefusedImagesTestCase(base.DirectDownloadTestCase):
    """Who may not have an image over HTTP does not get it over RBD."""

    def setUp(self):
        super().setUp()
        self.data = base.noise(MiB)

    def assertSameRefusal(self, image_id, context=None):
        """Both ways end in the same error, and nothing is read.

        :returns: the error
        """
        errors = []
        for enabled in (False, True):
            self.nova.set('glance', 'enable_rbd_download', enabled)
            errors.append(self.assertRaises(
                Exception, self.download, image_id, context))
        self.assertIs(type(errors[0]), type(errors[1]), errors)
        self.assertEqual(str(errors[0]), str(errors[1]))
        self.assertEqual([], self.engine_starts())
        self.assertFalse(os.path.exists(
            os.path.join(self.nova.instances_path, 'download')))
        return errors[0]

    def test_private_image_of_another_project(self):
        image_id = self.bed.glance.upload(self.data, user='other',
                                          visibility='private')
        error = self.assertSameRefusal(image_id)
        self.assertIsInstance(error, exception.ImageNotFound)
        # It is one that its owner gets.
        path = self.download(image_id, self.bed.context('other'))
        self.assertEqual(base.sha512(self.data), base.sha512(path))
        self.assertEqual(1, len(self.engine_starts()))

    def test_deactivated(self):
        image_id = self.bed.glance.upload(self.data)
        admin = self.bed.glance.client('admin', 'demo').images
        admin.deactivate(image_id)
        self.assertSameRefusal(image_id)
        admin.reactivate(image_id)
        self.download(image_id)
        self.assertEqual(1, len(self.engine_starts()))

    def test_queued(self):
        image_id = self.bed.glance.client().images.create(
            name='empty', disk_format='raw', container_format='bare')['id']
        error = self.assertSameRefusal(image_id)
        self.assertIsInstance(error, exception.ImageUnacceptable)

    def test_deleted(self):
        image_id = self.bed.glance.upload(self.data)
        self.bed.glance.delete(image_id)
        error = self.assertSameRefusal(image_id)
        self.assertIsInstance(error, exception.ImageNotFound)

    def test_no_image(self):
        error = self.assertSameRefusal(uuidutils.generate_uuid())
        self.assertIsInstance(error, exception.ImageNotFound)


def _older_glance():
    """Nova's client finds a Glance without Images API v2.17."""
    real = glanceclient.common.utils.has_version
    return mock.patch.object(
        glanceclient.common.utils, 'has_version',
        lambda client, version: version != 'v2.17' and real(client, version))
