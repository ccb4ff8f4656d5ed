# SPDX-License-Identifier: Apache-2.0

"""The image cache: filled once, by whoever is first."""

import os

from nova.tests.functional.rbd_boot import base
from nova.tests.functional.rbd_boot import matrix
from nova.tests.testbed import daemon


class CacheTest(base.BootTestCase):

    def test_second_boot(self):
        path = self.file(base.noise(16 * base.MiB))
        image = self.upload(path)
        self.boot_active(image)
        cached = self.check_cache(image, path)
        inode = os.stat(cached).st_ino
        self.boot_active(image)
        self.assertEqual(inode, os.stat(cached).st_ino)
        self.saw('two servers, and the file in _base is still the first one')
        self.check_over_rbd(image)
        self.record(matrix.CACHE, 'A second server of the same image')

    def test_precache(self):
        path = self.file(base.noise(16 * base.MiB))
        image = self.upload(path)
        self.stack.cache_images(self.compute, image)
        daemon.wait_for(
            lambda: os.path.exists(self.compute.cache_path(image)),
            'the cached image', 60)
        self.check_cache(image, path)
        self.saw('the file in _base is the image, before any server was '
                 'asked for')
        self.boot_active(image)
        self.check_over_rbd(image)
        self.record(matrix.CACHE, 'cache-images on an aggregate, then a boot')


class RaceTest(base.BootTestCase):

    # The download takes seconds, so that the other one comes in the midst.
    OPTIONS = {'glance': {'rbd_download_max_rate': 16 * base.MiB}}

    def setUp(self):
        super().setUp()
        self.path = self.file(base.noise(160 * base.MiB))
        self.image = self.upload(self.path)

    def wait_for_download(self):
        daemon.wait_for(
            lambda: self.compute.log_lines('Attempting to export', self.image,
                                           since=self.log_start),
            'a download', 60)

    def check(self, server):
        """Both want the image, and nobody has it yet; then all is well."""
        daemon.wait_for(
            lambda: self.api.show(server)['OS-EXT-STS:task_state'] ==
            'spawning', 'the server to be built', 60)
        self.assertFalse(os.path.exists(self.compute.cache_path(self.image)))
        self.saw('both under way while there was no file in _base yet')
        self.check_active(server)
        daemon.wait_for(
            lambda: self.compute.log_lines(
                'Caching 1 image(s) by request', since=self.log_start),
            'the request to cache the image', 60)
        self.check_cache(self.image, self.path)
        self.saw('the file in _base is the image, byte for byte')
        self.check_over_rbd(self.image)
        self.assertEqual([], self.compute.log_lines(
            'Failed to cache image', since=self.log_start))

    def test_boot_while_precaching(self):
        self.stack.cache_images(self.compute, self.image)
        self.wait_for_download()
        self.check(self.boot(self.image))
        self.record(matrix.CACHE, 'A boot during cache-images')

    def test_precaching_while_booting(self):
        server = self.boot(self.image)
        self.wait_for_download()
        self.stack.cache_images(self.compute, self.image)
        self.check(server)
        self.record(matrix.CACHE, 'cache-images during a boot')

    def test_two_boots(self):
        servers = [self.boot(self.image), self.boot(self.image)]
        for server in servers:
            self.check_active(server)
        self.check_cache(self.image, self.path)
        self.saw('the file in _base is the image, byte for byte')
        self.check_over_rbd(self.image)
        self.record(matrix.CACHE, 'Two boots at the same time')
