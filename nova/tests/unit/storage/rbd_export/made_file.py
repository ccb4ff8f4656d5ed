# SPDX-License-Identifier: Apache-2.0

"""Files that are made in tests."""

import os

import fixtures

from nova.storage.rbd_export import errors
from nova.storage.rbd_export import output_file
from nova import test


class FileTestCase(test.NoDBTestCase):
    """Makes files in a directory of its own."""

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.dir, 'image')

    def open(self, path=None):
        made = output_file.OutputFile(path or self.path)
        made.open_directory()
        return made

    def create(self, size, path=None):
        made = self.open(path)
        return made, made.create(size)

    def make(self, data=b'x' * 5000, path=None):
        made, writer = self.create(len(data), path)
        writer.write(data, [(0, len(data))], 0)
        return made, writer

    def finish(self, made, writer):
        while writer.flush_some():
            pass
        writer.sync()
        made.publish()

    def read(self, path=None):
        with open(path or self.path, 'rb') as f:
            return f.read()

    def assert_refused(self, code, call, *args):
        exc = self.assertRaises(errors.ExportError, call, *args)
        self.assertEqual(code, exc.code)
        return exc
