# SPDX-License-Identifier: Apache-2.0

"""The export engine and the local disk."""

import os
import stat
import subprocess
import time

from nova.tests.functional.rbd_download import engine
from nova.tests.testbed import daemon

MiB = engine.MiB
MAPPED = engine.MAPPED


class LocalTroubleTestCase(engine.EngineTestCase):

    def test_stale_file_is_replaced(self):
        data = self.random.randbytes(5000)
        name = self.create(data)
        with open(self.dest, 'wb') as stale:
            stale.write(b'stale' * 100000)
        inode = os.stat(self.dest).st_ino
        self.assert_exported(self.export(name), data)
        self.assertNotEqual(inode, os.stat(self.dest).st_ino)

    def test_stale_file_stays_when_the_export_fails(self):
        name = self.create(b'x' * 100)
        with open(self.dest, 'wb') as stale:
            stale.write(b'stale')
        run = self.export(name, '--digest=sha256:' + '0' * 64)
        self.assertEqual(8, run.code)
        self.assertEqual([os.path.basename(self.dest)], os.listdir(self.dir))
        with open(self.dest, 'rb') as stale:
            self.assertEqual(b'stale', stale.read())

    def test_other_kinds_of_target(self):
        name = self.create(b'x')
        outside = os.path.join(self.useFixture(daemon.Directory()).path, 'x')
        for make in (lambda: os.mkdir(self.dest),
                     lambda: os.mkfifo(self.dest),
                     lambda: os.symlink(outside, self.dest)):
            make()
            before = os.lstat(self.dest)
            run = self.export(name)
            self.assertEqual((26, 'not_writable'),
                             (run.code, run.final['code']))
            self.assertIn(self.dest, run.final['message'])
            self.assertEqual(before.st_ino, os.lstat(self.dest).st_ino)
            self.assertFalse(os.path.exists(outside))
            if stat.S_ISDIR(before.st_mode):
                os.rmdir(self.dest)
            else:
                os.unlink(self.dest)

    def test_no_directory(self):
        name = self.create(b'x')
        self.dest = os.path.join(self.dir, 'no', 'image')
        run = self.export(name)
        self.assert_failed(run, 'not_writable', 26)
        self.assertIn(os.path.dirname(self.dest), run.final['message'])

    def test_directory_vanishes(self):
        name = self.create(self.random.randbytes(8 * MiB))
        directory = os.path.join(self.dir, 'sub')
        os.mkdir(directory)
        self.dest = os.path.join(directory, 'image')
        process = self.start_slow(name)
        os.rmdir(directory)
        run = engine.Run(process, time.monotonic())
        self.assert_failed(run, 'not_writable', 26)

    def test_mode_follows_the_umask(self):
        name = self.create(b'x')
        old = os.umask(0o027)
        try:
            run = self.export(name)
        finally:
            os.umask(old)
        self.assert_exported(run, b'x')
        self.assertEqual(0o640, stat.S_IMODE(os.stat(self.dest).st_mode))

    def _small_disk(self, size):
        if os.geteuid():
            self.skipTest('only root can mount a file system')
        mounted = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=%d' % size, 'tmpfs',
             self.dir], capture_output=True)
        if mounted.returncode:
            self.skipTest('cannot mount: %s' % mounted.stderr)
        self.addCleanup(subprocess.run, ['umount', self.dir], check=True)

    def test_no_space(self):
        name = self.create(self.random.randbytes(16 * MiB))
        self._small_disk(8 * MiB)
        run = self.export(name)
        self.assert_failed(run, 'no_space', 9)
        self.assertIn('available_bytes', run.final)

    def test_no_space_with_an_object_map(self):
        name = self.create(self.random.randbytes(16 * MiB), features=MAPPED)
        self._small_disk(8 * MiB)
        self.assert_failed(self.export(name), 'no_space', 9)

    def test_what_fits_is_not_refused(self):
        # An object map says what may be there; most of it is zeros.
        data = bytearray(16 * MiB)
        data[::MiB] = b'x' * 16
        name = self.create(bytes(data), features=MAPPED, order=20)
        self._small_disk(8 * MiB)
        self.assert_exported(self.export(name), bytes(data))

    def test_sparse_image_fits_on_a_small_disk(self):
        data = bytes(64 * MiB) + b'x'
        name = self.create(data)
        self._small_disk(8 * MiB)
        self.assert_exported(self.export(name), data)

    def test_limit_of_the_file_size(self):
        name = self.create(b'x' * MiB)
        command = self.command(*self.image_arguments(name), '--', self.dest)
        started = time.monotonic()
        process = subprocess.Popen(
            ['sh', '-c', 'ulimit -f 16; exec "$@"', 'sh', *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run = engine.Run(process, started)
        self.assert_failed(run, 'limits', 28)
