# SPDX-License-Identifier: Apache-2.0

"""A process of its own that does with an image what nova-compute does.

Run as a program it says "ready" on a line, waits for a line on its standard
input, does its work, and says what came of it as one JSON object.
"""

import json
import logging
import os
import subprocess
import sys

# Before everything else, as in the programs of Nova.
from nova import monkey_patch
monkey_patch.patch()

import nova.conf  # noqa: E402
from nova import context as nova_context  # noqa: E402
import nova.privsep  # noqa: E402
from nova.virt.libvirt import driver  # noqa: E402
from nova.virt.libvirt import imagebackend  # noqa: E402
from nova.virt.libvirt import imagecache  # noqa: E402
from nova.virt.libvirt import utils as libvirt_utils  # noqa: E402

CONF = nova.conf.CONF


class Worker:
    """The parent's side: a worker, started and ready.

    :param config: path of its configuration file
    :param context: the request context it works with
    :param action: a function of this module: "spawn", "precache"
    :param image_id: the image it works on
    """

    def __init__(self, config, context, action, image_id):
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__, config, action, image_id,
             json.dumps(context.to_dict())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        self.pid = self._process.pid

    def wait_ready(self):
        """Wait until it has loaded all it needs."""
        line = self._process.stdout.readline()
        assert line == 'ready\n', line

    def go(self):
        """Let it begin."""
        self._process.stdin.write('go\n')
        self._process.stdin.flush()

    def result(self, timeout=60):
        """Wait for its end.

        :returns: a dict with what it did
        """
        answer = self._process.communicate(timeout=timeout)[0]
        return json.loads(answer)

    def kill(self):
        """End it in the hard way, if it is there."""
        self._process.kill()
        self._process.communicate()


class _Messages(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.messages = []

    def emit(self, record):
        self.messages.append(
            '%s %s' % (record.levelname, record.getMessage()))


def spawn(context, image_id):
    """Make a server's disk, as LibvirtDriver._create_image does.

    :returns: the path of the disk
    """
    directory = os.path.join(CONF.instances_path, 'server-%d' % os.getpid())
    os.mkdir(directory)
    disk = imagebackend.Qcow2(path=os.path.join(directory, 'disk'))
    disk.cache(fetch_func=libvirt_utils.fetch_image, context=context,
               filename=imagecache.get_cache_fname(image_id), size=1 << 30,
               image_id=image_id, trusted_certs=None)
    return disk.path


def precache(context, image_id):
    """Fetch an image into the cache, as asked for with an aggregate."""
    # All that the real one does before is about hosts and libvirt.
    libvirt = driver.LibvirtDriver.__new__(driver.LibvirtDriver)
    return libvirt.cache_image(context, image_id)


def main(argv):
    config, action, image_id, context = argv
    CONF(['--config-file', config], project='nova')
    # No helper: what has to be done as root is done by this process.
    nova.privsep.sys_admin_pctxt.set_client_mode(False)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger('nova').setLevel(logging.DEBUG)
    log = _Messages()
    logging.getLogger('nova').addHandler(log)
    started = []
    sys.addaudithook(
        lambda event, args: started.append([os.fsdecode(a) for a in args[1]])
        if event == 'subprocess.Popen' else None)
    context = nova_context.RequestContext.from_dict(json.loads(context))
    print('ready', flush=True)
    sys.stdin.readline()
    result, error = None, None
    try:
        result = globals()[action](context, image_id)
    except Exception as exc:
        error = '%s: %s' % (type(exc).__name__, exc)
    print(json.dumps({
        'result': result, 'error': error, 'messages': log.messages,
        'engine_starts': [command for command in started
                          if '--json' in command and
                          '--probe' not in command]}), flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
