# SPDX-License-Identifier: Apache-2.0

"""Tests of what is logged and raised if RBD could not be read."""

import logging

import fixtures

from nova import exception
from nova.image import failed
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer
from nova import test


def failure(code, where=''):
    return failed.Failure(where, rbd_transfer.TransferError(code, 'it broke'))


class FailedTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(
            format='%(levelname)s %(message)s', level=logging.INFO))

    def test_each_remedy_once(self):
        found = failed.remedy([failure('read', 'a'), failure('connect'),
                               failure('read', 'b'), failure('not_in_rbd')])
        self.assertEqual(' To fix this, %s; %s.' % (
            errors.CAUSES['read'].remedy, errors.CAUSES['connect'].remedy),
            found)

    def test_no_remedy(self):
        self.assertEqual('', failed.remedy([failure('not_in_rbd')]))

    def test_what_is_no_fault_is_no_warning(self):
        for codes, level in ((['not_in_rbd'], 'INFO'),
                             (['snapshot_removed'], 'INFO'),
                             (['snapshot_removed', 'read'], 'WARNING')):
            self.log.reset_output()
            failed.fall_back('image', [failure(code) for code in codes])
            self.assertTrue(
                self.log.output.lstrip('\0').startswith(level + ' '))

    def test_http_is_forbidden(self):
        self.flags(rbd_download_fallback=False, group='glance')
        error = self.assertRaises(
            exception.CouldNotFetchImage, failed.fall_back, 'image',
            [failure('read', '/a/path')])
        self.assertNotIn('/a/path', str(error))
        self.assertIn('ERROR Image image', self.log.output)
        self.assertIn('/a/path: it broke', self.log.output)
