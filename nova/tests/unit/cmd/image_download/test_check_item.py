#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

from nova.cmd.image_download import check_item
from nova import test


class SizeTestCase(test.NoDBTestCase):

    def test_size(self):
        self.assertEqual('0 bytes', check_item.size(0))
        self.assertEqual('1023 bytes', check_item.size(1023))
        self.assertEqual('1.5 KiB', check_item.size(1536))
        self.assertEqual('2048.0 TiB', check_item.size(2 << 50))
