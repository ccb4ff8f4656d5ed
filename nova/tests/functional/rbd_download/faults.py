# SPDX-License-Identifier: Apache-2.0

"""What the tests have in common that break something during a download."""

import base64
import contextlib
import logging
import os
import re
import time
from unittest import mock

from nova.compute import utils as compute_utils
from nova import exception
from nova import objects
from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import fault_matrix
from nova.tests.testbed import daemon
from nova.virt import image_leftovers
from nova.virt.libvirt import imagecache

MiB = base.MiB

# Seconds that a download may take beyond the timeouts that were configured, to
# see that the time is over; and how many times that of a healthy one, to start
# processes and for HTTP: half a second on a machine with nothing else to do.
# Wide, for the machine may become busy: what hangs does so for minutes.
MARGIN = 30
MARGIN_FACTOR = 4

HTTP = 'fell back to HTTP'
FAILED = 'failed with a clear error, as HTTP was forbidden'
NO_HTTP = 'failed with a clear error, HTTP was not tried'
WAITED = 'was waited for, came over RBD'


class FaultTestCase(base.DirectDownloadTestCase):
    """A test case in which something breaks.

    Timeouts are as short as the options allow.

    :ivar data: the bytes of :attr:`image_id`
    """

    TOPIC = fault_matrix.CLUSTER
    SIZE = 16 * MiB
    CONNECT = 2
    STALL = 5

    def setUp(self):
        super().setUp()
        self.nova.set('glance', 'rbd_connect_timeout', self.CONNECT)
        self.nova.set('glance', 'rbd_download_stall_timeout', self.STALL)
        self.margin = MARGIN + MARGIN_FACTOR * self.measure()
        self.data = base.noise(self.SIZE)
        self.digest = base.sha512(self.data)

    def measure(self):
        """Download a small image while all is well.

        :returns: the seconds that it took
        """
        image_id, _digest = self.common_image(64 << 10)
        watch = Stopwatch()
        os.unlink(self.fetch(image_id))
        seconds = watch.seconds
        self.begin_anew()
        return seconds

    def record(self, cause, produced, happened, seconds, files='right bytes'):
        """Add a row to the fault matrix."""
        fault_matrix.record(self.TOPIC, cause, produced, happened, seconds,
                            files)

    def slow(self, seconds):
        """Let a download take that long."""
        self.nova.set('glance', 'rbd_download_max_rate',
                      self.SIZE // seconds)

    def full_speed(self):
        """End what :meth:`slow` began."""
        self.nova.set('glance', 'rbd_download_max_rate', 0)

    def begin_anew(self):
        """Forget what earlier downloads of the same test said and left.

        As after a restart of nova-compute.
        """
        self.assertNothingLeft()
        self._forget()
        self._log.records.clear()
        self._first_start = len(base._started)

    # Processes

    def engines(self):
        """The pids of the engines that copy something for this test."""
        return [int(process.partition(':')[0])
                for process in self._processes() - self._before['process']
                if 'rbd_export' in process and '--pool' in process]

    def wait_for_copying(self):
        """Wait until an engine is in the middle of its copy.

        :returns: its pid
        """
        found = []

        def copying():
            for pid in self.engines():
                if 0 < written(pid, self.nova.instances_path) < self.SIZE:
                    found.append(pid)
                    return True
            return False

        daemon.wait_for(copying, 'an engine that copies', 60)
        return found[0]

    # Outcomes

    def assertFailed(self, exc, image_id, reason, cure=''):
        """The download failed, and left nothing at the target.

        The reason and the cure are for the operator; the one who wanted the
        server learns nothing about this node.

        :param exc: what was raised
        :param reason: a regular expression for the one line in the log
        :param cure: another one for it
        """
        self.assertIsInstance(exc, exception.CouldNotFetchImage)
        self.assertEqual(0, self.downloads(image_id), self.messages())
        lines = self.messages(logging.WARNING)
        self.assertEqual(1, len(lines), lines)
        self.assertRegex(lines[0], '^ERROR ')
        self.assertIn(image_id, lines[0])
        self.assertRegex(lines[0], '(?s:%s.*%s)' % (reason, cure))
        self.assertFalse(os.path.exists(self.cache_path(image_id)))
        self.assertTellsTenantNothing(exc, image_id)

    def assertTellsTenantNothing(self, exc, image_id):
        """What goes into an instance fault names the image and no more."""
        told = compute_utils.exception_to_dict(exc)['message']
        self.assertIn(image_id, told)
        rest = told.replace(image_id, '')
        with open(self.bed.cluster.nova.keyring) as f:
            key = re.search('key = (.*)', f.read()).group(1)
        self.assertTrue(base64.b64decode(key))
        for secret in (key, self.nova.instances_path, '/', '--', 'rbd',
                       '127.0.0.1', self.bed.cluster.fsid):
            self.assertNotIn(secret, rest)

    def assertWithin(self, timeout, seconds):
        """It took no longer than a timeout and a little more."""
        self.assertLess(seconds, timeout + self.margin, self.messages())


def written(pid, directory):
    """How many bytes a process has in files below a directory, on disk."""
    total = 0
    with contextlib.suppress(OSError):
        for fd in os.listdir('/proc/%d/fd' % pid):
            path = '/proc/%d/fd/%s' % (pid, fd)
            with contextlib.suppress(OSError):
                if (os.readlink(path).startswith(directory) and
                        not os.path.isdir(path)):
                    total += os.stat(path).st_blocks * 512
    return total


def look_after_cache(context):
    """Do what nova-compute does with its image cache from time to time.

    On a node without any server; the conductor would tell so. And some
    minutes later, when only locks tell what is being written.
    """
    with mock.patch.object(objects.BlockDeviceMappingList,
                           'bdms_by_instance_uuid', return_value={}), \
            mock.patch.object(image_leftovers, '_least_age',
                              return_value=-1):
        imagecache.ImageCacheManager().update(context, [])


class Stopwatch:
    """Measures seconds from its making."""

    def __init__(self):
        self._began = time.monotonic()

    @property
    def seconds(self):
        return time.monotonic() - self._began
