# SPDX-License-Identifier: Apache-2.0

"""A compute node that one can break: "tools/demo --shell".

Ceph, Keystone and Glance run on the loopback interface, as for the
demonstration. A directory has what a compute node has: a nova.conf, a
ceph.conf, a key and the directory of the instances. It is the home of a
shell, see shell.py. In there, "mistake" makes one of the mistakes of
mistakes.py, and "mend" puts everything in order again.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from typing import Any

import fixtures

from demo import images
from nova.tests.testbed import daemon
from nova.tests.testbed import namespaces
from nova.tests.testbed import old_glance
from nova.tests.testbed import rbd_testbed
from patchset import CHECKOUT

#: The Ceph user of Nova, and what it may do.
CEPH_USER = 'nova-images'
CAPS = {'mon': 'allow r', 'osd': 'profile rbd-read-only pool=images'}

#: Who may ask for locations, as in Glance 29 and 30: the service role and no
#: other counts.
POLICIES = {'fetch_image_location': 'role:service'}

_CEPH_CONF = """\
[global]
fsid = {fsid}
mon_host = {mon_host}
keyring = {directory}/ceph.$name.keyring
"""

_SCRIPT = """\
#!/bin/sh
exec {python} {lib} demo.shell {socket} {name} "$@"
"""

_BASHRC = r"""
PS1='\[\e[1m\]compute:\w\$\[\e[0m\] '
. /usr/share/bash-completion/bash_completion 2>/dev/null
eval "$(nova-image-download complete)"
"""


class Playground(fixtures.Fixture):
    """A small cloud and the files of one compute node in it.

    :param started: called with a word when a part is there
    :ivar bed: the :class:`rbd_testbed.RbdTestBed`
    :ivar home: directory of nova.conf and the like
    :ivar why_no_mounts: why nothing can be mounted, '' if it can
    """

    #: Size of the image "demo", and how much of it is data.
    IMAGE = (512 << 20, 96 << 20)

    def __init__(self, started: Any = lambda what: None) -> None:
        super().__init__()
        self.bed = rbd_testbed.RbdTestBed(
            # Without it Glance writes the zeros of a sparse image out.
            {'robust': {'rbd_thin_provisioning': True}}, POLICIES,
            started=started)
        self._mounts: list[str] = []
        self.why_no_mounts = ''

    def _setUp(self) -> None:
        try:
            # Before anything is started, so that all of it is in there. It
            # is not left again: a process with threads cannot.
            namespaces.MountNamespace().setUp()
        except fixtures.MultipleExceptions as e:
            self.why_no_mounts = str(e.args[0][1])
        except daemon.DaemonError as e:
            self.why_no_mounts = str(e)
        self.useFixture(self.bed)
        self.bed.cluster.create_pool('volumes')
        self.bed.cluster.create_user(CEPH_USER, **CAPS)
        self.old_glance = self.useFixture(
            old_glance.OldGlance(self.bed.glance.url))
        self.home = self.useFixture(daemon.Directory('nova-demo-')).path
        self.addCleanup(self._unmount)
        for name in ('bin', 'instances', 'instances/_base'):
            os.mkdir(f'{self.home}/{name}')
        self.write('.bashrc', _BASHRC)
        self.write('ceph.client.admin.keyring',
                   self.key('client.admin'))
        self.socket = f'{self.home}/.control'
        for name in ('mistake', 'mend'):
            self.write(f'bin/{name}', _SCRIPT.format(
                python=shlex.quote(sys.executable), name=name,
                lib=shlex.quote(str(CHECKOUT / 'tools' / 'lib')),
                socket=shlex.quote(self.socket)))
            os.chmod(f'{self.home}/bin/{name}', 0o700)
        self._write_files()

    def key(self, entity: str) -> str:
        """The keyring of a user of the cluster."""
        return self.bed.cluster.command('auth get', entity=entity,
                                        format='plain')

    def upload(self) -> None:
        """Give Glance the image "demo"."""
        with tempfile.TemporaryDirectory(dir=self.home) as directory:
            path = f'{directory}/image'
            images.make_image(path, *self.IMAGE)
            images.upload(self.bed, path)

    def write(self, name: str, text: str) -> str:
        """Write a file of the home directory, readable for its owner alone.

        :returns: its path
        """
        path = os.path.join(self.home, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                  'w') as f:
            f.write(text)
        return path

    def introduce(self, cluster: Any, directory: str = '') -> str:
        """Write what Nova needs to use a cluster.

        :param directory: below the home
        :returns: path of a ceph.conf
        """
        where = os.path.join(self.home, directory).rstrip('/')
        os.makedirs(where, exist_ok=True)
        self.write(f'{where}/ceph.client.{CEPH_USER}.keyring', cluster.command(
            'auth get', entity=f'client.{CEPH_USER}', format='plain'))
        return self.write(f'{where}/ceph.conf', _CEPH_CONF.format(
            fsid=cluster.fsid, mon_host=cluster.mon_host, directory=where))

    def configure(self, **glance: Any) -> None:
        """Write nova.conf.

        :param glance: options of [glance] that differ from the right ones
        """
        config = self.bed.nova_config(f'{self.home}/instances')
        config['glance'].update({
            'rbd_user': CEPH_USER, 'rbd_ceph_conf': f'{self.home}/ceph.conf',
            **glance})
        rbd_testbed.write_config(f'{self.home}/nova.conf', config)

    def _write_files(self) -> None:
        self.configure()
        self.introduce(self.bed.cluster)

    def mount(self, *arguments: str) -> None:
        """Mount something in the namespace of the shell.

        :param arguments: those of mount(8); the last is the directory
        """
        if self.why_no_mounts:
            raise daemon.DaemonError(self.why_no_mounts)
        namespaces.run('mount', *arguments)
        self._mounts.append(arguments[-1])

    def _unmount(self) -> None:
        while self._mounts:
            namespaces.run('umount', '--lazy', self._mounts.pop())

    def restore(self) -> None:
        """Put everything in order."""
        self._unmount()
        self.bed.restore()
        self.bed.cluster.create_user(CEPH_USER, **CAPS)
        for role in ('admin', 'service'):
            self.bed.keystone.grant('nova', 'service', role)
        self._write_files()

    # Commands

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the shell."""
        programs = os.path.dirname(sys.executable)
        return {
            **os.environ, 'HOME': self.home,
            'PATH': f'{self.home}/bin:{programs}:{os.environ["PATH"]}',
            # For ceph and rbd; Nova has it in nova.conf.
            'CEPH_CONF': f'{self.home}/ceph.conf',
            'PYTHONWARNINGS': 'ignore',
            'OS_AUTH_URL': self.bed.keystone.url,
            'OS_IDENTITY_API_VERSION': '3', 'OS_USERNAME': 'admin',
            'OS_PASSWORD': self.bed.keystone.password,
            'OS_PROJECT_NAME': 'admin', 'OS_USER_DOMAIN_ID': 'default',
            'OS_PROJECT_DOMAIN_ID': 'default',
        }

    def run(self, command: str) -> str:
        """Run a command of the shell.

        :returns: what it wrote to stdout and stderr, with ~ for the home and
            another path for the checkout
        """
        done = subprocess.run(
            ['bash', '-c', command], cwd=self.home, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        return done.stdout.replace(self.home, '~').replace(
            str(CHECKOUT), '/opt/nova-rbd')
