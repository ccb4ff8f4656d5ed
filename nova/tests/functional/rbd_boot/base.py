# SPDX-License-Identifier: Apache-2.0

"""What the tests that boot servers have in common.

A test asks for things through the APIs and looks at the result from outside:
at the hosts' files and processes, at what Glance was asked for, and at what
nova-compute has logged. Nothing of Nova runs in the process of the test.
"""

import glob
import hashlib
import json
import os
import random
import subprocess
import time

import fixtures
import testtools
from testtools import content

from nova.tests.functional.rbd_boot import matrix
from nova.tests.testbed import boot_stack
from nova.tests.testbed import glance_server

MiB = 1 << 20
GiB = 1 << 30

TRANSFERRED = 'Successfully transferred using rbd'


def noise(size, seed=0):
    """Bytes that no hole, compression or other image could stand in for."""
    return random.Random(seed).randbytes(size)


def sha512(path):
    """The digest of a file."""
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha512').hexdigest()


def qemu_img(*arguments):
    """Run qemu-img; returns what it prints."""
    return subprocess.run(['qemu-img', *arguments], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


class BootTestCase(testtools.TestCase):
    """A test on the whole OpenStack of this process.

    :cvar OPTIONS: options of nova-compute by section, for all tests of the
        class
    :cvar GLANCE: options of Glance, the same way
    :ivar stack: the :class:`boot_stack.BootStack`
    :ivar bed: its Ceph, Keystone and Glance
    :ivar api: its Compute API
    :ivar compute: its first compute host
    :ivar flavor: a flavor with a disk of 1 GiB
    """

    OPTIONS = {}
    GLANCE = {}

    def options(self):
        """The options of nova-compute for the tests of the class."""
        return self.OPTIONS

    def setUp(self):
        super().setUp()
        self.stack = boot_stack.shared(os.environ.get('NOVA_BOOT_MODE'))
        self.useFixture(fixtures.Timeout(
            int(os.environ.get('OS_TEST_TIMEOUT', 600)), gentle=True))
        self.bed = self.stack.bed
        self.api = self.stack.api
        self.compute = self.stack.computes[0]
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.evidence = []
        self.began = time.monotonic()
        self.addOnException(self._attach_logs)
        self._log_starts = {path: os.path.getsize(path)
                            for path in self.stack.logs()}
        self.bed.glance.reconfigure(self.GLANCE)
        self.compute.reconfigure(self.options())
        self.log_start = self.compute.log_size()
        self.flavor = self.stack.flavor(disk=1)

    def _attach_logs(self, exc_info):
        """Have the lines that matter shown with a failure."""
        for path in self.stack.logs():
            lines = boot_stack.lines_that_matter(
                path, self._log_starts.get(path, 0))
            if lines:
                self.addDetail(path, content.text_content(
                    '\n'.join(line[:600] for line in lines[-40:])))

    # What to do

    def file(self, data, name='file'):
        """Write a file; returns its path."""
        path = f'{self.dir}/{name}'
        with open(path, 'wb') as f:
            f.write(data)
        return path

    def qcow2(self, raw, *options):
        """Make a qcow2 file of a raw one; returns its path."""
        path = f'{raw}.qcow2'
        qemu_img('convert', '-f', 'raw', '-O', 'qcow2', *options, raw, path)
        return path

    def upload(self, path, **properties):
        """Make an image of a file, in the store in Ceph; returns its id."""
        properties = {'store': glance_server.RBD_STORE,
                      'name': self.id().rpartition('.')[2], **properties}
        with open(path, 'rb') as f:
            image = self.bed.glance.upload(f, **properties)
        self.addCleanup(self.bed.glance.delete, image)
        return image

    def boot(self, image, flavor=None, **arguments):
        """Ask for a server; returns its id at once."""
        arguments.setdefault('host', self.compute.name)
        server = self.api.boot(image, flavor or self.flavor,
                               name=self.id().rpartition('.')[2], **arguments)
        self.addCleanup(self.api.delete, server)
        return server

    def boot_active(self, image, flavor=None, **arguments):
        """Boot a server until it is ACTIVE; returns its id."""
        server = self.boot(image, flavor, **arguments)
        self.check_active(server)
        return server

    def resize(self, server, other):
        """Resize a server to a disk of 2 GiB, which moves it to a host."""
        self.api.action(server, 'resize',
                        flavorRef=self.stack.flavor(disk=2))
        shown = self.check_active(server, 'VERIFY_RESIZE')
        self.assertEqual(other.name, shown['OS-EXT-SRV-ATTR:host'])
        self.saw('it is on the second host')

    # What to look at. Each says what it has seen when it is so.

    def saw(self, text):
        """Note something that was checked, for the matrix."""
        if text not in self.evidence:
            self.evidence.append(text)

    def record(self, topic, what):
        """At the end of a test: have its row in the matrix."""
        matrix.record(topic, what, self.evidence,
                      time.monotonic() - self.began, self.stack.mode)

    def check_active(self, server, status='ACTIVE'):
        """A server gets ACTIVE, and QEMU runs for it."""
        shown = self.api.wait(server, status)
        self.assertIn(shown['OS-EXT-SRV-ATTR:instance_name'],
                      self.host_of(shown).host.domains())
        self.saw(f'{status}, QEMU runs')
        return shown

    def host_of(self, shown):
        """The compute host that a server is on."""
        name = shown['OS-EXT-SRV-ATTR:host']
        return next(compute for compute in self.stack.computes
                    if compute.name == name)

    def check_over_rbd(self, image, times=1, compute=None):
        """An image was read from RBD so often, and never over HTTP."""
        lines = (compute or self.compute).log_lines(TRANSFERRED, image)
        self.assertEqual(times, len(lines), lines)
        self.assertEqual(0, self.bed.glance.downloads(image))
        self.saw(f'Glance served no GET .../file, {times} x "transferred '
                 'using rbd" in the log')

    def check_over_http(self, image, times=1):
        """An image came over HTTP so often, and never from RBD."""
        self.assertEqual(times, self.bed.glance.downloads(image))
        self.assertEqual([], self.compute.log_lines(TRANSFERRED, image))
        self.saw(f'{times} GET .../file in Glance\'s log')

    def check_cache(self, image, path, compute=None):
        """The image cache has an image, byte for byte that of a file."""
        cached = (compute or self.compute).cache_path(image)
        self.assertEqual(os.path.getsize(path), os.path.getsize(cached))
        self.assertEqual(sha512(path), sha512(cached))
        directory = os.path.dirname(cached)
        self.assertEqual([], glob.glob(f'{directory}/*.part')
                         + glob.glob(f'{directory}/*.converted'))
        return cached

    def disk_info(self, server, name='disk'):
        """What qemu-img knows of a server's disk."""
        return json.loads(qemu_img(
            'info', '--force-share', '--output=json',
            self.disk(server, name)))

    def check_disk(self, server, cached, cached_format='raw', name='disk'):
        """A server's disk is a layer over a file in the image cache."""
        info = self.disk_info(server, name)
        self.assertEqual('qcow2', info['format'])
        self.assertEqual(cached_format, info['backing-filename-format'])
        self.assertEqual(os.path.basename(cached),
                         os.path.basename(info['backing-filename']))
        self.saw('the disk is a layer over it')

    def disk(self, server, name='disk'):
        """The path of a disk of a server."""
        host = self.host_of(self.api.show(server))
        return f'{host.instances}/{server}/{name}'
