# SPDX-License-Identifier: Apache-2.0

from nova.cmd.image_download import check
from nova.cmd.image_download import check_item
from nova import test


class RunTestCase(test.NoDBTestCase):

    def test_one_problem_is_enough(self):
        ok = check_item.Item('a', 'ok', '')
        warning = check_item.Item('b', 'warning', '')
        problem = check_item.Item('c', 'problem', '')
        self.assertTrue(check.over_rbd([ok, warning]))
        self.assertFalse(check.over_rbd([ok, problem, warning]))
