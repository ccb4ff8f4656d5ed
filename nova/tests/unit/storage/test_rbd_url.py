# SPDX-License-Identifier: Apache-2.0

"""Glance's locations; those that are refused are in test_rbd_utils."""

import ddt

from nova.storage import rbd_url
from nova import test


@ddt.ddt
class ParseTestCase(test.NoDBTestCase):

    @ddt.data(('rbd://fsid/images/disk/snap',
               ['fsid', 'images', 'disk', 'snap']),
              ('rbd://f/p%2Fq/i%20%25/s%C3%A9', ['f', 'p/q', 'i %', 's\xe9']),
              ('rbd://f/p/i/s?x#y', ['f', 'p', 'i', 's?x#y']))
    @ddt.unpack
    def test_good_url(self, url, parts):
        self.assertEqual(parts, rbd_url.parse(url))
