# SPDX-License-Identifier: Apache-2.0

"""The export engine with images of all shapes and histories."""

import os
import struct

import rbd

from nova.tests.functional.rbd_download import engine

KiB = engine.KiB
MiB = engine.MiB
MAPPED = engine.MAPPED


class ShapesTestCase(engine.EngineTestCase):
    """Images of all shapes come out as they are."""

    def test_empty(self):
        self.check_export(self.create(b''), b'')

    def test_one_byte(self):
        self.check_export(self.create(b'x'), b'x')

    def test_dense(self):
        data = self.random.randbytes(24 * MiB)
        run = self.check_export(self.create(data, features=MAPPED), data)
        self.assertEqual(24 * MiB, run.final['data_bytes'])
        self.assertEqual(0, run.final['hole_bytes'])

    def test_dense_without_object_map(self):
        data = self.random.randbytes(24 * MiB)
        self.check_export(self.create(data), data)

    def test_size_no_multiple_of_anything(self):
        data = self.random.randbytes(17 * MiB + 4097)
        self.check_export(self.create(data, features=MAPPED), data)

    def test_small_objects(self):
        data = self.random.randbytes(3 * MiB + 1)
        self.check_export(self.create(data, features=MAPPED, order=16), data)

    def test_objects_of_4_mib(self):
        data = self.random.randbytes(9 * MiB)
        self.check_export(self.create(data, features=MAPPED, order=22), data)

    def test_striped(self):
        data = self.random.randbytes(20 * MiB + 5)
        name = self.create(
            data, features=MAPPED | rbd.RBD_FEATURE_STRIPINGV2, order=20,
            stripe_unit=64 * KiB, stripe_count=3)
        self.check_export(name, data)

    def test_striped_with_holes(self):
        data = bytes(9 * MiB) + self.random.randbytes(MiB) + bytes(8 * MiB)
        name = self.create(
            None, size=len(data),
            features=MAPPED | rbd.RBD_FEATURE_STRIPINGV2, order=20,
            stripe_unit=64 * KiB, stripe_count=3, snapshot=None)
        with self.cluster.image(name) as image:
            image.write(data[9 * MiB:10 * MiB], 9 * MiB)
            image.create_snap('snap')
        self.check_export(name, data)

    def _sparse(self, features):
        parts = {0: 4097, 40 * MiB - 3: 6, 200 * MiB: MiB,
                 399 * MiB + 77: 1000}
        name = self.create(None, size=400 * MiB, features=features,
                           snapshot=None)
        data = bytearray(400 * MiB)
        with self.cluster.image(name) as image:
            for offset, length in parts.items():
                data[offset:offset + length] = self.random.randbytes(length)
                image.write(bytes(data[offset:offset + length]), offset)
            image.create_snap('snap')
        return name, bytes(data)

    def test_sparse(self):
        name, data = self._sparse(MAPPED)
        run = self.check_export(name, data)
        # Not even read: there are no objects.
        self.assertLess(run.final['read_bytes'], 50 * MiB)
        self.assertLess(run.final['allocated_bytes'], 2 * MiB)

    def test_sparse_without_object_map(self):
        name, data = self._sparse(rbd.RBD_FEATURE_LAYERING)
        run = self.check_export(name, data)
        # The cluster was asked what there is.
        self.assertLess(run.final['read_bytes'], 50 * MiB)
        self.assertLess(run.final['allocated_bytes'], 2 * MiB)

    def _map_of(self, name):
        """Return id of an image and of "snap", and the map of its objects."""
        with self.cluster.image(name, read_only=True) as image:
            snap = next(snap['id'] for snap in image.list_snaps()
                        if snap['name'] == 'snap')
            return image.id(), snap, 'rbd_object_map.%s.%016x' % (image.id(),
                                                                 snap)

    def test_object_map_that_is_not_valid(self):
        name, data = self._sparse(MAPPED)
        image_id, snap, wrong = self._map_of(name)
        empty = self._map_of(self.create(None, size=len(data),
                                         features=MAPPED))[2]
        with self.cluster.ioctx() as ioctx:
            # It says that there are no objects, and that it is wrong.
            ioctx.write_full(wrong, ioctx.read(empty, MiB))
            ioctx.execute(
                'rbd_header.' + image_id, 'rbd', 'set_flags',
                struct.pack('<QQQ', rbd.RBD_FLAG_OBJECT_MAP_INVALID,
                            rbd.RBD_FLAG_OBJECT_MAP_INVALID, snap))
        run = self.check_export(name, data)
        self.assertLess(run.final['read_bytes'], 50 * MiB)

    def _many_objects(self, delay, patience):
        """An image of 1024 small objects and no map, with a slow OSD."""
        name = self.create(None, size=4 * MiB, order=12)
        self.cluster.slow_down(delay)
        return self.export(name, '--stall-timeout=%d' % patience)

    def test_asking_takes_longer_than_a_stall(self):
        # Of all objects, but not of those between two signs of life.
        run = self._many_objects(0.015, 8)
        self.assert_exported(run, bytes(4 * MiB))
        self.assertGreater(run.seconds, 8)

    def test_asking_stalls(self):
        # The engine's own clock ends it or that of librados, whichever is
        # first; they run for the same time.
        run = self._many_objects(0.05, 1)
        self.assert_failed(run, 'stalled', 6)

    def test_nothing_but_hole(self):
        name = self.create(None, size=100 * MiB, features=MAPPED)
        run = self.check_export(name, bytes(100 * MiB))
        self.assertEqual(0, run.final['read_bytes'])
        self.assertEqual(0, run.final['data_bytes'])

    def test_zeros_that_are_stored(self):
        block = self.random.randbytes(4096)
        data = (bytes(8 * MiB) + block + bytes(4096) + block +
                bytes(11 * MiB) + block)
        run = self.check_export(self.create(data, features=MAPPED), data)
        self.assertEqual(3 * 4096, run.final['data_bytes'])
        self.assertLess(run.final['allocated_bytes'], 100 * KiB)

    def test_clone(self):
        data = bytearray(self.random.randbytes(20 * MiB))
        parent = self.create(bytes(data), features=MAPPED)
        for features in (MAPPED, rbd.RBD_FEATURE_LAYERING):
            patch = self.random.randbytes(5000)
            name = 'engine-clone-%d' % features
            self.cluster.clone_image(parent, name, data=patch,
                                     offset=9 * MiB + 1, features=features)
            try:
                expected = data[:]
                expected[9 * MiB + 1:9 * MiB + 5001] = patch
                self.check_export(name, bytes(expected))
                os.unlink(self.dest)
            finally:
                self.cluster.remove_image(name)

    def test_clone_larger_than_its_parent(self):
        data = self.random.randbytes(9 * MiB)
        parent = self.create(data, features=MAPPED)
        self.cluster.clone_image(parent, 'engine-grown', size=21 * MiB,
                                 features=MAPPED)
        self.addCleanup(self.cluster.remove_image, 'engine-grown')
        self.check_export('engine-grown', data + bytes(12 * MiB))

    def test_snapshot_and_not_the_image(self):
        data = self.random.randbytes(9 * MiB)
        name = self.create(data, features=MAPPED)
        with self.cluster.image(name) as image:
            image.write(b'later' * 1000, 5)
            image.resize(3 * MiB)
        self.check_export(name, data)

    def test_names_with_odd_characters(self):
        data = b'odd'
        name = self.create(data, name='a b%2F\'"$(x)\u00e9-\u4e2d')
        self.check_export(name, data)
        os.unlink(self.dest)
        self.dest = os.path.join(self.dir, '--of f\u00e9\n"')
        self.assert_exported(self.export(name), data)


