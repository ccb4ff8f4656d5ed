# SPDX-License-Identifier: Apache-2.0

"""nova-image-download fetch, precache and bench."""

import json
import os
import signal
import time
from xml.etree import ElementTree

from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import command

MiB = base.MiB


class DownloadTestCase(command.CommandTestCase):

    def setUp(self):
        super().setUp()
        self.image_id, self.digest = self.common_image()
        self.path = os.path.join(self.directory, 'image.raw')

    def assertFetched(self, path=None):
        self.assertEqual(self.digest, base.sha512(path or self.path))
        self.assertEqual({'nova.conf', 'image.raw'},
                         set(os.listdir(self.directory)))

    def assertNothingFetched(self):
        self.assertEqual(['nova.conf'], os.listdir(self.directory))


class FetchTestCase(DownloadTestCase):

    def test_rbd(self):
        status, out, err = self.give('fetch', self.image_id, self.path)
        self.assertEqual((0, []), (status, self.lines(err)))
        self.assertRegex(out, '^%s: 24.0 MiB of which 24.0 MiB are data over '
                         'RBD in .*verified by sha512$' % self.path)
        self.assertFetched()
        self.assertEqual(0, self.downloads(self.image_id))

    def test_http(self):
        status, out, err = self.give('fetch', '--method', 'http',
                                     self.image_id, self.path)
        self.assertEqual((0, []), (status, self.lines(err)))
        self.assertRegex(out, '24.0 MiB over HTTP in .*verified by sha512')
        self.assertFetched()
        self.assertEqual(1, self.downloads(self.image_id))
        self.assertEqual([], self.engine_starts())

    def test_rbd_although_the_switch_is_off(self):
        self.nova.set('glance', 'enable_rbd_download', False)
        status, out, err = self.give('fetch', '--method', 'rbd',
                                     self.image_id, self.path)
        self.assertEqual((0, []), (status, self.lines(err)))
        self.assertIn('over RBD', out)
        self.assertFetched()

    def test_falls_back(self):
        self.nova.set('glance', 'rbd_pool', 'volumes')
        status, out, _err = self.give('fetch', self.image_id, self.path)
        self.assertEqual(0, status)
        self.assertIn('over HTTP', out)
        self.assertFetched()

    def test_rbd_or_nothing(self):
        self.nova.set('glance', 'rbd_pool', 'volumes')
        status, out, err = self.give('fetch', '--method', 'rbd',
                                     self.image_id, self.path)
        self.assertEqual((1, ''), (status, out))
        self.assertIn(self.image_id, err)
        self.assertNothingFetched()
        self.assertEqual(0, self.downloads(self.image_id))

    def test_replaces_a_file_but_nothing_else(self):
        with open(self.path, 'w') as f:
            f.write('old')
        self.assertEqual(0, self.give('fetch', self.image_id, self.path)[0])
        self.assertFetched()
        status, _out, err = self.give('fetch', self.image_id, '/dev/null')
        self.assertEqual(2, status)
        self.assertIn('/dev/null is not a regular file', err)

    def test_process_shows_the_log(self):
        self.write_config(rbd_pool='volumes')
        process = self.start('fetch', self.image_id, self.path)
        out, err = process.communicate(timeout=120)
        self.assertEqual(0, process.returncode, err)
        self.assertIn('over HTTP', out)
        (line,) = self.lines(err)
        self.assertRegex(line, '^WARNING: Downloading image %s over HTTP'
                         % self.image_id)
        self.assertFetched()

    def test_interrupted(self):
        self._test_interrupted(signal.SIGINT, 'rbd')

    def test_terminated(self):
        self._test_interrupted(signal.SIGTERM, 'rbd')

    def _test_interrupted(self, number, method):
        self.write_config(rbd_download_max_rate=2 * MiB)
        process = self.start('fetch', '--method', method, self.image_id,
                             self.path, start_new_session=True)
        self.addCleanup(process.kill)
        end = time.monotonic() + 60
        while not self._engines() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertNotEqual([], self._engines())
        time.sleep(1)
        # As a terminal does: to the child, too.
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=30)
        self.assertEqual((128 + number, ''), (process.returncode, out), err)
        self.assertEqual('nova-image-download: interrupted',
                         err.splitlines()[-1])
        self.assertNothingFetched()
        self.assertEqual([], self._engines())

    def _engines(self):
        return [process for process in self._processes() - self._before[
            'process'] if 'rbd_export' in process and '--pool' in process]


