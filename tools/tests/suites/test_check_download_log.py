# SPDX-License-Identifier: Apache-2.0

"""The log check against lines that nova-compute has really written."""

import ast
import contextlib
import io
import os
import tempfile
import unittest

from patchset import CHECKOUT
from suites import check_download_log


JOURNAL = ('Nov 22 18:15:26.711201 node devstack@n-cpu.service '
           'nova-compute[5727]: ')
FSID = '900f0729-1508-412b-be34-b6b290658dfb'
IMAGE = 'c87e69f0-2dc9-4d7b-a837-841b64c99a21'

STARTED = JOURNAL + 'INFO nova.service [-] Starting compute node\n'
BOOTED = JOURNAL + (
    'INFO nova.compute.manager [req-1 demo demo] [instance: 7c2c8e5f-9d7f-'
    '4d3b-b1a5-0d3f0f2a9f51] Took 6.38 seconds to spawn the instance on the '
    'hypervisor.\n')
TRIED = JOURNAL + (
    'DEBUG nova.image.direct_download [req-1 demo demo] Attempting to export '
    'RBD image: [pool_name: images] [image_uuid: %s] [snapshot_name: snap] '
    '[dst_path: /opt/stack/data/nova/instances/_base/1.part] {{(pid=5727) '
    '_try_location}}\n' % IMAGE)
DONE = JOURNAL + (
    'INFO nova.image.direct_download [req-1 demo demo] Successfully '
    'transferred using rbd: image %s from images of cluster %s, 2147483648 '
    'bytes of which 335544320 are data, in 6.5 s (317 MiB/s), verified by '
    'sha512\n' % (IMAGE, FSID))
POOL = JOURNAL + (
    '\x1b[01;33mWARNING nova.image.direct_download [\x1b[01;36mreq-1 demo '
    'demo\x1b[01;33m] \x1b[01;35m\x1b[01;33mDownloading image %s over HTTP, '
    'not from RBD: location rbd://%s/images/%s/snap: its pool is not in '
    '[glance]/rbd_pool (volumes). To fix this, add the pool to '
    '[glance]/rbd_pool if it is one of Glance.\x1b[00m\n'
    % (IMAGE, FSID, IMAGE))
MONITOR = (
    '2026-11-22 18:16:18.966 5727 WARNING nova.image.direct_download [req-1 '
    'demo demo] Downloading image %s over HTTP, not from RBD: RBD image '
    'images/%s@snap: no monitor answered within 5 s; check the monitors of '
    '/etc/ceph/ceph.conf and the network to them.\n' % (IMAGE, IMAGE))
ELSEWHERE = JOURNAL + (
    'INFO nova.image.direct_download [req-1 demo demo] Downloading image %s '
    'over HTTP, not from RBD: Glance does not keep it in RBD.\n' % IMAGE)
BAD = JOURNAL + (
    'WARNING nova.image.direct_download [req-1 demo demo] Skipped a bad '
    'location of image %s: RBD image images/%s@snap: the image has 1 bytes '
    'and not 2.\n' % (IMAGE, IMAGE))
FORBIDDEN = JOURNAL + (
    'ERROR nova.image.direct_download [req-1 demo demo] Image %s cannot be '
    'read from RBD and [glance]/rbd_download_fallback forbids HTTP: Glance '
    'has no location of it.\n' % IMAGE)
FULL = JOURNAL + (
    'ERROR nova.image.direct_download [req-1 demo demo] Image %s cannot be '
    'stored on this node: 1 bytes may be needed.\n' % IMAGE)
NOT_NOW = JOURNAL + (
    'ERROR nova.image.failed [req-1 demo demo] Image %s cannot be read now: '
    'RBD image images/%s@snap: the cluster did not answer for 60 s. HTTP is '
    'not tried, since Glance keeps the image in that cluster only.\n' % (
        IMAGE, IMAGE))
NOT_SENT = JOURNAL + (
    'ERROR nova.image.http_stall [req-1 demo demo] Image %s did not come over '
    'HTTP: Glance sent nothing for 60 s.\n' % IMAGE)
TRACE = ('    raise ValueError("WARNING nova.image Downloading image x over '
         'HTTP")\n')


