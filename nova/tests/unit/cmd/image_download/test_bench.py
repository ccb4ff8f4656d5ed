# SPDX-License-Identifier: Apache-2.0

import os
from unittest import mock

import fixtures

from nova.cmd.image_download import bench
from nova.cmd.image_download import download
from nova.cmd.image_download import service_user
from nova import test

IMAGE = {'id': '2ab5c1f0', 'name': 'cirros', 'size': 1000,
         'disk_format': 'raw'}


def outcome(method, seconds, **changes):
    return download.Outcome(**{**dict(
        method=method, size=1000, data_bytes=None, allocated=4096,
        seconds=seconds, verified='sha512', progress=[(seconds, 1000)]),
        **changes})


class RunTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.flags(instances_path=self.directory)
        self.order = []
        self.fetch = self.useFixture(fixtures.MockPatchObject(
            download, 'fetch', side_effect=self._fetch)).mock

    def _fetch(self, context, image, path, method, show):
        self.assertEqual(self.directory,
                         os.path.dirname(os.path.dirname(path)))
        self.assertFalse(os.path.exists(path))
        with open(path, 'w') as f:
            f.write('data')
        return outcome(method, 1.0)

    def _run(self, rounds=2, image=IMAGE):
        return bench.run(
            mock.sentinel.context, image, rounds,
            lambda method, number: self.order.append((method, number)))

    def test_ways_take_turns(self):
        runs = self._run(3)
        self.assertEqual([('rbd', 1), ('http', 1), ('http', 2), ('rbd', 2),
                          ('rbd', 3), ('http', 3)], self.order)
        self.assertEqual(self.order, [(run.outcome.method, run.number)
                                      for run in runs])
        self.assertEqual([], os.listdir(self.directory))

    def test_failure_leaves_nothing(self):
        def fail(context, image, path, method, show):
            self._fetch(context, image, path, method, show)
            raise KeyboardInterrupt()

        self.fetch.side_effect = fail
        self.assertRaises(KeyboardInterrupt, self._run)
        self.assertEqual([], os.listdir(self.directory))

    def test_no_room(self):
        self.assertRaises(service_user.OperatorError, self._run,
                          image=dict(IMAGE, size=1 << 60))
        self.assertEqual([], self.order)

    def test_no_directory(self):
        self.flags(instances_path='/nowhere')
        self.assertRaises(service_user.OperatorError, self._run)

    def test_directory_of_another_user(self):
        with mock.patch.object(bench.node_user, 'why_not_writable',
                               return_value='no'):
            self.assertRaises(service_user.OperatorError, self._run)

    def test_room_that_servers_need(self):
        usage = mock.Mock(total=20 << 30, free=(1 << 30) + 999)
        with mock.patch('shutil.disk_usage', return_value=usage):
            self.assertRaises(service_user.OperatorError, self._run)
        usage.free += 1
        with mock.patch('shutil.disk_usage', return_value=usage):
            self._run()


class SummaryTestCase(test.NoDBTestCase):

    RUNS = [bench.Run(1, outcome('rbd', 1.0), 0.5),
            bench.Run(1, outcome('http', 8.0), 3.0),
            bench.Run(2, outcome('http', 4.0, allocated=8192), 1.0),
            bench.Run(2, outcome('rbd', 3.0), 0.7),
            bench.Run(3, outcome('rbd', 1.5), 0.6)]

    def test_medians(self):
        rbd, http = bench.summarise(self.RUNS)
        self.assertEqual(('rbd', 3, 1.5, 1.0, 3.0, 0.6), (
            rbd.method, rbd.runs, rbd.seconds, rbd.fastest, rbd.slowest,
            rbd.cpu_seconds))
        self.assertAlmostEqual(1000 / 1.5, rbd.rate)
        self.assertEqual(('http', 6.0, 8192),
                         (http.method, http.seconds, http.allocated))
        self.assertEqual(4.0, bench.speedup([rbd, http]))

    def test_one_way_only(self):
        (rbd,) = bench.summarise(self.RUNS[:1])
        self.assertIsNone(bench.speedup([rbd]))

    def test_json(self):
        report = bench.as_json(IMAGE, self.RUNS)
        self.assertEqual(4.0, report['speedup'])
        self.assertEqual('2ab5c1f0', report['image']['id'])
        self.assertEqual([1, 1, 2, 2, 3],
                         [run['number'] for run in report['runs']])
        self.assertEqual(0.5, report['runs'][0]['cpu_seconds'])
