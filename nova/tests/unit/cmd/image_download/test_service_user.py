# SPDX-License-Identifier: Apache-2.0

import hashlib
from unittest import mock

import glanceclient.exc
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import loading as ks_loading

from nova.cmd.image_download import service_user
import nova.conf
from nova import exception
from nova import release_compat
from nova import test

CONF = nova.conf.CONF

IMAGE = '2ab5c1f0-1f4b-4e0c-9a53-6f2b3d9c8e71'


class CredentialsTestCase(test.NoDBTestCase):

    def _context(self, **kwargs):
        with mock.patch.object(release_compat, 'service_user_auth',
                               **kwargs):
            return service_user.context()

    def test_context(self):
        auth = mock.Mock()
        context = self._context(return_value=auth)
        self.assertIs(auth, context.get_auth_plugin())
        self.assertTrue(context.is_admin)

    def test_nothing_configured(self):
        error = self.assertRaises(service_user.OperatorError, self._context,
                                  return_value=None)
        self.assertIn('auth_type', error.remedy)

    def test_incomplete(self):
        error = self.assertRaises(
            service_user.OperatorError, self._context,
            side_effect=ks_exc.MissingRequiredOptions([]))
        self.assertIn('not complete', error.found)

    def _identity(self, **kwargs):
        auth = mock.Mock(auth_url='http://keystone')
        auth.get_access = mock.Mock(**kwargs)
        context = mock.Mock()
        context.get_auth_plugin.return_value = auth
        with mock.patch.object(
                ks_loading, 'load_session_from_conf_options') as load:
            found = service_user.identity(context)
        # That of the download: [service_user] may have another CA file.
        self.assertEqual('glance', load.call_args[0][1])
        return found

    def test_identity(self):
        access = mock.Mock(username='nova', project_name='service',
                           project_id='p1', role_names=['service', 'admin'])
        identity = self._identity(return_value=access)
        self.assertEqual(('admin', 'service'), identity.roles)
        self.assertEqual('p1', identity.project_id)
        self.assertEqual(['x'], identity.lacking('admin', 'x'))
        self.assertEqual('"openstack role add --user nova --project service '
                         'x"', identity.grant(['x']))

    def test_rejected(self):
        error = self.assertRaises(service_user.OperatorError, self._identity,
                                  side_effect=ks_exc.Unauthorized())
        self.assertIn('rejects', error.found)

    def test_keystone_is_away(self):
        error = self.assertRaises(service_user.OperatorError, self._identity,
                                  side_effect=ks_exc.ConnectFailure('gone'))
        self.assertIn('ConnectFailure: gone', error.found)
        self.assertIn('http://keystone', error.remedy)


class ShowTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.service = mock.Mock()
        self.service.show.return_value = {'id': IMAGE}
        self.service._client.call.return_value = {
            'visibility': 'public', 'virtual_size': 7}

    def _show(self, image=IMAGE):
        return service_user.show(self.service, mock.sentinel.context, image)

    def test_what_nova_leaves_out(self):
        self.assertEqual(
            {'id': IMAGE, 'visibility': 'public', 'os_hidden': None,
             'virtual_size': 7}, self._show())
        self.service.show.assert_called_once_with(
            mock.sentinel.context, IMAGE, include_locations=True,
            show_deleted=False)

    def test_hidden(self):
        self.service.show.side_effect = exception.ImageNotFound(
            image_id=IMAGE)
        error = self.assertRaises(service_user.OperatorError, self._show)
        self.assertIn('role admin', error.remedy)

    def test_glance_is_away(self):
        self.service.show.side_effect = exception.GlanceConnectionFailed(
            server='s', reason='r')
        error = self.assertRaises(service_user.OperatorError, self._show)
        self.assertIn('cannot use Glance', error.found)

    def test_glance_refuses(self):
        error = service_user.unreachable(glanceclient.exc.HTTPForbidden())
        self.assertIn('roles service and admin', error.remedy)

    def test_newest(self):
        self.service._client.call.return_value = [{'id': '1'}, {'id': '2'}]
        self.assertEqual(('1', '2'), service_user.newest(
            self.service, mock.sentinel.context, 5))
        kwargs = self.service._client.call.call_args[1]['kwargs']
        self.assertEqual(5, kwargs['limit'])
        self.assertEqual({'status': 'active'}, kwargs['filters'])


class TextTestCase(test.NoDBTestCase):

    def test_describe(self):
        self.assertEqual('ValueError: a b',
                         service_user.describe(ValueError('a\n  b')))
        self.assertEqual('ValueError', service_user.describe(ValueError()))
        self.assertEqual(315, len(service_user.describe(
            ValueError('x' * 999))))

    def test_operator_error(self):
        self.assertEqual('a. To fix this, b.',
                         str(service_user.OperatorError('a', 'b')))

    def test_cache_path(self):
        self.flags(instances_path='/i')
        self.assertEqual(
            '/i/_base/%s' % hashlib.sha1(IMAGE.encode()).hexdigest(),
            service_user.cache_path(IMAGE))
