# SPDX-License-Identifier: Apache-2.0

import pathlib

import fixtures
import testtools

from patchset.errors import PatchsetError
from patchset.pin import read_pin
from tools.tests import small_checkout


class PinTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        small_checkout.make(self.root)

    def test_version(self):
        pin = read_pin(self.root)
        self.assertEqual('34.0.0+rbd.7', pin.version)
        self.assertEqual('nova-34.0.0-py3-none-any.whl', pin.wheel)

    def test_missing_or_wrong(self):
        ini = self.root / 'patches' / 'upstream.ini'
        for text in ('', '[upstream]\nrelease = 34.0.0\n',
                     ini.read_text().replace('7', 'seven'), None):
            if text is None:
                ini.unlink()
            else:
                ini.write_text(text)
            exc = self.assertRaises(PatchsetError, read_pin, self.root)
            self.assertIn('upstream.ini', str(exc))
