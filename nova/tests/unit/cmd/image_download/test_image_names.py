# SPDX-License-Identifier: Apache-2.0

from unittest import mock

from nova.cmd.image_download import image_names
from nova.cmd.image_download import service_user
from nova import test

MINE = 'p0'


def image(number, **changes):
    return {'id': 'id%d' % number, 'name': 'cirros', 'owner': 'p1',
            'visibility': 'public', 'os_hidden': False, **changes}


class FindTestCase(test.NoDBTestCase):

    def _find(self, *images, name='cirros'):
        self.service = mock.Mock()
        self.service._client.call.side_effect = [
            [each for each in images if not each['os_hidden']],
            [each for each in images if each['os_hidden']]]
        return image_names.find(self.service, mock.sentinel.context, name,
                                MINE)

    def _filters(self):
        return [call[1]['kwargs']['filters'] for call in
                self.service._client.call.call_args_list]

    def test_each_kind_alone(self):
        for changes in ({}, {'os_hidden': True},
                        {'visibility': 'community'},
                        {'visibility': 'private', 'owner': MINE}):
            self.assertEqual('id1', self._find(image(1, **changes)))
        self.assertEqual(
            [{'visibility': 'all', 'name': 'cirros', 'os_hidden': hidden}
             for hidden in ('false', 'true')], self._filters())

    def test_what_only_the_operator_can_make_comes_first(self):
        hidden = image(2, os_hidden=True)
        community = image(3, visibility='community')
        private = image(4, visibility='private')
        self.assertEqual('id1', self._find(image(1), hidden, community,
                                           private))
        self.assertEqual('id2', self._find(hidden, community, private))
        self.assertEqual('id3', self._find(community, private))

    def test_those_of_other_projects_come_last(self):
        for visibility in ('private', 'shared'):
            other = image(1, visibility=visibility)
            self.assertEqual('id1', self._find(other))
            for changes in ({'os_hidden': True},
                            {'visibility': 'community'}):
                self.assertEqual('id2', self._find(other,
                                                   image(2, **changes)))

    def test_ambiguous(self):
        error = self.assertRaises(service_user.OperatorError, self._find,
                                  *map(image, range(8)))
        self.assertIn('more than one', error.found)
        self.assertIn('id4 (public, of project p1) and 3 more', error.found)

    def test_none(self):
        self.assertRaises(service_user.MissingImage, self._find)
        # A database may not care about the case of letters.
        self.assertRaises(service_user.MissingImage, self._find,
                          image(1, name='Cirros'))

    def test_colon(self):
        self.assertEqual('id1', self._find(image(1, name='a:1,2'),
                                           name='a:1,2'))
        self.assertEqual('in:"a:1,2"', self._filters()[0]['name'])

    def test_name_that_no_filter_can_say(self):
        name = 'a:"b"'
        self.assertEqual('id2', self._find(image(1), image(2, name=name),
                                           name=name))
        self.assertNotIn('name', self._filters()[0])


class ShowTestCase(test.NoDBTestCase):

    ID = '2ab5c1f0-1f4b-4e0c-9a53-6f2b3d9c8e71'

    def _show(self, name, shown):
        service = mock.Mock()
        service._client.call.side_effect = [[image(1, name=name)], []]
        with mock.patch.object(service_user, 'show',
                               side_effect=shown) as show:
            found = image_names.show(service, mock.sentinel.context, name,
                                     MINE)
        return found, [call[0][2] for call in show.call_args_list]

    def test_by_id(self):
        self.assertEqual(({'id': 1}, [self.ID]),
                         self._show(self.ID, [{'id': 1}]))

    def test_by_name(self):
        self.assertEqual(({'id': 1}, ['id1']),
                         self._show('cirros', [{'id': 1}]))

    def test_by_name_that_looks_like_an_id(self):
        self.assertEqual(
            ({'id': 1}, [self.ID, 'id1']),
            self._show(self.ID, [service_user.MissingImage(self.ID),
                                 {'id': 1}]))

    def test_glance_is_away(self):
        service = mock.Mock()
        service._client.call.side_effect = ValueError('gone')
        error = self.assertRaises(
            service_user.OperatorError, image_names.show, service,
            mock.sentinel.context, 'cirros', MINE)
        self.assertIn('cannot use Glance', error.found)

    def test_describe(self):
        self.assertEqual(
            r'image id1 (a\x1b), public and hidden, of project p1',
            image_names.describe(image(1, name='a\x1b', os_hidden=True)))
        self.assertEqual(
            'image x (no name), of unknown visibility, of project unknown',
            image_names.describe({'id': 'x'}))
