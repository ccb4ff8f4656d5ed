# SPDX-License-Identifier: Apache-2.0

"""The limit on the rate of reads."""

import time
from unittest import mock

from nova.storage.rbd_export import rate_limit
from nova import test


class RateLimitTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        patcher = mock.patch.object(
            time, 'monotonic', side_effect=lambda: self.now)
        patcher.start()
        self.addCleanup(patcher.stop)

    def test_rate(self):
        limit = rate_limit.RateLimit(100)
        waits = [limit.reserve(50) for _ in range(5)]
        self.assertEqual([0, .5, 1, 1.5, 2], waits)

    def test_idle_time_is_not_saved_up(self):
        limit = rate_limit.RateLimit(100)
        limit.reserve(10)
        self.now += 60
        waits = [round(limit.reserve(10), 3) for _ in range(4)]
        # A tenth of a second may be caught up on.
        self.assertEqual([0, 0, .1, .2], waits)
