# SPDX-License-Identifier: Apache-2.0


import json
import os
import tempfile
import unittest
from unittest import mock

from demo import nova_download


class NovaDownloadTestCase(unittest.TestCase):

    def test_result(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(
                nova_download, 'download', return_value={'seconds': 1}
                ) as download, mock.patch.object(nova_download.sys, 'path',
                                                 []):
            path = os.path.join(folder, 'result')
            nova_download.main(['conf', path, 'a', '/a', 'b', '/b'])
            with open(path) as f:
                self.assertEqual({'seconds': 1}, json.load(f))
            self.assertEqual(['result'], os.listdir(folder))
        download.assert_called_once_with('conf', [('a', '/a'), ('b', '/b')])

    def test_cpu(self):
        self.assertGreater(nova_download.cpu(), 0)
