# SPDX-License-Identifier: Apache-2.0

"""A process that stands for nova-compute, to be told what to do and killed.

It takes jobs from its standard input, one JSON object a line. What a job wants
is done by a copy of the process, made by fork, which costs milliseconds where
a new one would cost seconds, or by the process itself, where it is to be seen
what many jobs leave behind.
"""

import gc
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading

# Before everything else, as in the programs of Nova.
from nova import monkey_patch
monkey_patch.patch()

import fixtures  # noqa: E402

import nova.conf  # noqa: E402
from nova import context as nova_context  # noqa: E402
import nova.privsep  # noqa: E402
from nova.tests.functional.rbd_download import worker  # noqa: E402
from nova.tests.testbed import daemon  # noqa: E402
from nova.tests.testbed import janitor  # noqa: E402
from nova.tests.testbed import rbd_testbed  # noqa: E402
from nova.tests.testbed import ticker  # noqa: E402

CONF = nova.conf.CONF


class ComputeHost(fixtures.Fixture):
    """The side of the test.

    :param config: options by section
    :param context: the request context of all jobs
    :ivar pid: of the process
    """

    def __init__(self, config, context):
        super().__init__()
        self._config = config
        self._context = context
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def _setUp(self):
        self.dir = self.useFixture(daemon.Directory('nova-host-')).path
        self._config.setdefault('oslo_concurrency', {})['lock_path'] = (
            os.path.join(self.dir, 'locks'))
        path = rbd_testbed.write_config(
            os.path.join(self.dir, 'nova.conf'), self._config)
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__, path,
             json.dumps(self._context.to_dict())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True)
        self.pid = self._process.pid
        janitor.of_this_process().process(self.pid)
        self.addCleanup(self._end)

    def _end(self):
        self._process.kill()
        self._process.communicate()

    def wait_ready(self):
        """Wait until it has loaded all it needs."""
        line = self._process.stdout.readline()
        assert line == b'ready\n', line

    def _ask(self, job):
        with self._lock:
            self._process.stdin.write(json.dumps(job).encode() + b'\n')
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def fork(self, image_id, **options):
        """Have a copy of it fetch an image into the cache.

        :param options: of [glance], set for that copy
        :returns: a :class:`Fork`
        """
        path = os.path.join(self.dir, 'result-%d' % next(self._numbers))
        pid = self._ask({'fork': path, 'options': options,
                         'image_ids': [image_id]})
        return Fork(pid, path)

    def fetch(self, image_ids, **options):
        """Have it fetch images into the cache itself, all at once.

        :param options: of [glance], or instances_path, set meanwhile
        :returns: for each a dict: its "error", or None
        """
        return self._ask({'options': options, 'image_ids': image_ids})

    def fetch_and_tick(self, image_ids, **options):
        """The same, and see whether it gets round to anything else.

        :returns: what came of the images, and the longest time in seconds
            between two ticks of 10 ms meanwhile, without that for which
            other processes had all processors
        """
        return self._ask({'options': options, 'image_ids': image_ids,
                          'tick': True})


class Fork:
    """A copy of the process that has one thing to do.

    :ivar pid: its process id
    """

    def __init__(self, pid, path):
        self.pid = pid
        self._path = path

    @property
    def running(self):
        return os.path.exists('/proc/%d' % self.pid)

    def kill(self):
        """End it in the hard way, if it is there."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def result(self, timeout=120):
        """Wait for its end.

        :returns: a dict, with its "error" and the log "messages"; None if it
            was killed before it was done
        """
        daemon.wait_for(lambda: not self.running, 'a copy of nova-compute',
                        timeout)
        try:
            with open(self._path) as f:
                return json.load(f)
        except FileNotFoundError:
            return None


class _Messages(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.messages = []

    def emit(self, record):
        self.messages.append(
            '%s %s' % (record.levelname, record.getMessage()))


def _fetch(context, image_id):
    error = None
    try:
        worker.precache(context, image_id)
    except Exception as exc:
        error = '%s: %s' % (type(exc).__name__, exc)
    return {'error': error}


def _do(job, context):
    """Do a job, and return what came of each image."""
    for name, value in job['options'].items():
        group = None if name == 'instances_path' else 'glance'
        CONF.set_override(name, value, group)
    results = {}
    threads = [
        threading.Thread(target=lambda image_id=image_id: results.update(
            {image_id: _fetch(context, image_id)}))
        for image_id in job['image_ids']]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in job['options']:
        group = None if name == 'instances_path' else 'glance'
        CONF.clear_override(name, group)
    return [results[image_id] for image_id in job['image_ids']]


def _do_and_tick(job, context):
    with ticker.Ticker() as ticks:
        results = _do(job, context)
    return results, max(ticks.blocked)


def _do_in_fork(job, context):
    """Start a copy of this process that does a job.

    :returns: its pid
    """
    # Nobody waits for copies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        log = _Messages()
        logging.getLogger('nova').addHandler(log)
        (result,) = _do(job, context)
        result['messages'] = log.messages
        with open(job['fork'] + '.part', 'w') as f:
            json.dump(result, f)
        os.rename(job['fork'] + '.part', job['fork'])
    finally:
        os._exit(0)


def main(argv):
    config, context = argv
    CONF(['--config-file', config], project='nova')
    # No helper: what has to be done as root is done by this process.
    nova.privsep.sys_admin_pctxt.set_client_mode(False)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger('nova').setLevel(logging.INFO)
    context = nova_context.RequestContext.from_dict(json.loads(context))
    print('ready', flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        do = (_do_in_fork if 'fork' in job else
              _do_and_tick if 'tick' in job else _do)
        answer = json.dumps(do(job, context))
        if do is not _do_in_fork:
            # What it holds on to after that, it has leaked.
            gc.collect()
        print(answer, flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
