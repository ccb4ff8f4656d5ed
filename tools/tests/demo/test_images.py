# SPDX-License-Identifier: Apache-2.0

import contextlib
import io
import os
import tempfile
import unittest
from unittest import mock

from demo import images


class ImagesTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.realpath(folder.name)
        self.out = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.out))

    def test_make_image(self):
        path = f'{self.dir}/image'
        images.make_image(path, (64 << 20) + 5, 6 << 20)
        self.assertEqual((64 << 20) + 5, os.path.getsize(path))
        self.assertLess(abs(images.allocated(path) - (6 << 20)), 1 << 20)
        with open(path, 'rb') as f:
            self.assertTrue(any(f.read(4096)))
            f.seek(-4096, os.SEEK_END)
            self.assertTrue(any(f.read()))
        self.assertRegex(self.out.getvalue(), r'(?m)^Make an image: [\d.]+ s$')

    def test_progress_of_an_upload(self):
        path = f'{self.dir}/image'
        with open(path, 'wb') as f:
            f.write(bytes(100))
        shown = mock.Mock()
        with open(path, 'rb') as f:
            watched = images._Watched(f, shown)
            self.assertEqual(bytes(60), watched.read(60))
            self.assertEqual(60, watched.tell())
            watched.read()
        self.assertEqual([mock.call(60, 100), mock.call(100, 100)],
                         shown.show.call_args_list)
