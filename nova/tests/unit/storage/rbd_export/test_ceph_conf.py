# SPDX-License-Identifier: Apache-2.0

"""What is found out about a ceph.conf."""

import errno
import os
import socket
import subprocess
from unittest import mock

import fixtures

from nova.storage.rbd_export import ceph_conf
from nova.storage.rbd_export import errors
from nova import test


class FileTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.dir, 'ceph.conf')

    def assert_refused(self, code, conf):
        exc = self.assertRaises(errors.ExportError, ceph_conf.read, conf)
        self.assertEqual(code, exc.code, str(exc))
        return exc

    def test_read(self):
        self.assert_refused('no_conf', self.path)
        self.assert_refused('no_conf', self.path + '/x')
        self.assert_refused('bad_conf', self.dir)
        with open(self.path, 'wb') as f:
            f.write(b'[global]\n# \xff\n')
        path, text = ceph_conf.read(self.path)
        self.assertEqual(self.path, path)
        self.assertTrue(text.startswith('[global]'))
        with mock.patch('builtins.open', side_effect=PermissionError(
                errno.EACCES, 'x', self.path)):
            exc = self.assert_refused('conf_not_readable', self.path)
        self.assertIn('EACCES', str(exc))

    def test_usual_places(self):
        self.useFixture(fixtures.EnvironmentVariable('CEPH_CONF'))
        self.assertEqual('/etc/ceph/ceph.conf', ceph_conf.places(None)[0])
        self.assertEqual(['/a'], ceph_conf.places('/a'))
        self.useFixture(fixtures.EnvironmentVariable(
            'CEPH_CONF', '/no/a, %s' % self.path))
        with open(self.path, 'w') as f:
            f.write('x')
        self.assertEqual((self.path, 'x'), ceph_conf.read(None))

    def test_suspects(self):
        exc = OSError(errno.EINVAL, 'x')
        for text, words in (
                ('[global]\nfsid = x', 'newline'),
                ('[global]\n# a\n; b\nsecret words\n', 'line 4'),
                ('[global\nfsid = x\n', 'line 1'),
                ('[global]\n# \ufffd\n', 'line 2 is not UTF-8'),
                ('[a] # b\nx = \\\n  y z\n', '(EINVAL)')):
            error = ceph_conf.refused('/c', text, exc)
            self.assertEqual('bad_conf', error.code)
            self.assertIn(words, str(error))
            self.assertNotIn('secret', str(error))

    def test_trial(self):
        with mock.patch.object(subprocess, 'run') as run:
            ceph_conf.check_by_trial('/c', '[global]\n# plain\n')
            run.assert_not_called()
            # What librados can say of a file, it says in this process.
            for status in (0, 1):
                run.return_value.returncode = status
                ceph_conf.check_by_trial('/c', '[global]\n# \u00e9\n')
            run.return_value.returncode = -6
            exc = self.assertRaises(
                errors.ExportError, ceph_conf.check_by_trial, '/c',
                '[global]\n# \u00e9\n')
        self.assertEqual('bad_conf', exc.code)
        self.assertIn('SIGABRT', str(exc))
        self.assertTrue(str(exc).endswith('2'))

    def test_the_trial_is_a_program(self):
        # Whether there is librados here or not, nothing dies.
        compile(ceph_conf._TRIAL, 'trial', 'exec')
        with open(self.path, 'w') as f:
            f.write('[global]\n')
        ceph_conf.check_by_trial(self.path, '\u00e9')

    def test_monitor_sections(self):
        self.assertTrue(ceph_conf.has_monitor_sections(
            '[global]\n [mon.a]\nmon addr = 1.2.3.4\n'))
        self.assertFalse(ceph_conf.has_monitor_sections(
            '[mon]\n# [mon.a]\n[client.mon.a]\n'))


class NamesTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.known = {'a': ['192.0.2.1'], 'b.c': ['2001:db8::1', '192.0.2.2']}
        self.useFixture(fixtures.MockPatchObject(
            socket, 'getaddrinfo', self.look_up))

    def look_up(self, host, port, type):
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, 'not known')
        return [(socket.AF_INET6 if ':' in address else socket.AF_INET,
                 type, 6, '', (address, 0)) for address in self.known[host]]

    def test_addresses_are_no_names(self):
        for text in ('', '192.0.2.1', '192.0.2.1:6789', '192.0.2.1:6789/0',
                     '[2001:db8::1]', '[2001:db8::1]:6789', '2001:db8::1',
                     'v1:192.0.2.1:6789', '[v2:192.0.2.1:3300/0,'
                     'v1:192.0.2.1:6789/0]',
                     '[v2:[2001:db8::1]:3300,v1:[2001:db8::1]:6789]',
                     '192.0.2.1, 192.0.2.2;192.0.2.3'):
            self.assertEqual([], ceph_conf.monitor_names(text), text)
        self.assertEqual(['a', 'b.c', 'x'], ceph_conf.monitor_names(
            'a, b.c:6789 192.0.2.1;x'))

    def test_resolved(self):
        for text, expected in (
                ('a', '192.0.2.1'), ('a:6789', '192.0.2.1:6789'),
                ('b.c:1', '[2001:db8::1]:1,192.0.2.2:1'),
                ('192.0.2.9:6789,no', '192.0.2.9:6789'),
                ('no a', '192.0.2.1'),
                ('[v2:192.0.2.9:3300,v1:192.0.2.9:6789] no',
                 '[v2:192.0.2.9:3300,v1:192.0.2.9:6789]')):
            self.assertEqual(expected, ceph_conf.resolved(text, '/c'), text)

    def test_none_is_known(self):
        exc = self.assertRaises(errors.ExportError, ceph_conf.resolved,
                                'no:6789,nor', '/c')
        self.assertEqual('name_resolution', exc.code)
        self.assertIn('no (not known), nor (not known)', str(exc))
