# SPDX-License-Identifier: Apache-2.0

"""Engines that tests of their parent play with scripts."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import fixtures

from nova import release_compat
from nova.storage import circuit_breaker
from nova.storage import export_process
from nova.storage import export_python
from nova.storage import rbd_transfer
from nova import test

FSID = '5a1f4ed5-3b2d-4c5e-9a4c-0c6a1c5f7d10'
SOURCE = rbd_transfer.Source('images', 'image', 'snap')

# What every engine of these tests begins with. It plays its part of the
# protocol and has no cluster.
PRELUDE = '''
import json, os, signal, sys, time

def say(event, **facts):
    print(json.dumps(dict(event=event, **facts)), flush=True)

def progress(done=1 << 20):
    say('progress', bytes=done, total=10 << 20, seconds=0.1)

def result(**facts):
    say('result', **dict(dict(
        bytes=10 << 20, data_bytes=4096, hole_bytes=0, allocated_bytes=4096,
        seconds=0.1, digest=None, fsid='%s', pool='images', image='image',
        snap='snap', verified=[]), **facts))

def error(code, exit=1, **facts):
    say('error', **dict(dict(code=code, exit=exit, message='it failed'),
                        **facts))
    sys.exit(exit)
''' % FSID


class Clock:

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class TransferTestCase(test.NoDBTestCase):
    """Plays the engine with scripts, and looks for what it leaves behind."""

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.started = []
        popen = subprocess.Popen

        def recording(*args, **kwargs):
            process = popen(*args, **kwargs)
            self.started.append(process.pid)
            # Where tests run without one themselves, the child shows nothing.
            self.assertEqual(subprocess.DEVNULL, kwargs['stdin'])
            return process

        self.useFixture(fixtures.MonkeyPatch('subprocess.Popen', recording))
        self._patch(GRACE=0.5, TERM_TIMEOUT=0.3, LAST_LOOK=0.3, _python=None,
                    _fsids={}, _stalled={}, SYSTEM_PYTHON=sys.executable)
        self.clock = Clock()
        self.breaker = circuit_breaker.CircuitBreaker(self.clock)
        # One for all ways to reach a cluster, and one for each part of it.
        breakers = {}
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.circuit_breaker._breakers', breakers))
        self.useFixture(fixtures.MonkeyPatch(
            'nova.storage.circuit_breaker.get', lambda key: (
                self.breaker if len(key) == 3 else breakers.setdefault(
                    key, circuit_breaker.CircuitBreaker(self.clock)))))
        # As long as the slowest machine takes to start a Python.
        self.patient = rbd_transfer.Cluster(connect_timeout=60)
        # 0.1 + 0.1 + GRACE seconds of silence are enough for this one.
        self.impatient = rbd_transfer.Cluster(connect_timeout=0.1)
        if not release_compat.threading_mode():
            # The hub opens its own descriptors when it first runs.
            time.sleep(0.001)
        before = self._resources()
        self.addCleanup(lambda: self.assertEqual(before, self._resources()))

    def _patch(self, **values):
        for name, value in values.items():
            module = next(module for module in (
                export_process, export_python, rbd_transfer)
                if hasattr(module, name))
            self.useFixture(fixtures.MonkeyPatch(
                '%s.%s' % (module.__name__, name), value))

    @staticmethod
    def _resources():
        """Return what a child that is not cleaned up after would add to."""
        descriptors = []
        for entry in os.listdir('/proc/self/fd'):
            try:
                descriptors.append((entry, os.readlink('/proc/self/fd/'
                                                       + entry)))
            except FileNotFoundError:
                # That of the listing itself.
                pass
        children = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/stat' % pid) as stat:
                    fields = stat.read().rpartition(')')[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                children.append(pid)
        return {'descriptors': sorted(descriptors), 'children': children,
                'threads': threading.active_count()}

    def _engine(self, body):
        path = os.path.join(self.directory, 'engine.py')
        with open(path, 'w') as script:
            script.write(PRELUDE + textwrap.dedent(body))
        self._patch(engine_path=lambda: path)

    def _probe(self):
        return rbd_transfer.probe(self.patient)

    def _fail(self, function=None, *args, **kwargs):
        return self.assertRaises(rbd_transfer.TransferError,
                                 function or self._probe, *args, **kwargs)

    def _export(self, **kwargs):
        return rbd_transfer.export(
            SOURCE, os.path.join(self.directory, 'image'), **kwargs)
