# SPDX-License-Identifier: Apache-2.0

import unittest

from patchset import manual_page
from tools.tests import small_checkout


class ManualPageTest(unittest.TestCase):

    def test_page(self):
        page = manual_page.render(small_checkout.CHECKOUT)
        self.assertIn('.TH "nova-image-download" "1"', page)
        self.assertIn('.SH Exit status', page)
        # What is for a browser alone.
        self.assertNotIn('As a manual page', page)
        # What is included from another file.
        self.assertIn('scheme gate', page)
        self.assertNotIn('literalinclude', page)
