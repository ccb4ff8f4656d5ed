# SPDX-License-Identifier: Apache-2.0

from nova.cmd.image_download import units
from nova import test


class FormatBytesTestCase(test.NoDBTestCase):

    def test_units(self):
        for count, text in ((0, '0 bytes'), (1023, '1023 bytes'),
                            (1024, '1.0 KiB'), (1.5 * (1 << 20), '1.5 MiB'),
                            (1 << 40, '1.0 TiB'), (1 << 51, '2048.0 TiB')):
            self.assertEqual(text, units.format_bytes(count))
