# SPDX-License-Identifier: Apache-2.0

"""Zeros in data."""

import random

from nova.storage.rbd_export import zeros
from nova import test

MiB = 1 << 20


class ZerosTestCase(test.NoDBTestCase):

    def test_is_zero(self):
        for size in (0, 1, 15, 16, 4096, 65536, 65537, MiB):
            self.assertTrue(zeros.is_zero(bytes(size)), size)
            for where in {0, size // 2, size - 1}:
                if size:
                    data = bytearray(size)
                    data[where] = 1
                    self.assertFalse(zeros.is_zero(bytes(data)), (size, where))

    def test_runs(self):
        x = b'x' * 4096
        z = bytes(4096)
        for data, expected in (
                (b'', []), (x, [(0, 4096)]), (z, []), (b'\0', []),
                (b'x', [(0, 1)]), (z + x, [(4096, 8192)]),
                (x + z, [(0, 4096)]), (x + z + x, [(0, 4096), (8192, 12288)]),
                (x + x, [(0, 8192)]), (x + b'\0' * 5, [(0, 4096)]),
                (x + b'\0' * 5 + b'x', [(0, 4102)]),
                # A zero in front does not make a block of zeros.
                (b'\0' + x, [(0, 4097)]),
                (bytes(4095) + b'x' + z, [(0, 4096)])):
            self.assertEqual(expected, list(zeros.data_runs(data)), data[:9])

    def test_runs_hold_all_that_is_not_zero(self):
        rand = random.Random(5)
        for _ in range(200):
            data = b''.join(
                rand.choice((bytes(rand.choice((4096, 100, 8192))),
                             b'\0' * rand.randrange(9) + b'x' * 50,
                             rand.randbytes(rand.choice((4096, 300)))))
                for _ in range(rand.randrange(12)))
            made = bytearray(len(data))
            blocks = 0
            for start, end in zeros.data_runs(data):
                self.assertLess(start, end)
                self.assertEqual(0, start % 4096)
                made[start:end] = data[start:end]
                blocks += -(-(end - start) // 4096)
            self.assertEqual(data, bytes(made))
            self.assertEqual(
                sum(1 for n in range(0, len(data), 4096)
                    if data[n:n + 4096].strip(b'\0')), blocks)
