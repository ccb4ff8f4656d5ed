# SPDX-License-Identifier: Apache-2.0

import unittest

from demo import common


class CommonTest(unittest.TestCase):

    def test_no_room(self):
        common.check_room('/', 0)
        with self.assertRaisesRegex(common.DemoError,
                                    'MiB free, but .* TMPDIR'):
            common.check_room('/', 1 << 60)
