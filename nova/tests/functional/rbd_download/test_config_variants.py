# SPDX-License-Identifier: Apache-2.0

"""What each way to configure a node for Ceph gives, on one cluster.

For each row of config_variants: the code of the engine, the line of Nova's
log, what check finds and ends with, and the next boot once it is fixed.
"""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import types

import ddt

import nova.storage
from nova.storage import export_process
from nova.storage.rbd_export import errors
from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import command
from nova.tests.functional.rbd_download import config_variants
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import daemon
from nova import utils

ENGINE = os.path.join(nova.storage.__path__[0], 'rbd_export')
SYSTEM_PYTHON = '/usr/bin/python3'

_images = {}


def of_variants(test):
    """Make a test of each row, under its name."""
    return ddt.named_data(*[
        (variant.name, variant) for variant in config_variants.VARIANTS
    ])(test)


class VariantTestCase(command.CommandTestCase):

    # Where the monitors are dead, each step waits for so long.
    CONNECT = 6

    def setUp(self):
        super().setUp()
        cluster = self.cluster = self.start_cluster()
        os.chmod(self.directory, 0o755)
        self.conf = os.path.join(self.directory, 'ceph.conf')
        self.keyring = os.path.join(self.directory, 'keyring')
        self.facts = {
            'fsid': cluster.fsid, 'dir': self.directory,
            'v2': cluster.mon_addr_v2, 'v1': cluster.mon_addr,
            'key': cluster.key(cluster.nova), 'keyring': self.keyring,
            'dead': daemon.free_port()}
        self.nova.set('glance', 'rbd_connect_timeout', self.CONNECT)
        self.write_config(rbd_ceph_conf=self.conf,
                          rbd_connect_timeout=self.CONNECT)
        self.nova.set('glance', 'rbd_ceph_conf', self.conf)
        self.image_id, self.digest = self.image()
        self.by_hand = os.path.join(
            os.path.dirname(self.cache_path(self.image_id)), 'by-hand')

    def start_cluster(self):
        return self.bed.cluster

    def image(self):
        """Return the id and digest of an image in RBD and in files."""
        if self.bed.glance.dir not in _images:
            data = base.noise(1 << 20)
            _images[self.bed.glance.dir] = (self.upload_to_both(data),
                                            base.sha512(data))
        image_id, digest = _images[self.bed.glance.dir]
        self._served[image_id] = self.bed.glance.downloads(image_id)
        return image_id, digest

    def put(self, path, text, mode=0o644):
        if os.path.exists(path):
            os.unlink(path)
        if text is None:
            return
        if isinstance(text, str):
            for name, value in self.facts.items():
                text = text.replace('{%s}' % name, str(value))
            text = text.encode()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode),
                  'wb') as f:
            f.write(text)
        os.chmod(path, mode)

    def configure(self, variant):
        self.put(self.conf, variant.conf, variant.conf_mode)
        self.put(self.keyring, variant.keyring, variant.keyring_mode)
        self.become(variant.user)
        if variant.prepare:
            getattr(self, variant.prepare)()

    def fix(self, variant):
        """Configure the node as it is to be."""
        self.put(self.conf, config_variants.NAMED)
        self.put(self.keyring, config_variants.KEYRING)
        if variant.prepare:
            getattr(self, 'undo_' + variant.prepare)()

    def become(self, user):
        """Let the engine be run by another user."""
        self.python = sys.executable
        if user is None:
            return
        if os.geteuid():
            self.skipTest('only root can be another user')
        # The checkout may be in a place that only root can look into.
        engine = os.path.join(self.directory, 'rbd_export')
        shutil.copytree(ENGINE, engine)
        subprocess.run(['chmod', '-R', 'a+rX', engine], check=True)
        wrapper = os.path.join(self.directory, 'python')
        self.put(wrapper, '#!/bin/sh\nexec setpriv --reuid=%d --regid=%d '
                 '--clear-groups %s "$@"\n' % (user, user, SYSTEM_PYTHON),
                 0o755)
        self.stub_out('nova.storage.export_process.engine_path',
                      lambda: os.path.join(engine, '__main__.py'))
        self.stub_out('nova.storage.export_python.SYSTEM_PYTHON', wrapper)
        self.stub_out('nova.storage.export_python.sys',
                      types.SimpleNamespace(executable=wrapper))
        self.python = wrapper
        # Only what is written to: the command would become the owner of the
        # other one.
        os.chmod(self.nova.instances_path, 0o755)
        os.chown(os.path.dirname(self.by_hand), user, user)

    # What is not in a file

    def blocklist(self):
        self.addCleanup(self.undo_blocklist)
        self.bed.cluster.command('osd blocklist', blocklistop='add',
                                 addr='127.0.0.1:0/0', expire=600.0)

    def undo_blocklist(self):
        self.bed.cluster.command('osd blocklist', blocklistop='rm',
                                 addr='127.0.0.1:0/0')
        self.bed.cluster.wait_ready()

    # Steps

    def run_engine(self):
        """Return the final event of the engine."""
        done = subprocess.run(
            [self.python, '-I', export_process.engine_path(), '--json',
             '--id=nova', '--conf=' + self.conf,
             '--connect-timeout=%d' % self.CONNECT,
             '--pool=images', '--image=' + self.image_id, '--snap=snap', '--',
             self.by_hand],
            cwd='/', stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, timeout=120)
        self.assertTrue(done.stdout, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def check_engine(self, variant):
        event = self.run_engine()
        code = event.get('code', '')
        self.assertIn(code, variant.codes, event)
        if code:
            self.assertEqual('error', event['event'])
            self.assertEqual(errors.CAUSES[code].exit, event['exit'])
            self.assertRegex(event['message'], '(?i)' + variant.words)
            self.assertTrue(event['remedy'])
        return code, event

    def boot(self):
        """Fetch the image; return how it came, and Nova's line about it."""
        self._log.records.clear()
        self._first_start = len(base._started)
        self._served[self.image_id] = self.bed.glance.downloads(
            self.image_id)
        path = self.fetch(self.image_id)
        self.assertEqual(self.digest, base.sha512(path))
        os.unlink(path)
        lines = self.messages(logging.WARNING)
        if not self.downloads(self.image_id):
            self.assertEqual([], lines)
            return 'RBD', ''
        (line,) = lines
        self.assertRegex(line, 'over HTTP')
        return 'HTTP', line

    def assertTellsNoSecret(self, text):
        for key in (self.facts['key'], config_variants.OTHER_KEY,
                    config_variants.NEWER_KEY):
            self.assertNotIn(key, text)

    def check_variant(self, variant):
        self.configure(variant)
        code, event = self.check_engine(variant)
        if not code:
            os.unlink(self.by_hand)
        way, line = self.boot()
        self.assertEqual('HTTP' if code else 'RBD', way, line)
        if code:
            self.assertRegex(line, '(?i)' + variant.words)
            self.assertIn('To fix this', line)
        self._forget()
        status, items = self.check(self.image_id)
        problems = {topic: found for topic, found in items.items()
                    if any(state == 'problem' for state, _, _ in found)}
        if code:
            self.assertEqual(1, status, items)
            self.assertTrue(set(variant.topics) & set(problems), items)
        else:
            self.assertEqual(({}, 0), (problems, status), items)
        self.assertTellsNoSecret(json.dumps([event, line, items]))
        after = ''
        if code:
            self._forget()
            self.assertEqual('HTTP', self.boot()[0])
            self.fix(variant)
            if errors.CAUSES[code].kind == errors.NO_ANSWER:
                # Nobody asks again for a while.
                self._forget()
            after = self.boot()
            self.assertEqual(('RBD', ''), after)
            after = 'came over RBD'
        self.record(variant, code, event, line, status, problems, after)

    def record(self, variant, code, event, line, status, problems, after):
        path = os.environ.get(config_variants.VARIABLE)
        if not path:
            return

        def clean(text):
            for found, name in ((self.nova.instances_path, '/instances'),
                                (self.directory, '/etc/ceph'),
                                (self.image_id, 'IMAGE'),
                                (self.facts['fsid'], 'FSID')):
                text = text.replace(found, name)
            return re.sub(r'(127\.0\.0\.1|\[::1\]):\d+', r'\1:PORT', text)

        row = {
            'name': variant.name, 'what': variant.what, 'code': code,
            'exit': event.get('exit', 0),
            'message': clean(event.get('message', '')),
            'remedy': clean(event.get('remedy', '')),
            'line': clean(line), 'check': status,
            'problems': [[topic, clean(found)] for topic, entries
                         in problems.items() for state, found, _ in entries
                         if state == 'problem'],
            'after': after,
            'mode': ('threading' if utils.concurrency_mode_threading()
                     else 'eventlet')}
        with open(path, 'a') as f:
            f.write(json.dumps(row) + '\n')


@ddt.ddt
class ConfigVariantsTestCase(VariantTestCase):

    @of_variants
    def test(self, variant):
        self.check_variant(variant)


class OtherClusterTestCase(VariantTestCase):
    """Clusters that are set up in another way themselves."""

    CLUSTER: dict[str, str] = {}

    def start_cluster(self):
        cluster = self.useFixture(ceph_cluster.CephCluster(**self.CLUSTER))
        self._before = self._traces()
        return cluster

    def image(self):
        data = base.noise(1 << 20)
        image_id = self.bed.glance.upload(data, store='fast')
        self.cluster.create_image(image_id, data)
        self.set_locations(image_id, [None, self.rbd_url(
            image_id, fsid=self.cluster.fsid)])
        return image_id, base.sha512(data)


class IPv6TestCase(OtherClusterTestCase):

    CLUSTER = {'host': '::1'}

    def test(self):
        self.check_variant(config_variants.Variant(
            'ipv6', 'Monitors and OSDs with IPv6 addresses'))


class NoCephxTestCase(OtherClusterTestCase):

    CLUSTER = {'auth': 'none'}

    def test(self):
        self.check_variant(config_variants.Variant(
            'no_cephx', 'A cluster without cephx, no keyring',
            keyring=None, conf=config_variants.MINIMAL + ''.join(
                '\tauth_%s_required = none\n' % part
                for part in ('cluster', 'service', 'client'))))
