# SPDX-License-Identifier: Apache-2.0

from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer
from nova.storage import transfer_error
from nova import test


class TransferErrorTest(test.NoDBTestCase):

    def test_from_the_table(self):
        for code, cause in errors.CAUSES.items():
            error = transfer_error.TransferError(code, 'it happened')
            self.assertEqual((code, cause.kind, cause.remedy, {}), (
                error.code, error.kind, error.remedy, error.facts))
            self.assertEqual('it happened', str(error))
            self.assertEqual(cause.kind == errors.DISK, error.local)
            self.assertEqual(cause.kind == errors.NO_ANSWER,
                             error.unreachable)

    def test_more_is_known(self):
        error = transfer_error.TransferError('read', 'it', 'do so', {'a': 1})
        self.assertEqual(('do so', {'a': 1}), (error.remedy, error.facts))
        # There may be nothing to do, too.
        self.assertEqual(
            '', transfer_error.TransferError('read', 'it', '').remedy)

    def test_of_a_newer_engine(self):
        error = transfer_error.TransferError('brand_new', 'it')
        self.assertEqual('brand_new', error.code)
        self.assertEqual(errors.NODE, error.kind)
        self.assertEqual(errors.CAUSES['unexpected'].remedy, error.remedy)

    def test_where_it_is_raised(self):
        self.assertIs(transfer_error.TransferError,
                      rbd_transfer.TransferError)
