# SPDX-License-Identifier: Apache-2.0

"""Images of every kind come from the cluster as they were uploaded."""

import json
import logging
import os
import subprocess

import rbd

from nova.tests.functional.rbd_download import base

MiB = base.MiB

# Rounding by the file system, at the ends of each piece of data.
SLACK = 1 * MiB

MAPPED = (rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK |
          rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF)


def allocated(path):
    """Bytes that a file takes on the disk."""
    return os.stat(path).st_blocks * 512


def sparse(size, pieces):
    """Bytes that are zero but for pieces of noise.

    :param pieces: offset and length of each
    """
    data = bytearray(size)
    for offset, length in pieces:
        data[offset:offset + length] = base.noise(length, seed=offset)
    return bytes(data)


class UploadedImagesTestCase(base.DirectDownloadTestCase):
    """Images that were uploaded through Glance."""

    def test_the_key_may_read_and_nothing_more(self):
        answer = self.bed.cluster.command('auth get', entity='client.nova',
                                          format='json')
        self.assertEqual({'mon': 'profile rbd',
                          'osd': 'profile rbd-read-only pool=images'},
                         json.loads(answer)[0]['caps'])

    def test_raw_dense(self):
        data = base.noise(64 * MiB)
        image_id = self.bed.glance.upload(data)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, base.sha512(data))
        self.assertEqual(0o644, os.stat(path).st_mode & 0o777)
        # Jobs of other projects look for these.
        self.assertIn(
            'DEBUG Attempting to export RBD image: [pool_name: images] '
            '[image_uuid: %s]' % image_id,
            '\n'.join(self.messages(logging.DEBUG)))

    def test_raw_sparse(self):
        # Most of it is zeros, which Glance stores as such.
        data = sparse(160 * MiB, [(0, 4 * MiB), (60 * MiB + 123, 3 * MiB),
                                  (160 * MiB - 1, 1)])
        image_id = self.bed.glance.upload(data)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, base.sha512(data))
        self.assertLess(allocated(path), 7 * MiB + SLACK)

    def test_size_that_is_no_multiple_of_anything(self):
        data = base.noise(2 * 8 * MiB + 4097)
        image_id = self.bed.glance.upload(data)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, base.sha512(data))

    def test_empty(self):
        image_id = self.bed.glance.upload(b'')
        path = self.download(image_id)
        self.assertOverRBD(image_id, path, base.sha512(b''))

    def test_one_byte(self):
        image_id = self.bed.glance.upload(b'\xff')
        path = self.download(image_id)
        self.assertOverRBD(image_id, path, base.sha512(b'\xff'))

    def test_image_shared_by_another_project(self):
        data = base.noise(MiB)
        image_id = self.bed.glance.upload(data, user='other',
                                          visibility='shared')
        member = self.bed.keystone.project_ids['demo']
        self.bed.glance.client('other').image_members.create(image_id, member)
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, base.sha512(data))


class Qcow2TestCase(base.DirectDownloadTestCase):
    """RBD holds a qcow2 file, which Nova converts if it is told to."""

    def setUp(self):
        super().setUp()
        self.data = sparse(96 * MiB, [(0, MiB), (50 * MiB, 3 * MiB)])
        raw = os.path.join(self.nova.instances_path, 'raw')
        qcow2 = os.path.join(self.nova.instances_path, 'qcow2')
        with open(raw, 'wb') as f:
            f.write(self.data)
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2',
                        raw, qcow2], check=True)
        with open(qcow2, 'rb') as f:
            self.qcow2 = f.read()
        os.unlink(raw)
        os.unlink(qcow2)
        self._before = self._traces()
        self.image_id = self.bed.glance.upload(self.qcow2,
                                               disk_format='qcow2')

    def test_converted(self):
        self.flags(force_raw_images=True)
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, base.sha512(self.data))

    def test_kept(self):
        self.flags(force_raw_images=False)
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, base.sha512(self.qcow2))