class HistoriesTestCase(engine.EngineTestCase):
    """Whatever was done to an image, its snapshot comes out as it is."""

    SIZE = 5 * MiB

    def _place(self, size):
        offset = self.random.randrange(size)
        length = self.random.choice((1, 700, 4096, 20000, 300000))
        return offset, min(length, size - offset)

    def _change(self, image):
        size = image.size()
        offset, length = self._place(size)
        what = self.random.choice(('write', 'write', 'write', 'discard',
                                   'zeros', 'resize', 'snapshot'))
        if what == 'write':
            image.write(self.random.randbytes(length), offset)
        elif what == 'discard':
            image.discard(offset, length)
        elif what == 'zeros':
            image.write(bytes(length), offset)
        elif what == 'resize':
            image.resize(self.random.randrange(1, self.SIZE))
        else:
            image.create_snap('earlier-%d' % next(engine.numbers))

    def _export_history(self, features, order):
        """Make an image, perhaps a clone of a clone, and export it."""
        striped = self.random.random() < 0.3
        name = self.create(
            None, size=self.SIZE, order=order, snapshot=None,
            features=features | (rbd.RBD_FEATURE_STRIPINGV2 if striped
                                 else 0),
            stripe_unit=4096 if striped else 0,
            stripe_count=3 if striped else 0)
        for generation in range(self.random.choice((1, 1, 2, 3))):
            if generation:
                child = '%s-%d' % (name, generation)
                self.cluster.clone_image(name, child, features=features,
                                         snapshot=None)
                # Children first.
                self.addCleanup(self._remove, child)
                name = child
            with self.cluster.image(name) as image:
                for _ in range(self.random.randrange(1, 25)):
                    self._change(image)
                if generation and self.random.random() < 0.2:
                    image.flatten()
                image.create_snap('snap')
                image.protect_snap('snap')
                # Is none of the snapshot's business.
                for _ in range(5):
                    self._change(image)
        with self.cluster.image(name, snapshot='snap',
                                read_only=True) as image:
            data = image.read(0, image.size())
        run = self.export(name)
        self.assert_exported(run, data)
        os.unlink(self.dest)
        return run.final['read_bytes'], len(data)

    def _export_histories(self, features):
        read = there = 0
        for n in range(15):
            self.random.seed(n)
            # Regions of 256 objects end within the image.
            of_one = self._export_history(features, 12 + n % 2)
            read += of_one[0]
            there += of_one[1]
        # The right bytes, and not by reading everything.
        self.assertLess(read, 0.9 * there)

    def test_with_object_map(self):
        self._export_histories(MAPPED)

    def test_without_object_map(self):
        self._export_histories(rbd.RBD_FEATURE_LAYERING)
