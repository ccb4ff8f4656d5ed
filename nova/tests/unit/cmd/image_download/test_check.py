# SPDX-License-Identifier: Apache-2.0

from unittest import mock

from nova.cmd.image_download import check
from nova.cmd.image_download import check_item
from nova import test


class RunTestCase(test.NoDBTestCase):

    def test_one_problem_is_enough(self):
        ok = check_item.Item('a', 'ok', '')
        warning = check_item.Item('b', 'warning', '')
        problem = check_item.Item('c', 'problem', '')
        self.assertTrue(check.over_rbd([ok, warning]))
        self.assertIs(False, check.over_rbd([ok, problem, warning]))

    def test_what_could_not_be_found_out(self):
        ok = check_item.Item('a', 'ok', '')
        unknown = check_item.Item('b', 'unknown', '')
        problem = check_item.Item('c', 'problem', '')
        self.assertIsNone(check.over_rbd([ok, unknown]))
        self.assertIs(False, check.over_rbd([unknown, problem]))

    def _run(self, user, *others):
        item = check_item.Item('configuration', user, '')
        with mock.patch.object(check.node_checks, 'user',
                               return_value=item), \
                mock.patch.object(check, '_run', return_value=others):
            return [item.state for item in check.run()]

    def test_rights_of_another_user_prove_nothing(self):
        items = [check_item.Item('keyring', 'problem', ''),
                 check_item.Item('switch', 'problem', ''),
                 check_item.Item('pools', 'ok', '')]
        self.assertEqual(['unknown', 'unknown', 'problem', 'ok'],
                         self._run('unknown', *items))
        self.assertEqual(['ok', 'problem', 'problem', 'ok'],
                         self._run('ok', *items))