class PrecacheTestCase(DownloadTestCase):

    def test_precache(self):
        path = self.cache_path(self.image_id)
        self._wanted.add(path)
        other = self.bed.glance.upload(b'another', store='fast')
        self._wanted.add(self.cache_path(other))
        status, out, err = self.give('precache', self.image_id, 'nothing',
                                     self.image_id, other)
        self.assertEqual(1, status)
        first, second, third = out.splitlines()
        self.assertRegex(first, '^%s: 24.0 MiB .* over RBD' % self.image_id)
        self.assertEqual('%s: is in the image cache already' % self.image_id,
                         second)
        self.assertRegex(third, '^%s: 7 bytes over HTTP' % other)
        self.assertRegex(err, 'no image nothing')
        self.assertEqual(self.digest, base.sha512(path))
        self.assertEqual(0, self.downloads(self.image_id))
        # A boot finds it there.
        starts = len(self.engine_starts())
        self.fetch(self.image_id)
        self.assertEqual(starts, len(self.engine_starts()))

    def test_image_in_use_stays_in_the_cache(self):
        path = self.fetch(self.image_id)
        os.utime(path, (1, 1))
        self.assertEqual(0, self.give('precache', self.image_id)[0])
        self.assertGreater(os.stat(path).st_mtime, 1e9)

    def test_two_at_once(self):
        self._wanted.add(self.cache_path(self.image_id))
        self.write_config(rbd_download_max_rate=8 * MiB)
        processes = [self.start('precache', self.image_id) for _ in range(2)]
        said = []
        for process in processes:
            out, err = process.communicate(timeout=120)
            self.assertEqual(0, process.returncode, out + err)
            said.append(out)
        self.assertEqual(1, sum(' over RBD' in out for out in said), said)
        self.assertEqual(1, sum('is in the image cache already' in out
                                for out in said), said)
        self.assertEqual(self.digest,
                         base.sha512(self.cache_path(self.image_id)))
        self.assertEqual(0, self.downloads(self.image_id))

    def test_directory_of_another_user(self):
        # Root becomes that user, who may read nothing here.
        os.chown(self.nova.instances_path, 12345, -1)
        self.addCleanup(os.chown, self.nova.instances_path, 0, -1)
        process = self.start('precache', self.image_id)
        out, err = process.communicate(timeout=120)
        self.assertEqual((2, ''), (process.returncode, out))
        self.assertRegex(self.lines(err)[-1],
                         'nova.conf, as 12345|by user 12345')


class BenchTestCase(DownloadTestCase):

    def test_table_and_page(self):
        page = os.path.join(self.directory, 'page.html')
        status, out, err = self.give('bench', '--runs', '2', '--html', page,
                                     self.image_id)
        self.assertEqual((0, []), (status, self.lines(err)))
        self.assertRegex(out, r'RBD \|.*\| +24.0 MiB \| +sha512')
        self.assertRegex(out, r'HTTP \|.*\| +24.0 MiB \| +sha512')
        self.assertIn('times as fast as', out)
        self.assertEqual(2, self.downloads(self.image_id))
        with open(page) as f:
            text = f.read()
        # It is well-formed, and loads nothing.
        ElementTree.fromstring(text.replace('<!DOCTYPE html>', '')
                               .replace('<meta charset="utf-8">', '')
                               .replace('initial-scale=1">',
                                        'initial-scale=1"/>'))
        for word in ('http://', 'https://', 'src=', '<script', 'url('):
            self.assertNotIn(word, text)
        self.assertEqual(2, text.count('<svg'))

    def test_json(self):
        status, out, _err = self.give('bench', '--runs', '1', '--format',
                                      'json', self.image_id)
        self.assertEqual(0, status)
        report = json.loads(out)
        self.assertEqual(['rbd', 'http'],
                         [run['method'] for run in report['runs']])
        self.assertEqual([24 * MiB] * 2,
                         [run['size'] for run in report['runs']])

    def test_image_that_is_not_in_rbd(self):
        image_id = self.bed.glance.upload(b'elsewhere', store='fast')
        status, out, err = self.give('bench', image_id)
        self.assertEqual((1, ''), (status, out))
        self.assertIn(image_id, err)
