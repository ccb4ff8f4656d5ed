# SPDX-License-Identifier: Apache-2.0

"""Tests of the options: whatever is in nova.conf, a service starts."""

import logging
import os

import fixtures
from oslo_config import cfg
from oslo_config import generator

from nova.conf import rbd_download
from nova import test


class ValuesTest(test.NoDBTestCase):

    def _read(self, *lines):
        """Return what a service reads from a file, and has it logged."""
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'conf')
        with open(path, 'w') as file:
            file.write('\n'.join(('[glance]',) + lines) + '\n')
        conf = cfg.ConfigOpts()
        conf.register_opts(rbd_download.rbd_download_opts, group='glance')
        conf(args=['--config-file', path], project='nova')
        # As each service does when it starts. It reads all options.
        conf.log_opt_values(logging.getLogger(__name__), logging.DEBUG)
        return conf.glance

    def test_schemes_of_another_time(self):
        for value, expected in (('file', ['file']), ('', []),
                                ('rbd, file', ['rbd', 'file'])):
            self.assertEqual(expected, self._read(
                'allowed_direct_url_schemes = %s' % value
                ).allowed_direct_url_schemes)

    def test_numbers_out_of_range(self):
        for name, value, expected in (
                ('rbd_download_stall_timeout', '0', 5),
                ('rbd_download_stall_timeout', '-1', 5),
                ('rbd_download_stall_timeout', '7', 7),
                ('rbd_download_inflight', '-1', 0),
                ('rbd_download_inflight', '1000', 128),
                ('rbd_download_inflight', '12', 12),
                ('rbd_download_max_rate', '-5', 0),
                ('rbd_download_max_rate', '262144000', 262144000)):
            self.assertEqual(
                expected, self._read('%s = %s' % (name, value))[name])

    def test_replica(self):
        for value, expected in (('localise', 'default'), ('', 'default'),
                                ('Balance', 'default'),
                                ('localize', 'localize')):
            self.assertEqual(expected, self._read(
                'rbd_read_from_replica = %s' % value).rbd_read_from_replica)

    def test_defaults(self):
        read = self._read()
        self.assertEqual(
            (['rbd'], 60, 0, 0, 'default'),
            (read.allowed_direct_url_schemes, read.rbd_download_stall_timeout,
             read.rbd_download_inflight, read.rbd_download_max_rate,
             read.rbd_read_from_replica))

    def test_the_sample_file_has_them(self):
        for opt in rbd_download.rbd_download_opts:
            self.assertTrue(opt.help)
            self.assertTrue(generator._format_type_name(opt.type))
