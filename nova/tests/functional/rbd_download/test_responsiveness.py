# SPDX-License-Identifier: Apache-2.0

"""nova-compute goes on with its other work while it downloads."""

import os

from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import compute_host

MiB = base.MiB


class ResponsivenessTestCase(base.DirectDownloadTestCase):

    SIZE = 96 * MiB
    COUNT = 4

    # Seconds. Another process may have the processors while one is started,
    # and a busy machine must not fail the test: the best of some attempts
    # counts. What blocks does so each time.
    BOUND = 0.1
    ATTEMPTS = 3

    def start_host(self):
        config = self.bed.nova_config(self.nova.instances_path)
        config['glance']['rbd_download_fallback'] = False
        host = self.useFixture(
            compute_host.ComputeHost(config, self.context))
        host.wait_ready()
        return host

    def test_four_downloads(self):
        host = self.start_host()
        # What is done once in a process is no part of this.
        warm_up = self.bed.glance.upload(base.noise(MiB))
        self.assertEqual([{'error': None}], host.fetch([warm_up]))
        self._wanted.add(self.cache_path(warm_up))
        self._before = self._traces()
        gaps = []
        while len(gaps) < self.ATTEMPTS and min(gaps, default=1) > self.BOUND:
            gaps.append(self.gap(host))
        self.assertLess(min(gaps), self.BOUND, gaps)

    def gap(self, host):
        """The longest gap while four images are downloaded."""
        image_ids = [self.bed.glance.upload(base.noise(self.SIZE, seed))
                     for seed in range(self.COUNT)]
        results, gap = host.fetch_and_tick(image_ids)
        self.assertEqual([{'error': None}] * self.COUNT, results)
        for image_id in image_ids:
            self.assertEqual(0, self.downloads(image_id))
            os.unlink(self.cache_path(image_id))
            self.bed.glance.delete(image_id)
        return gap
