# SPDX-License-Identifier: Apache-2.0

"""A download ends although the only OSD hangs, and Glance hangs with it."""

import logging
import os

from nova import exception
from nova.tests.functional.rbd_download import faults
from nova.tests.testbed import daemon


class HTTPEndsTestCase(faults.FaultTestCase):

    def setUp(self):
        super().setUp()
        self.image_id = self.bed.glance.upload(self.data)
        self.osd = self.bed.cluster.osd
        self.addCleanup(self.bed.cluster.wait_ready)
        self.addCleanup(self.osd.resume)
        self._before = self._traces()

    def test_http_is_not_tried(self):
        self.osd.pause()
        for again in (False, True):
            watch = faults.Stopwatch()
            outcome = self.in_thread(self.fetch, self.image_id)()
            self.assertFailed(
                outcome, self.image_id, 'HTTP is not tried, since Glance '
                'keeps the image in that cluster only', 'ceph health detail')
            self.assertWithin(0 if again else self.STALL, watch.seconds)
            self._log.records.clear()
        self.assertNothingLeft()

    def test_http_ends(self):
        # The monitors are out of reach for this node, not for Glance.
        path = self.write_conf('127.0.0.1:%d' % daemon.free_port())
        self.nova.set('glance', 'rbd_ceph_conf', path)
        self.osd.pause()
        watch = faults.Stopwatch()
        outcome = self.in_thread(self.fetch, self.image_id)()
        self.assertIsInstance(outcome, exception.CouldNotFetchImage)
        self.assertWithin(self.CONNECT + self.STALL, watch.seconds)
        over_http, ended = [line for line in self.messages(logging.WARNING)
                            if self.image_id in line]
        self.assertRegex(over_http, '^WARNING .*over HTTP, not from RBD')
        self.assertRegex(ended, '^ERROR Image .* did not come over HTTP: '
                         'Glance sent nothing for %d s' % self.STALL)
        self.assertNothingLeft()
        # Glance goes on when its store does.
        self.osd.resume()
        self.bed.cluster.wait_ready()

    def write_conf(self, address):
        with open(self.bed.cluster.nova.conf) as f:
            lines = ['mon_host = %s\n' % address
                     if line.startswith('mon_host') else line for line in f]
        path = os.path.join(self.useFixture(daemon.Directory()).path,
                            'ceph.conf')
        with open(path, 'w') as f:
            f.writelines(lines)
        return path
