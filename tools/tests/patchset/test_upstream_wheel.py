# SPDX-License-Identifier: Apache-2.0

import pathlib
import shutil

import fixtures
import testtools

from patchset.errors import PatchsetError
from patchset.pin import read_pin
from patchset import upstream_wheel
from tools.tests import small_checkout


class UpstreamWheelTest(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        small_checkout.make(self.root)
        self.pin = read_pin(small_checkout.CHECKOUT)
        shutil.copy(small_checkout.CHECKOUT / 'patches' / 'upstream.ini',
                    self.root / 'patches' / 'upstream.ini')
        self.cached = self.root / 'build' / 'upstream' / self.pin.wheel

    def cache(self):
        real = upstream_wheel.Wheel(small_checkout.CHECKOUT).path
        self.cached.parent.mkdir(parents=True)
        shutil.copy(real, self.cached)

    def no_network(self):
        self.useFixture(fixtures.EnvironmentVariable('PIP_NO_INDEX', '1'))
        self.useFixture(fixtures.EnvironmentVariable('PIP_FIND_LINKS', ''))
        self.useFixture(fixtures.EnvironmentVariable('PIP_CONFIG_FILE',
                                                     '/dev/null'))

    def test_cached_is_used_without_network(self):
        self.cache()
        self.no_network()
        wheel = upstream_wheel.Wheel(self.root)
        self.assertIn(b'nova', wheel.read('nova/version.py'))
        self.assertIsNone(wheel.read('nova/no_such.py'))
        self.assertEqual('nova', wheel.metadata()['Name'])

    def test_extract(self):
        self.cache()
        wheel = upstream_wheel.Wheel(self.root)
        wheel.extract('nova/hacking/', self.root / 'out')
        self.assertEqual(wheel.read('nova/hacking/checks.py'),
                         (self.root / 'out' / 'checks.py').read_bytes())

    def test_damaged_cache(self):
        self.cache()
        with open(self.cached, 'ab') as stream:
            stream.write(b'x')
        exc = self.assertRaises(PatchsetError,
                                upstream_wheel.Wheel, self.root)
        self.assertIn(str(self.cached), str(exc))
        self.assertIn(self.pin.sha256, str(exc))

    def test_fetched_file_has_another_hash(self):
        # A package index that serves something else under the same name.
        index = self.root / 'index'
        index.mkdir()
        shutil.copy(upstream_wheel.Wheel(small_checkout.CHECKOUT).path, index)
        self.no_network()
        self.useFixture(fixtures.EnvironmentVariable('PIP_FIND_LINKS',
                                                     str(index)))
        ini = self.root / 'patches' / 'upstream.ini'
        ini.write_text(ini.read_text().replace(self.pin.sha256, 'ab' * 32))
        exc = self.assertRaises(PatchsetError,
                                upstream_wheel.Wheel, self.root)
        self.assertIn(self.pin.wheel, str(exc))
        self.assertIn(self.pin.sha256, str(exc))
        self.assertEqual([], list(self.cached.parent.iterdir()))
        # The right hash makes it pass, by way of pip and that index.
        ini.write_text(ini.read_text().replace('ab' * 32, self.pin.sha256))
        self.assertEqual(self.cached, upstream_wheel.Wheel(self.root).path)

    def test_cannot_be_fetched(self):
        self.no_network()
        exc = self.assertRaises(PatchsetError,
                                upstream_wheel.Wheel, self.root)
        self.assertIn(self.pin.wheel, str(exc))
        self.assertIn('No matching distribution', str(exc))
        self.assertEqual([], list(self.cached.parent.iterdir()))
