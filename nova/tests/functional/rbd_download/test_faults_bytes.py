# SPDX-License-Identifier: Apache-2.0

"""Faults of the bytes in the pool, for the table in the guide.

What the log says about each is the matter of test_integrity.
"""

import os

from nova.tests.functional.rbd_download import base
from nova.tests.functional.rbd_download import fault_matrix
from nova.tests.functional.rbd_download import faults

MiB = base.MiB


class BytesTestCase(faults.FaultTestCase):

    TOPIC = fault_matrix.INTEGRITY
    SIZE = 9 * MiB + 5

    def check(self, cause, produced, reason, image_id):
        for allowed in (True, False):
            self.nova.set('glance', 'rbd_download_fallback', allowed)
            watch = faults.Stopwatch()
            outcome = self.in_thread(self.fetch, image_id)()
            seconds = watch.seconds
            if allowed:
                self.assertOverHTTP(image_id, outcome, self.digest,
                                    'images/%s@snap: .*%s'
                                    % (image_id, reason))
                os.unlink(outcome)
                self._served[image_id] = 1
            else:
                self.assertFailed(outcome, image_id, reason)
            self.record(cause, produced,
                        faults.HTTP if allowed else faults.FAILED, seconds,
                        'right bytes' if allowed else 'nothing')
            self.begin_anew()

    def test_flipped(self):
        image_id = self.upload_to_both(self.data)
        self.bed.cluster.corrupt_image(image_id, 8 * MiB + 77)
        self.check('A byte is flipped in the pool',
                   'written with librados behind the snapshot', 'sha512',
                   image_id)

    def test_flipped_in_an_old_image(self):
        image_id = self.upload_to_both(self.data)
        self.set_image(image_id, os_hash_algo=None, os_hash_value=None)
        self.bed.cluster.corrupt_image(image_id, 0)
        self.check('A byte is flipped, the image has an MD5 only',
                   'the same', 'md5', image_id)

    def test_shorter(self):
        self.check('The RBD image is too short', 'one byte less',
                   str(self.SIZE - 1),
                   self.upload_to_both(self.data, self.data[:-1]))

    def test_longer(self):
        self.check('The RBD image is too long', 'one zero more',
                   str(self.SIZE + 1),
                   self.upload_to_both(self.data, self.data + b'\0'))

    def test_another(self):
        self.check('Another image is there under that name',
                   'other bytes, as many', 'sha512',
                   self.upload_to_both(self.data, base.noise(self.SIZE, 1)))

    def test_next_location(self):
        image_id = self.upload_to_both(self.data)
        self.bed.cluster.corrupt_image(image_id, 1)
        second = 'copy-of-%s' % image_id
        self.bed.cluster.create_image(second, self.data)
        self.nova.set('glance', 'rbd_download_require_image_id', False)
        self.set_locations(image_id, [self.rbd_url(image_id),
                                      self.rbd_url(second)])
        watch = faults.Stopwatch()
        path = self.fetch(image_id)
        self.assertEqual(self.digest, base.sha512(path))
        self.assertEqual(0, self.downloads(image_id))
        self.record('The first location is bad, the second one good',
                    'a flipped byte in the first', 'read the next location',
                    watch.seconds)

    def test_hash_is_unknown(self):
        image_id = self.upload_to_both(self.data)
        self.set_image(image_id, os_hash_algo=None, os_hash_value=None,
                       checksum=None, size=None)
        watch = faults.Stopwatch()
        path = self.fetch(image_id)
        self.assertOverRBD(image_id, path, self.digest)
        self.assertIn('unverified', self.messages()[-1])
        self.record('Glance knows neither hash nor size', 'as of a snapshot '
                    'made in RBD', 'came over RBD, the log says unverified',
                    watch.seconds)
