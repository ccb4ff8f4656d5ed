# SPDX-License-Identifier: Apache-2.0

from nova.cmd.image_download import check_item
from nova import test


class ItemTestCase(test.NoDBTestCase):

    def test_names_of_tenants_cannot_steer_a_terminal(self):
        item = check_item.Item('image', check_item.OK, 'x\x1b[2J\r\n', '\x07')
        self.assertEqual((r'x\x1b[2J\r\n', r'\x07'),
                         (item.found, item.remedy))
