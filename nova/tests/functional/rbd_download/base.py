# SPDX-License-Identifier: Apache-2.0

"""What the tests of direct downloads on a real test bed have in common.

Nothing of the path under test is replaced: Nova's code runs with its own
configuration and the token of an ordinary user, against a real Glance, and
reads a real cluster with a key that may read the pool of the images and
nothing more.
"""

import contextlib
import gc
import hashlib
import logging
import os
import random
import socket
import sqlite3
import sys
import threading
import time
import urllib.parse

import fixtures

from nova.image import glance
from nova.storage import circuit_breaker
from nova.storage import export_python
from nova.storage import rbd_transfer
from nova import test
from nova.tests.testbed import daemon
from nova.tests.testbed import janitor
from nova.tests.testbed import rbd_testbed
from nova import utils
from nova.virt import images
from nova.virt.libvirt import imagecache

MiB = 1 << 20

# Images that several tests use, by test bed and size.
_common: dict[tuple[str, int], tuple[str, str]] = {}

# Command lines of all processes that were started from this one. The hook
# sees them below any mock; it cannot be removed again.
_started: list[list[str]] = []


def _audit(event, args):
    if event == 'subprocess.Popen':
        _started.append([os.fsdecode(arg) for arg in args[1]])


sys.addaudithook(_audit)


def noise(size, seed=0):
    """Bytes that no compression, hole or other image could stand in for."""
    return random.Random(seed).randbytes(size)


def sha512(data):
    """The digest of bytes, or of the file at a path."""
    if isinstance(data, bytes):
        return hashlib.sha512(data).hexdigest()
    with open(data, 'rb') as f:
        return hashlib.file_digest(f, 'sha512').hexdigest()