class CheckDownloadLogTestCase(unittest.TestCase):

    def check(self, code, log, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'n-cpu.log')
            with open(path, 'w', encoding='utf-8') as f:
                f.write(log)
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(
                    out):
                found = check_download_log.main([path, *arguments])
        self.assertEqual(code, found, out.getvalue())
        return out.getvalue()

    def test_good(self):
        said = self.check(0, STARTED + TRIED + DONE + ELSEWHERE + TRIED + DONE)
        self.assertEqual('2 over RBD, 1 over HTTP as they are not kept in '
                         'RBD, 0 fell back, 0 failed; 0 servers booted\n',
                         said)

    def test_nothing_came_over_rbd(self):
        said = self.check(1, STARTED + ELSEWHERE)
        self.assertIn('0 images came over RBD, at least 1 should have', said)
        self.check(0, STARTED + ELSEWHERE, '--minimum', '0')
        self.check(1, STARTED + TRIED + DONE, '--minimum', '2')

    def test_an_attempt_is_no_download(self):
        self.check(1, STARTED + TRIED)

    def test_a_fallback(self):
        for line in (POOL, MONITOR):
            with self.subTest(line):
                said = self.check(1, STARTED + TRIED + DONE + line)
                self.assertIn('fell back to HTTP: WARNING', said)
                self.assertIn(IMAGE, said)
                self.assertNotIn('\x1b', said)

    def test_an_allowed_fallback(self):
        self.check(0, DONE + MONITOR, '--allow', 'no monitor answered')
        self.check(1, DONE + MONITOR + POOL, '--allow', 'no monitor answered')

    def test_a_bad_location(self):
        said = self.check(1, TRIED + TRIED + DONE + BAD)
        self.assertIn('came, but not at once: WARNING', said)
        self.check(0, DONE + BAD, '--allow', 'has 1 bytes')

    def test_a_failure(self):
        for line in (FORBIDDEN, FULL, NOT_NOW, NOT_SENT):
            with self.subTest(line):
                said = self.check(1, DONE + line, '--allow', '.')
                self.assertIn('failed: ERROR', said)
                self.check(1, STARTED + line, '--expect', 'http')

    def test_with_the_gates_off(self):
        self.check(0, STARTED + BOOTED, '--expect', 'http')
        for line in (TRIED, DONE, POOL, ELSEWHERE):
            with self.subTest(line):
                self.check(1, STARTED + BOOTED + line, '--expect', 'http')

    def test_without_a_boot(self):
        said = self.check(1, STARTED, '--expect', 'http')
        self.assertIn('0 servers were booted, at least 1 should have been',
                      said)
        self.check(0, STARTED, '--expect', 'http', '--boots', '0')
        self.check(1, STARTED + DONE, '--boots', '1')
        said = self.check(0, STARTED + DONE + BOOTED + BOOTED, '--boots', '2')
        self.assertIn('; 2 servers booted\n', said)

    def test_no_log(self):
        for log in ('', 'No journal files were found.\n', TRACE):
            for expect in ('rbd', 'http'):
                with self.subTest(log=log, expect=expect):
                    said = self.check(2, log, '--expect', expect)
                    self.assertIn('no line of nova-compute', said)

    def test_an_unreadable_log(self):
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            self.assertEqual(2, check_download_log.main(['/nonexistent/log']))
        self.assertIn('/nonexistent/log: No such file', err.getvalue())

    def test_the_messages_are_those_of_the_code(self):
        texts = ' '.join(
            node.value for path in (CHECKOUT / 'nova' / 'image').glob('*.py')
            for node in ast.walk(ast.parse(path.read_text('utf-8')))
            if isinstance(node, ast.Constant) and isinstance(node.value, str))
        for message in (check_download_log.TRIED, check_download_log.DONE,
                        'Downloading image %(image)s over HTTP, not from RBD: '
                        '%(why)s',
                        'Skipped a bad location of image %(image)s: ',
                        'Image %(image)s cannot be read from RBD and',
                        'Image %(image)s cannot be stored on this node',
                        'Image %(image)s cannot be read now',
                        'Image %(image)s did not come over HTTP'):
            self.assertIn(message, texts)
