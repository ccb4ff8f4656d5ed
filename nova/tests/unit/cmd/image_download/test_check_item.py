# SPDX-License-Identifier: Apache-2.0

from nova.cmd.image_download import check_item
from nova import test


class SizeTestCase(test.NoDBTestCase):

    def test_size(self):
        self.assertEqual('0 bytes', check_item.size(0))
        self.assertEqual('1023 bytes', check_item.size(1023))
        self.assertEqual('1.5 KiB', check_item.size(1536))
        self.assertEqual('2048.0 TiB', check_item.size(2 << 50))
