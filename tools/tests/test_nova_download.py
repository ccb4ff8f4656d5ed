# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


import json
import os
import tempfile
import unittest
from unittest import mock

import benchmark_samples  # noqa: F401

import nova_download


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
