# SPDX-License-Identifier: Apache-2.0
"""Both gates have to be open, and a closed one means: as if we were not."""

import logging
import os

from nova import exception
from nova.image import glance
from nova.tests.functional.rbd_download import base

MiB = base.MiB


class GateTestCase(base.DirectDownloadTestCase):

    def test_switch_off(self):
        self.nova.set('glance', 'enable_rbd_download', False)
        self._test_untouched()

    def test_no_scheme_allowed(self):
        self.nova.set('glance', 'allowed_direct_url_schemes', [])
        self._test_untouched()

    def test_both_closed(self):
        self.nova.set('glance', 'enable_rbd_download', False)
        self.nova.set('glance', 'allowed_direct_url_schemes', [])
        self._test_untouched()

    def _test_untouched(self):
        # This would have something to say about anything of ours.
        self.nova.set('glance', 'rbd_download_fallback', False)
        self.nova.set('glance', 'rbd_ceph_conf', '/nowhere')
        image_id, digest = self.common_image()
        before = len(self.requests())
        path = self.fetch(image_id)
        self.assertEqual(digest, base.sha512(path))
        self.assertEqual(1, self.downloads(image_id))
        self.assertEqual([], self.children_started())
        self.assertEqual([], self.messages())
        # Glance sees what it sees from an unchanged Nova: its client asks
        # for the hash, and Nova for the format afterwards.
        self.assertEqual(['GET /v2/images/%s' % image_id,
                          'GET /v2/images/%s/file' % image_id,
                          'GET /v2/images/%s' % image_id],
                         self.requests()[before:])

    def requests(self):
        """What Glance was asked for, without what clients ask for once."""
        return ['%s %s' % request for request in
                self.bed.glance.server.requests('/v2/images')]

    def test_one_switch_opens_both(self):
        # So that the configuration that upstream needs goes on to work.
        image_id, digest = self.common_image()
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, digest)

    def test_data_in_another_form_than_a_file(self):
        # Some virt drivers take an iterator, which RBD cannot give.
        image_id, digest = self.common_image()
        data = b''.join(glance.API().download(self.context, image_id))
        self.assertEqual(digest, base.sha512(data))
        self.assertEqual([], self.children_started())
        self.assertEqual(1, self.downloads(image_id))
        self.assertEqual([], self.messages())


class OtherStoreTestCase(base.DirectDownloadTestCase):
    """Glance keeps the image in files: nothing is wrong with that."""

    def setUp(self):
        super().setUp()
        self.data = base.noise(5 * MiB)
        self.image_id = self.bed.glance.upload(self.data, store='fast')

    def test_over_http(self):
        path = self.fetch(self.image_id)
        self.assertOverHTTP(self.image_id, path, base.sha512(self.data),
                            'Glance does not keep it in RBD', logging.INFO)
        self.assertEqual([], self.children_started())

    def test_http_forbidden(self):
        self.nova.set('glance', 'rbd_download_fallback', False)
        self.assertRaises(exception.CouldNotFetchImage, self.fetch,
                          self.image_id)
        (line,) = self.messages()
        self.assertRegex(line, '^ERROR .*%s.*rbd_download_fallback forbids '
                         'HTTP: Glance does not keep it in RBD'
                         % self.image_id)
        self.assertEqual(0, self.downloads(self.image_id))
        self.assertFalse(os.path.exists(self.cache_path(self.image_id)))
