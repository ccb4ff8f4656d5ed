# SPDX-License-Identifier: Apache-2.0

"""What the tests of nova-image-download have in common."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys

import fixtures

from nova.cmd.image_download import cli
import nova.conf
from nova import config
from nova.tests.functional.rbd_download import base
from nova.tests.testbed import daemon
from nova.tests.testbed import rbd_testbed


class CommandTestCase(base.DirectDownloadTestCase):
    """A test case that gives commands.

    :ivar config: path of the nova.conf
    """

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(daemon.Directory('nova-cmd-')).path
        self.write_config()
        # It would take the log away from the tests.
        self.useFixture(fixtures.MockPatchObject(
            cli, '_set_up_logging'))
        # Options of the command line cannot be registered twice in a process.
        self.useFixture(fixtures.MockPatchObject(
            config, 'parse_args', self._parse_args))
        self._before = self._traces()

    @staticmethod
    def _parse_args(argv, **kwargs):
        nova.conf.CONF(argv[1:], project='nova')

    def write_config(self, **glance):
        """Write nova.conf.

        :param glance: options of [glance] to add
        """
        config = self.bed.nova_config(self.nova.instances_path)
        config['glance'].update(glance)
        self.config = rbd_testbed.write_config(
            os.path.join(self.directory, 'nova.conf'), config)

    def give(self, *words):
        """Give a command in this process, which is quick.

        :returns: its exit status and what it wrote to stdout and stderr
        """
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(['--config-file', self.config,
                                          *words])
        return status, out.getvalue(), err.getvalue()

    def start(self, *words, **kwargs):
        """Start a command as a shell does.

        :returns: the process
        """
        return subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-m', 'nova.cmd.image_download',
             '--config-file', self.config, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, **kwargs)

    @staticmethod
    def lines(err):
        """Return the lines of stderr but those that may always be there.

        Every Nova has one under eventlet, a download names its image, and
        one that takes long on a busy machine shows its progress.
        """
        return [line for line in err.splitlines()
                if not line.startswith(('Eventlet based concurrency',
                                        'This is image ')) and
                not re.search(r': +\d+%  ', line)]

    def check(self, *words):
        """Give the command "check".

        :returns: its exit status, and what it found by topic, each a list
            of (state, evidence, remedy)
        """
        status, out, err = self.give('check', '--format', 'json', *words)
        self.assertEqual('', err)
        report = json.loads(out)
        self.assertEqual(
            {0: True, 1: False, 3: None}[status], report['over_rbd'])
        found = {}
        for item in report['checks']:
            found.setdefault(item['topic'], []).append(
                (item['state'], item['found'], item['remedy']))
        return status, found
