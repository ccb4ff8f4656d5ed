# SPDX-License-Identifier: Apache-2.0

"""Which ranges of an image are read, and in which pieces."""

import random

from nova.storage.rbd_export import extents
from nova import test


class ExtentsTestCase(test.NoDBTestCase):

    def test_out_of_order_and_twice(self):
        self.assertEqual(
            [(0, 8), (16, 4)],
            extents.normalise([(16, 4), (4, 4), (0, 4), (4, 4)], 100, 4))

    def test_widened_to_whole_objects(self):
        self.assertEqual([(4, 8)], extents.normalise([(5, 4)], 100, 4))

    def test_cut_at_the_end(self):
        self.assertEqual([(8, 2)], extents.normalise([(8, 4), (12, 4)], 10, 4))

    def test_one_within_another(self):
        self.assertEqual([(0, 100)],
                         extents.normalise([(0, 100), (8, 4)], 100, 4))

    def test_nothing(self):
        self.assertEqual([], extents.normalise([], 100, 4))
        self.assertEqual([], extents.normalise([(8, 0)], 100, 4))

    def test_never_too_little(self):
        rand = random.Random(3)
        for _ in range(300):
            size = rand.randrange(1, 200)
            hints = [(rand.randrange(0, 220), rand.randrange(0, 50))
                     for _ in range(rand.randrange(6))]
            found = extents.normalise(hints, size, rand.choice((1, 4, 7, 64)))
            covered = {n for o, c in found for n in range(o, o + c)}
            wanted = {n for o, c in hints for n in range(o, o + c) if n < size}
            self.assertLessEqual(wanted, covered)
            self.assertTrue(all(0 <= n < size for n in covered))
            for (first, length), (second, _) in zip(found, found[1:]):
                self.assertLess(first + length, second)
            self.assertEqual(len(covered), extents.total(found))

    def test_rotated(self):
        ranges = [(0, 8), (16, 4), (32, 16)]
        for part, expected in (
                (0, ranges),
                (0.2, [(4, 4), (16, 4), (32, 16), (0, 4)]),
                (0.3, [(16, 4), (32, 16), (0, 8)]),
                (0.999, [(44, 4), (0, 8), (16, 4), (32, 12)])):
            self.assertEqual(expected, extents.rotated(ranges, 4, part), part)

    def test_rotated_is_the_same(self):
        rand = random.Random(4)
        for _ in range(300):
            size = rand.randrange(1, 200)
            ranges = extents.normalise(
                [(rand.randrange(0, 220), rand.randrange(0, 50))
                 for _ in range(rand.randrange(6))], size, 4)
            found = extents.rotated(ranges, rand.choice((1, 8, 24)),
                                    rand.random())
            self.assertEqual(
                [n for o, c in ranges for n in range(o, o + c)],
                sorted(n for o, c in found for n in range(o, o + c)))
            self.assertNotIn(0, [length for _, length in found])

    def cut(self, parts, *lengths):
        cursor = extents.Cursor(parts)
        pieces = []
        lengths = list(lengths)
        while True:
            length = cursor.next_length(lengths.pop(0) if lengths[1:]
                                        else lengths[0])
            if not length:
                return pieces
            pieces.append(cursor.take(length))

    def test_pieces(self):
        self.assertEqual([(3, 1), (4, 4), (8, 2), (20, 3)],
                         self.cut([(3, 7), (20, 3)], 4))
        self.assertEqual([], self.cut([], 4))

    def test_pieces_of_growing_length(self):
        self.assertEqual([(3, 1), (4, 4), (8, 8), (16, 4), (32, 8)],
                         self.cut([(3, 17), (32, 8)], 4, 4, 8))