class RBDImagesTestCase(base.DirectDownloadTestCase):
    """Images that something else than Glance wrote into RBD."""

    def setUp(self):
        super().setUp()
        self.image_id = self.bed.glance.client().images.create(
            name='made by hand', disk_format='raw',
            container_format='bare')['id']

    def register(self, data, name=None, snapshot='snap'):
        super().register(
            self.image_id,
            self.rbd_url(name or self.image_id, snapshot=snapshot),
            base.sha512(data))

    def test_clone_with_parent(self):
        parent = base.noise(24 * MiB, seed=1)
        written = base.noise(MiB, seed=2)
        name = 'parent of %s' % self.image_id
        self.bed.cluster.create_image(name, parent)
        # It reads from three places: itself, the parent, and nowhere.
        self.bed.cluster.clone_image(name, self.image_id, data=written,
                                     offset=5 * MiB, size=40 * MiB)
        data = (parent[:5 * MiB] + written + parent[6 * MiB:]
                + bytes(16 * MiB))
        self.register(data)
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, base.sha512(data))
        self.assertLess(allocated(path), 24 * MiB + SLACK)

    def test_with_object_map(self):
        self._test_holes(MAPPED)

    def test_without_object_map(self):
        self._test_holes(rbd.RBD_FEATURE_LAYERING)

    def _test_holes(self, features):
        pieces = [(3 * MiB + 5, 2 * MiB), (40 * MiB, 4096)]
        data = sparse(64 * MiB, pieces)
        cluster = self.bed.cluster
        cluster.create_image(self.image_id, size=len(data), snapshot=None,
                             features=features, order=22)
        with cluster.image(self.image_id) as image:
            for offset, length in pieces:
                image.write(data[offset:offset + length], offset)
        cluster.create_snapshot(self.image_id)
        # What comes after the snapshot is not the image.
        with cluster.image(self.image_id) as image:
            image.write(b'later' * 1000, 10 * MiB)
            image.write(b'later' * 1000, 4 * MiB)
        self.register(data)
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, base.sha512(data))
        self.assertLess(allocated(path), 2 * MiB + SLACK)

    def test_names_that_need_quoting(self):
        self.flags(group='glance', rbd_download_require_image_id=False)
        name = '100% ünquoted +%2F?#&=:;' + self.image_id
        snapshot = 'snäp +%40 '
        data = base.noise(9 * MiB)
        self.bed.cluster.create_image(name, data, snapshot=snapshot)
        self.register(data, name, snapshot)
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, base.sha512(data))
        (command,) = self.engine_starts()
        self.assertIn('--image=%s' % name, command)
        self.assertIn('--snap=%s' % snapshot, command)

    def test_names_that_look_like_options(self):
        self.flags(group='glance', rbd_download_require_image_id=False)
        name = 'a --conf=/nowhere' + self.image_id
        data = base.noise(MiB)
        self.bed.cluster.create_image(name, data)
        self.register(data, name)
        path = self.fetch(self.image_id)
        self.assertOverRBD(self.image_id, path, base.sha512(data))


class PoolNameTestCase(base.DirectDownloadTestCase):

    POOL = 'ïmages +%41 100%'

    def test_pool_name_that_needs_quoting(self):
        data = base.noise(MiB)
        cluster = self.bed.cluster
        if self.POOL not in cluster.pools:
            cluster.create_pool(self.POOL)
        user = cluster.create_user('quoting', osd='profile rbd-read-only')
        self.nova.set('glance', 'rbd_user', user.name)
        self.nova.set('glance', 'rbd_ceph_conf', user.conf)
        self.nova.set('glance', 'rbd_pool', 'images,' + self.POOL)
        # Glance has no store in this pool, so HTTP could not help.
        image_id = self.bed.glance.upload(data)
        cluster.create_image(image_id, data, pool=self.POOL)
        self.set_locations(image_id, [self.rbd_url(image_id, self.POOL)])
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, base.sha512(data))
        (command,) = self.engine_starts()
        self.assertIn('--pool=%s' % self.POOL, command)
