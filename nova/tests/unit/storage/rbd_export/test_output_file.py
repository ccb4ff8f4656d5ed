# SPDX-License-Identifier: Apache-2.0

"""The file that the export engine makes."""

import errno
import fcntl
import os
import re
from unittest import mock

from nova.storage.rbd_export import output_file
from nova.tests.unit.storage.rbd_export import made_file

_open = os.open


def _no_tmpfile(number):
    """Stand in for os.open on a file system without unnamed files."""
    def fake(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        return _open(path, flags, *args, **kwargs)
    return mock.patch.object(os, 'open', fake)


class OutputFileTestCase(made_file.FileTestCase):

    def test_invisible_until_published(self):
        made, writer = self.make()
        self.assertEqual([], os.listdir(self.dir))
        self.finish(made, writer)
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_relative_path(self):
        old = os.getcwd()
        os.chdir(self.dir)
        self.addCleanup(os.chdir, old)
        self.finish(*self.make(path='image'))
        self.assertEqual(b'x' * 5000, self.read())

    def test_replaces_a_file(self):
        with open(self.path, 'w') as f:
            f.write('old')
        self.finish(*self.make())
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_replaces_a_file_that_came_meanwhile(self):
        made, writer = self.make()
        link = os.link

        def race(src, dst, **kwargs):
            if dst == 'image':
                with open(self.path, 'w') as f:
                    f.write('faster')
            return link(src, dst, **kwargs)

        with mock.patch.object(os, 'link', race):
            self.finish(made, writer)
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_no_replacing_a_directory_that_came_meanwhile(self):
        made, writer = self.make()
        os.mkdir(self.path)
        self.assert_refused('not_writable', made.publish)
        made.abandon()
        self.assertEqual(['image'], os.listdir(self.dir))

    def test_private_name_where_there_are_no_unnamed_files(self):
        for number in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            with _no_tmpfile(number):
                made, writer = self.make()
            name, = os.listdir(self.dir)
            self.assertRegex(name, output_file.TEMPORARY_NAME)
            self.assertTrue(name.startswith('.image.'))
            # Whoever finds it can tell that its maker lives.
            with open(os.path.join(self.dir, name)) as found:
                self.assertRaises(BlockingIOError, fcntl.flock, found,
                                  fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.finish(made, writer)
            self.assertEqual(['image'], os.listdir(self.dir))
            self.assertEqual(b'x' * 5000, self.read())
            made.abandon()
            self.assertEqual(['image'], os.listdir(self.dir))
            os.unlink(self.path)

    def test_private_name_where_links_are_refused(self):
        for number in (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP,
                       errno.EXDEV, errno.ENOENT, errno.EMLINK,
                       errno.ENOSYS):
            with mock.patch.object(os, 'link',
                                   side_effect=OSError(number, 'x')):
                made, writer = self.make()
                self.assertEqual(1, len(os.listdir(self.dir)))
                self.finish(made, writer)
            self.assertEqual(['image'], os.listdir(self.dir))
            self.assertEqual(b'x' * 5000, self.read())
            os.unlink(self.path)

    def test_the_trial_of_a_link_is_not_left(self):
        fds = len(os.listdir('/proc/self/fd'))
        made, writer = self.make()
        self.assertEqual([], os.listdir(self.dir))
        self.assertIn(len(os.listdir('/proc/self/fd')) - fds, (2, 3))
        # It may be taken for a leftover.
        unlink = os.unlink

        def race(name, **kwargs):
            unlink(name, **kwargs)
            unlink(name, **kwargs)

        with mock.patch.object(os, 'unlink', race):
            made, writer = self.make()
        self.assertEqual([], os.listdir(self.dir))

    def test_a_disk_that_refuses_the_link(self):
        for number, code in ((errno.ENOSPC, 'no_space'),
                             (errno.EROFS, 'local_file')):
            with mock.patch.object(os, 'link',
                                   side_effect=OSError(number, 'x')):
                self.assert_refused(code, self.make)
            self.assertEqual([], os.listdir(self.dir))

    def test_private_name_is_removed_when_abandoned(self):
        with _no_tmpfile(errno.EOPNOTSUPP):
            made, writer = self.make()
        made.abandon()
        self.assertEqual([], os.listdir(self.dir))
        made.abandon()

    def test_private_name_of_a_long_name(self):
        for name in ('a' * 255, '\u00e9' * 127):
            path = os.path.join(self.dir, name)
            with _no_tmpfile(errno.EOPNOTSUPP):
                made, writer = self.make(path=path)
            self.assertTrue(re.match(output_file.TEMPORARY_NAME,
                                     os.listdir(self.dir)[0]))
            self.finish(made, writer)
            self.assertEqual(b'x' * 5000, self.read(path))
            os.unlink(path)

    def test_errors_of_the_disk_are_no_reason_for_a_private_name(self):
        for number, code in ((errno.EROFS, 'local_file'),
                             (errno.EIO, 'local_file'),
                             (errno.ENOSPC, 'no_space'),
                             (errno.EDQUOT, 'no_space')):
            with _no_tmpfile(number):
                exc = self.assert_refused(code, self.create, 5)
            self.assertIn(errno.errorcode[number], str(exc))
            self.assertEqual([], os.listdir(self.dir))

    def test_file_that_cannot_be_made(self):
        made = self.open()
        for number, code in ((errno.EACCES, 'not_writable'),
                             (errno.EPERM, 'not_writable'),
                             (errno.EMFILE, 'limits'),
                             (errno.ENFILE, 'limits'),
                             (errno.ENOMEM, 'limits')):
            with mock.patch.object(os, 'open',
                                   side_effect=OSError(number, 'x')):
                exc = self.assert_refused(code, made.create, 5)
            self.assertIn(errno.errorcode[number], str(exc))

    def test_not_a_file(self):
        os.mkdir(self.path)
        os.symlink('nowhere', os.path.join(self.dir, 'link'))
        for path in (self.path, self.path + '/', self.dir + '/.',
                     self.dir + '/..', os.path.join(self.dir, 'link'),
                     '/dev/null'):
            self.assert_refused('not_writable', self.open, path)

    def test_no_directory(self):
        exc = self.assert_refused('not_writable', self.open,
                                  self.path + '/x/y')
        self.assertIn(self.path + '/x', str(exc))

    def test_directory_that_may_not_be_read(self):
        def refuse(path, flags, *args, **kwargs):
            if path == self.dir and not flags & os.O_PATH:
                raise PermissionError(errno.EACCES, 'x')
            return _open(path, flags, *args, **kwargs)

        with mock.patch.object(os, 'open', refuse):
            self.finish(*self.make())
        self.assertEqual(b'x' * 5000, self.read())

    def test_name_that_comes_and_goes(self):
        made, writer = self.make()
        writer.sync()
        link = made._link

        def exists_once(name):
            made._link = link
            raise FileExistsError()

        made._link = exists_once
        made.publish()
        self.assertEqual(['image'], os.listdir(self.dir))
        self.assertEqual(b'x' * 5000, self.read())

    def test_directory_that_cannot_be_synchronised(self):
        for number in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF,
                       errno.EPERM):
            made, writer = self.make()
            writer.sync()
            with mock.patch.object(os, 'fsync',
                                   side_effect=OSError(number, 'x')):
                made.publish()
            self.assertEqual(['image'], os.listdir(self.dir))
        made, writer = self.make()
        writer.sync()
        with mock.patch.object(os, 'fsync',
                               side_effect=OSError(errno.EIO, 'x')):
            self.assert_refused('local_file', made.publish)

    def test_no_descriptor_is_inherited(self):
        made, writer = self.make()
        self.assertFalse(os.get_inheritable(writer._fd))
        self.assertFalse(os.get_inheritable(made._dirfd))
