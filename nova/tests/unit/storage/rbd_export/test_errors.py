# SPDX-License-Identifier: Apache-2.0

"""The table of causes."""

from nova.storage.rbd_export import errors
from nova import test


class ErrorsTestCase(test.NoDBTestCase):

    def test_exit_codes_are_distinct(self):
        codes = errors.EXIT_CODES
        self.assertEqual(len(codes), len(set(codes.values())))
        self.assertNotIn(errors.OK, codes.values())
        self.assertLess(max(codes.values()), errors.SIGNAL_EXIT)

    def test_describe(self):
        self.assertEqual('No such file or directory (ENOENT)',
                         errors.describe(OSError(2, 'x')))
        self.assertEqual('ValueError: a b', errors.describe(
            ValueError('a\n  b')))
        self.assertEqual('ValueError', errors.describe(ValueError()))
