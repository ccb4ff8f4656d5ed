# SPDX-License-Identifier: Apache-2.0

"""What the tests of the image cache share: a cache, and other processes."""

import os
import subprocess
import sys
import threading
import time

import fixtures

import nova
from nova import test
from nova.virt import image_fetch

NAME = '356a192b7913b04c54574d18c28d46e6395428ab'
OTHER = 'da4b9237bacccdf19c0760cab7aec4a8359010b0'

# Another nova-compute, without all that takes its time to import.
OTHER_PROCESS = '''
import os, sys, time, types

for name in ('nova', 'nova.conf', 'nova.release_compat', 'nova.image',
             'nova.virt'):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [
        os.path.join(%(root)r, *name.split('.')[1:])]
nova = sys.modules['nova']
nova.conf = sys.modules['nova.conf']
nova.release_compat = sys.modules['nova.release_compat']
nova.conf.CONF = types.SimpleNamespace(
    instances_path=%(instances)r,
    image_cache=types.SimpleNamespace(subdirectory_name='_base'))
nova.release_compat.off_hub = lambda function, *args: function(*args)
from nova.virt import image_fetch

@image_fetch.fetch_once()
def fetch(context, image, path):
    with open(%(trace)r, 'a') as trace:
        trace.write('%%d\\n' %% os.getpid())
    with open(path + '.part', 'w') as part:
        part.write('half')
        part.flush()
        print('fetching', flush=True)
        time.sleep(%(seconds)r)
        if %(waits)r:
            sys.stdin.readline()
        part.write(' and half')
    os.rename(path + '.part', path)

print('ready', flush=True)
sys.stdin.readline()
fetch(None, 'image', %(path)r)
print('done', flush=True)
'''

# Holds a lock until its standard input ends.
LOCK_HOLDER = '''
import fcntl, os, sys
path = sys.argv[1]
os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, 'a') as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print('held', flush=True)
    sys.stdin.read()
'''

# Exit status 3 if another process holds the lock.
LOCK_CHECK = '''
import fcntl, sys
try:
    with open(sys.argv[1], 'a') as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(3)
'''


class CacheTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.instances = self.useFixture(fixtures.TempDir()).path
        self.flags(instances_path=self.instances)
        self.base = os.path.join(self.instances, '_base')
        self.locks = os.path.join(self.instances, 'locks')
        os.mkdir(self.base)
        self.path = os.path.join(self.base, NAME)
        self.fetches = []

    def _write(self, *path, data='data'):
        path = os.path.join(*path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(data)
        return path

    def _read(self, path):
        with open(path) as file:
            return file.read()

    def _fetch(self, seconds=0.0, fail=None, staged=False, until=None):
        """Return a function that fetches.

        :param seconds: it takes so long
        :param fail: what it raises then
        :param until: it takes until this is true, a minute at most
        """
        @image_fetch.fetch_once(staged=staged)
        def fetch(context, image_href, path, trusted_certs=None):
            self.fetches.append((context, image_href, path, trusted_certs))
            part = path if staged else path + '.part'
            self._write(part, data='whole')
            time.sleep(seconds)
            end = time.monotonic() + 60
            while until and not until() and time.monotonic() < end:
                time.sleep(0.01)
            if fail:
                raise fail
            if not staged:
                os.rename(part, path)
            return 'returned'
        return fetch

    def _in_threads(self, *functions):
        """Run functions at once, in greenthreads if that is the mode.

        :returns: what they raised, None for each that did not
        """
        errors = [None] * len(functions)

        def run(number):
            try:
                functions[number]()
            except Exception as exc:
                errors[number] = exc

        threads = [threading.Thread(target=run, args=(number,))
                   for number in range(len(functions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        return errors

    def _spawn(self, script, *arguments):
        process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', script, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self._reap, process)
        return process

    @staticmethod
    def _reap(process):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def _hold(self, name):
        """Have another process hold a lock."""
        holder = self._spawn(LOCK_HOLDER, os.path.join(self.locks, name))
        self.assertEqual(b'held\n', holder.stdout.readline())
        return holder

    def _is_held(self, name):
        check = subprocess.run([sys.executable, '-c', LOCK_CHECK,
                                os.path.join(self.locks, name)])
        self.assertIn(check.returncode, (0, 3))
        return check.returncode == 3

    def _other_process(self, seconds=0.3, waits=False):
        self.trace = os.path.join(self.instances, 'trace')
        process = self._spawn(OTHER_PROCESS % {
            'instances': self.instances, 'path': self.path,
            'root': os.path.dirname(nova.__file__), 'trace': self.trace,
            'seconds': seconds, 'waits': waits})
        self.assertEqual(b'ready\n', process.stdout.readline())
        return process

    def _go(self, process):
        process.stdin.write(b'\n')
        process.stdin.flush()
