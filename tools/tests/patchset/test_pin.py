# SPDX-License-Identifier: Apache-2.0

import pathlib

import ddt
import fixtures
import testtools

from patchset.errors import PatchsetError
from patchset.pin import read_pin
from tools.tests import small_checkout


@ddt.ddt
class PinTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        small_checkout.make(self.root)
        self.pin = read_pin(self.root)

    def recognise(self, service):
        return self.pin.recognise({small_checkout.SERVICE: service}.get)

    def test_missing_or_wrong(self):
        ini = self.root / 'patches' / 'upstream.ini'
        for text in ('', '[upstream]\nrevision = 1\n',
                     ini.read_text().replace('7', 'seven'),
                     ini.read_text().replace('series', 'serial'), None):
            if text is None:
                ini.unlink()
            else:
                ini.write_text(text)
            exc = self.assertRaises(PatchsetError, read_pin, self.root)
            self.assertIn('upstream.ini', str(exc))

    def test_newest(self):
        self.assertTrue(self.pin.newest)
        self.assertEqual('34.0.0+rbd.7', self.pin.version)
        self.assertEqual(('34.0.0', '00'),
                         (self.pin.release, self.pin.sha256))

    @ddt.data('31', '31.3.1')
    def test_choose(self, name):
        pin = read_pin(self.root, name)
        self.assertFalse(pin.newest)
        self.assertEqual('31.3.1+rbd.7', pin.version)
        self.assertEqual('nova-31.3.1-py3-none-any.whl', pin.wheel)
        self.assertEqual('11', pin.sha256)

    # Another point release has another hash.
    @ddt.data('35', '31.3.0', '3')
    def test_choose_another(self, name):
        exc = self.assertRaises(PatchsetError, read_pin, self.root, name)
        self.assertIn('nova %s but for 34.0.0, 31.3.1' % name, str(exc))

    def test_recognise(self):
        self.assertEqual('34.0.0',
                         self.recognise(small_checkout.SERIES).name)
        # As it stood before upstream changed its quotes.
        self.assertEqual('31', self.recognise(
            b'SERVICE_VERSION = 68\nSERVICE_VERSION_ALIASES = {\n'
            b'    "Dalmatian": 67,\n    # A comment.\n'
            b'    "Epoxy": 68,\n}\n').number)

    @ddt.data(
        (b'SERVICE_VERSION = 66\nSERVICE_VERSION_ALIASES = {\n'
         b"    'Antelope': 66,\n    'Bobcat': 66,\n}\n",
         'nova Bobcat (service version 66)'),
        # The next one, on its way.
        (b'SERVICE_VERSION = 75\nSERVICE_VERSION_ALIASES = {\n'
         b"    'Hibiscus': 74,\n}\n", 'nova Hibiscus (service version 75)'),
        # Older than the aliases.
        (b'SERVICE_VERSION = 40\n', 'no nova that says which'),
        (None, 'no nova that says which'))
    @ddt.unpack
    def test_does_not_recognise(self, service, said):
        exc = self.assertRaises(PatchsetError, self.recognise, service)
        self.assertIn(said, str(exc))
        self.assertIn('for Epoxy to Hibiscus, which are nova 31 to 34',
                      str(exc))
