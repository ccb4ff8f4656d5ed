# SPDX-License-Identifier: Apache-2.0

"""When the bytes do not come over RBD: as in plain Nova."""

from nova.tests.functional.rbd_boot import base
from nova.tests.functional.rbd_boot import matrix
from nova.tests.testbed import glance_server


class SourceTestCase(base.BootTestCase):

    def check(self, image, path):
        """A boot works, over HTTP."""
        server = self.boot_active(image)
        cached = self.check_cache(image, path)
        self.saw('the file in _base is the image, byte for byte')
        self.check_over_http(image)
        self.check_disk(server, cached)

    def check_gate(self, what):
        path = self.file(base.noise(16 * base.MiB))
        image = self.upload(path)
        self.check(image, path)
        self.assertEqual([], self.compute.log_lines(
            'rbd', image, since=self.log_start))
        self.saw('no word of RBD in the log')
        self.record(matrix.SOURCES, what)


class NotEnabledTest(SourceTestCase):

    OPTIONS = {'glance': {'enable_rbd_download': False}}

    def test_boot(self):
        self.check_gate('enable_rbd_download off')


class SchemeNotAllowedTest(SourceTestCase):

    OPTIONS = {'glance': {'allowed_direct_url_schemes': ''}}

    def test_boot(self):
        self.check_gate('allowed_direct_url_schemes empty')


class CephIsDownTest(SourceTestCase):

    OPTIONS = {'glance': {'rbd_connect_timeout': 5}}

    def setUp(self):
        super().setUp()
        # That Ceph is down, nova-compute remembers for a while.
        self.addCleanup(self.compute.daemon.stop)

    def test_boot(self):
        path = self.file(base.noise(16 * base.MiB))
        image = self.upload(path, store=glance_server.FILE_STORE)
        self.bed.glance.copy(image, glance_server.RBD_STORE)
        # Before the image is deleted.
        self.addCleanup(self.bed.restore)
        self.bed.cluster.osd.stop()
        self.bed.cluster.mon.stop()
        self.check(image, path)
        self.assertEqual(1, len(self.compute.log_lines(
            'WARNING', image, since=self.log_start)))
        self.saw('one WARNING says why')
        self.record(matrix.SOURCES, 'Ceph stopped, the image in the file '
                    'store too')