class _Records(logging.Handler):
    """Keeps the log records of Nova, of every level."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.records = []

    def emit(self, record):
        self.records.append(record)


class DirectDownloadTestCase(test.NoDBTestCase):
    """A test case with a test bed and Nova configured for it.

    :ivar bed: the :class:`rbd_testbed.RbdTestBed`, shared by all tests of
        the process and put right after each
    :ivar nova: the :class:`rbd_testbed.NovaConfig`
    :ivar context: request context of an ordinary user
    """

    #: How Glance is configured for the tests of the class, see GlanceServer.
    GLANCE_CONFIG: dict[str, dict] = {}
    GLANCE_POLICIES: dict[str, str] = {}

    def setUp(self):
        super().setUp()
        # Much may hang here that must not, and much that waits for it.
        self.useFixture(fixtures.Timeout(400, gentle=True))
        self.bed = self.start_bed()
        self.nova = self.useFixture(rbd_testbed.NovaConfig(self.bed))
        self.context = self.nova.context
        self._forget()
        self.addCleanup(self._forget)
        self._log = _Records()
        logging.getLogger('nova').addHandler(self._log)
        self.addCleanup(logging.getLogger('nova').removeHandler, self._log)
        self._first_start = len(_started)
        self._served = {}
        self._wanted = set()
        if not utils.concurrency_mode_threading():
            # Its threads stay for good once it was used.
            utils.get_eventlet().tpool.execute(int)
        self._before = self._traces()

    def tearDown(self):
        self.assertNothingLeft()
        super().tearDown()

    def start_bed(self):
        """Return the test bed that the test is to run in."""
        return self.useFixture(rbd_testbed.SharedRbdTestBed(
            self.GLANCE_CONFIG, self.GLANCE_POLICIES)).bed

    @staticmethod
    def _forget():
        """Forget what Nova keeps in memory between two downloads."""
        circuit_breaker.reset()
        rbd_transfer._fsids.clear()
        export_python._python = None

    # Images

    def common_image(self, size=24 * MiB):
        """An image in RBD that tests share to save time.

        :returns: its id and its digest
        """
        key = (self.bed.glance.dir, size)
        if key not in _common:
            data = noise(size)
            _common[key] = self.bed.glance.upload(data), sha512(data)
        image_id, digest = _common[key]
        self._served[image_id] = self.bed.glance.downloads(image_id)
        return image_id, digest

    def rbd_url(self, image, pool='images', snapshot='snap', fsid=None):
        """The location of an RBD snapshot, as glance_store writes it."""
        return 'rbd://%s' % '/'.join(
            urllib.parse.quote(part, safe='') for part in
            (fsid or self.bed.cluster.fsid, pool, image, snapshot))

    def register(self, image_id, url, digest):
        """Enter an RBD image made by hand into Glance, as its new location.

        Nova and Cinder do the same for their direct snapshots.

        :param image_id: of an image without data
        """
        images = self.bed.glance.client('nova').images
        images.add_image_location(image_id, url, {
            'os_hash_algo': 'sha512', 'os_hash_value': digest})
        # Glance reads it all once, to compare the digest.
        daemon.wait_for(lambda: images.get(image_id)['status'] == 'active',
                        'Glance to take over %s' % url, 60)

    def set_locations(self, image_id, urls):
        """Replace all locations of an image.

        Not through Glance, which takes only what it can reach itself. Those
        who get around that are the ones to be on guard against.

        :param urls: the new ones; None stands for the old one
        """
        with contextlib.closing(self._glance_database()) as db, db:
            old, store = db.execute(
                'SELECT value, meta_data FROM image_locations WHERE '
                'image_id = ? AND NOT deleted', (image_id,)).fetchone()
            db.execute('DELETE FROM image_locations WHERE image_id = ?',
                       (image_id,))
            db.executemany(
                'INSERT INTO image_locations (image_id, value, meta_data, '
                "created_at, deleted, status) VALUES (?, ?, ?, "
                "datetime('now'), 0, 'active')",
                [(image_id, old, store) if url is None else
                 (image_id, url, '{"store": "robust"}') for url in urls])

    def set_image(self, image_id, **columns):
        """Change what Glance knows of an image."""
        with contextlib.closing(self._glance_database()) as db, db:
            for column, value in columns.items():
                db.execute('UPDATE images SET %s = ? WHERE id = ?' % column,
                           (value, image_id))

    def _glance_database(self):
        return sqlite3.connect('%s/glance.sqlite' % self.bed.glance.dir,
                               timeout=30)

    def upload_to_both(self, data, rbd_data=None, **kwargs):
        """Upload an image to files, and put a copy into RBD.

        Glance serves the file over HTTP then, whatever is in RBD.

        :param data: what the image is
        :param rbd_data: what RBD has, if something else
        :returns: the image's id
        """
        image_id = self.bed.glance.upload(data, store='fast', **kwargs)
        self.bed.cluster.create_image(
            image_id, data if rbd_data is None else rbd_data)
        self.set_locations(image_id, [None, self.rbd_url(image_id)])
        return image_id

    # Downloads

    def cache_path(self, image_id):
        """Where Nova keeps an image; the directory is made."""
        directory = os.path.join(self.nova.instances_path, '_base')
        os.makedirs(directory, exist_ok=True)
        return os.path.join(directory, imagecache.get_cache_fname(image_id))

    def fetch(self, image_id, context=None, **kwargs):
        """Fetch an image into the cache, as building a server does.

        :returns: the path of the file
        """
        path = self.cache_path(image_id)
        images.fetch_to_raw(context or self.context, image_id, path,
                            **kwargs)
        self._wanted.add(path)
        return path

    def download(self, image_id, context=None, **kwargs):
        """Download an image as it is, without a look at its format.

        :returns: the path of the file
        """
        path = os.path.join(self.nova.instances_path, 'download')
        glance.API().download(context or self.context, image_id,
                              dest_path=path, **kwargs)
        self._wanted.add(path)
        return path

    def in_thread(self, function, *args, **kwargs):
        """Call a function in a thread, a greenthread under eventlet.

        :returns: a function that waits for its end and returns what it
            returned or raised
        """
        outcome = []

        def run():
            try:
                outcome.append(function(*args, **kwargs))
            except Exception as exc:
                outcome.append(exc)

        thread = threading.Thread(target=run)
        thread.start()

        def wait():
            thread.join(150)
            return outcome[0]

        return wait

    # What is to be seen of it

    def downloads(self, image_id):
        """How often this test got the image over HTTP."""
        return (self.bed.glance.downloads(image_id)
                - self._served.get(image_id, 0))

    def engine_starts(self):
        """Command lines of the export engines that copied something."""
        return [command for command in _started[self._first_start:]
                if '--json' in command and '--probe' not in command]

    def children_started(self):
        """Command lines of all engines, those that only probe included."""
        return [command for command in _started[self._first_start:]
                if '--json' in command]

    def messages(self, level=logging.INFO, exactly=False):
        """What the log of Nova has from a level on, "LEVEL text"."""
        return ['%s %s' % (record.levelname, record.getMessage())
                for record in self._log.records
                if record.levelno == level
                or not exactly and record.levelno > level]

    def assertOverRBD(self, image_id, path, digest, starts=1):
        """The file is the image, and it came from the cluster alone."""
        self.assertEqual(digest, sha512(path))
        self.assertEqual(0, self.downloads(image_id), self.messages())
        self.assertEqual(starts, len(self.engine_starts()), self.messages())
        self.assertEqual([], self.messages(logging.WARNING))
        done = [m for m in self.messages()
                if 'Successfully transferred using rbd' in m]
        self.assertEqual(starts, len(done), self.messages())

    def assertOverHTTP(self, image_id, path, digest, reason,
                       level=logging.WARNING, cure=''):
        """The file is the image, and one line says why it came over HTTP.

        :param reason: a regular expression for that line
        :param cure: one for the same line, what to do about it
        """
        self.assertEqual(digest, sha512(path))
        self.assertEqual(1, self.downloads(image_id), self.messages())
        lines = [m for m in self.messages() if 'over HTTP' in m]
        self.assertEqual(1, len(lines), self.messages())
        self.assertRegex(lines[0], '^%s ' % logging.getLevelName(level))
        self.assertIn(image_id, lines[0])
        self.assertRegex(lines[0], '%s.*%s' % (reason, cure))
        # And no other one bothers the operator.
        self.assertEqual(lines if level >= logging.WARNING else [],
                         self.messages(logging.WARNING))

    # What is left

    def assertNothingLeft(self):
        """Nothing is left of any download but the files that were wanted.

        No other file, no lock that is held, no child process, no thread, no
        open file. What needs a moment to end gets it.
        """
        end = time.monotonic() + 30
        while (left := self._left()) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual([], left)

    def _left(self):
        left = []
        for directory, _dirs, names in os.walk(self.nova.instances_path):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.basename(directory) == 'locks':
                    if _is_locked(path):
                        left.append('held lock %s' % path)
                elif path not in self._wanted:
                    left.append('file %s' % path)
        now = self._traces()
        for kind, before in self._before.items():
            left += ['%s %s' % (kind, trace)
                     for trace in sorted(now[kind] - before)]
        return left

    def _traces(self):
        gc.collect()
        return {'process': self._processes(), 'thread': _threads(),
                'descriptor': self._descriptors()}

    def _processes(self):
        """Our children, and whoever works with Nova's key."""
        found = set()
        known = {self.bed.cluster.mon.pid, self.bed.cluster.osd.pid,
                 self.bed.keystone.server.daemon.pid,
                 self.bed.glance.server.daemon.pid,
                 janitor.of_this_process().pid}
        for name in os.listdir('/proc'):
            if not name.isdigit() or int(name) in known:
                continue
            with contextlib.suppress(OSError):
                with open('/proc/%s/stat' % name) as f:
                    parent = int(f.read().rpartition(')')[2].split()[1])
                with open('/proc/%s/cmdline' % name, 'rb') as f:
                    command = os.fsdecode(f.read()).replace('\0', ' ')
                if (parent == os.getpid() or
                        self.nova.instances_path in command or
                        self.bed.cluster.nova.conf in command):
                    found.add('%s: %s' % (name, command or '(zombie)'))
        return found

    def _descriptors(self):
        """Open files and connections, apart from those to the services."""
        found = set()
        services = (self.bed.keystone.url, self.bed.glance.url)
        for name in os.listdir('/proc/self/fd'):
            with contextlib.suppress(OSError):
                target = os.readlink('/proc/self/fd/%s' % name)
                if target.startswith('socket:'):
                    family, peer = _peer(int(name))
                    if family == socket.AF_INET and (
                            peer is None or
                            any('//%s:%d' % peer in url for url in services)):
                        # Clients keep them for the next request, which may
                        # find that the service has closed one.
                        continue
                    target += ' %s' % (peer,)
                found.add('%s -> %s' % (name, target))
        return found


def _threads():
    return {int(name) for name in os.listdir('/proc/self/task')}


def _peer(descriptor):
    """The family of a socket, and who is at the other end, None if nobody."""
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        try:
            return sock.family, sock.getpeername()
        except OSError:
            return sock.family, None


def _is_locked(path):
    """Whether any process, this one included, holds a lock on a file."""
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:
        return False
    with open('/proc/locks') as f:
        # See proc(5): major:minor:inode is the sixth field. Those who only
        # wait have an arrow in the second.
        return any(line.split()[5].rpartition(':')[2] == str(inode)
                   for line in f if '->' not in line)
