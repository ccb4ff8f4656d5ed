# SPDX-License-Identifier: Apache-2.0

import os
import re

import fixtures
from oslo_config import cfg

import nova.conf
from nova.conf import glance
from nova.conf import opts
from nova.conf import rbd_download
from nova import test

CONF = nova.conf.CONF

DEFAULTS = {
    'allowed_direct_url_schemes': ['rbd'],
    'rbd_download_fallback': True,
    'rbd_download_verify_hash': True,
    'rbd_download_stall_timeout': 60,
    'rbd_download_inflight': 0,
    'rbd_download_max_rate': 0,
    'rbd_download_require_image_id': True,
    'rbd_read_from_replica': 'default',
}

# Those that deployment tools write, which upstream has had for long.
UPSTREAM_DEFAULTS = {
    'enable_rbd_download': False,
    'rbd_user': '',
    'rbd_connect_timeout': 5,
    'rbd_pool': '',
    'rbd_ceph_conf': '',
}


class RBDDownloadOptionsTest(test.NoDBTestCase):

    def test_defaults(self):
        for name, default in {**DEFAULTS, **UPSTREAM_DEFAULTS}.items():
            self.assertEqual(default, CONF.glance[name], name)

    def test_defaults_cover_every_option(self):
        self.assertEqual(
            sorted(DEFAULTS),
            sorted(opt.name for opt in rbd_download.rbd_download_opts))

    def test_listed_once_for_the_sample_file(self):
        listed = [opt.name for group, options in opts.list_opts()
                  for opt in options
                  if str(getattr(group, 'name', group)) == 'glance']
        for name in {**DEFAULTS, **UPSTREAM_DEFAULTS}:
            self.assertEqual(1, listed.count(name), name)

    def test_every_help_tells_values_and_relations(self):
        options = {opt.name: opt for opt in
                   glance.glance_opts + rbd_download.rbd_download_opts}
        for name in {**DEFAULTS, **UPSTREAM_DEFAULTS}:
            text = options[name].help
            if not getattr(options[name].type, 'choices', None):
                self.assertIn('Possible values:', text, name)
            for group, other in re.findall(
                    r':oslo\.config:option:`(\w+)\.(\w+)`', text):
                self.assertIn(other, CONF[group], name)
            self.assertNotIn('  \n', text, name)

    def test_help_of_other_options_is_untouched(self):
        options = {opt.name: opt for opt in glance.glance_opts}
        self.assertIn('num_retries', options)
        self.assertNotIn('rbd', options['num_retries'].help)

    def _read(self, name, value):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path,
                            'nova.conf')
        with open(path, 'w') as file:
            file.write('[glance]\n%s = %s\n' % (name, value))
        conf = cfg.ConfigOpts()
        rbd_download.register_opts(conf)
        conf([], default_config_files=[path], default_config_dirs=[])
        return conf.glance[name]

    def test_schemes(self):
        for text, expected in (('', []), ('rbd', ['rbd']),
                               ('rbd,rbd', ['rbd', 'rbd'])):
            self.assertEqual(
                expected, self._read('allowed_direct_url_schemes', text))
        for text in ('file', 'rbd,file', 'rbd:', 'RBD'):
            self.assertRaises(
                cfg.ConfigFileValueError, self._read,
                'allowed_direct_url_schemes', text)

    def test_limits(self):
        for name, bad in (('rbd_download_stall_timeout', 4),
                          ('rbd_download_inflight', -1),
                          ('rbd_download_inflight', 129),
                          ('rbd_download_max_rate', -1),
                          ('rbd_read_from_replica', 'nearest')):
            self.assertRaises(cfg.ConfigFileValueError, self._read, name, bad)
        for name, good in (('rbd_download_stall_timeout', 5),
                           ('rbd_download_inflight', 128),
                           ('rbd_download_max_rate', 1 << 40),
                           ('rbd_read_from_replica', 'balance'),
                           ('rbd_read_from_replica', 'localize')):
            self.assertEqual(good, self._read(name, good))
