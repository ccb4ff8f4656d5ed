# SPDX-License-Identifier: Apache-2.0

"""The export engine and the digest and size of an image."""

import hashlib

from nova.tests.functional.rbd_download import engine

MiB = engine.MiB
MAPPED = engine.MAPPED


class DigestTestCase(engine.EngineTestCase):

    def test_algorithms(self):
        data = bytes(3 * MiB) + self.random.randbytes(2 * MiB)
        name = self.create(data, features=MAPPED, order=20)
        for algorithm in ('md5', 'sha1', 'sha256', 'sha512', 'sha3_512',
                          'blake2b'):
            expected = '%s:%s' % (algorithm,
                                  hashlib.new(algorithm, data).hexdigest())
            run = self.export(name, '--digest=' + algorithm)
            self.assert_exported(run, data, digest=expected, verified=[])
            run = self.export(name, '--digest=' + expected.upper().replace(
                algorithm.upper(), algorithm))
            self.assert_exported(run, data, digest=expected,
                                 verified=['digest'])

    def test_wrong_digest(self):
        data = self.random.randbytes(9 * MiB)
        name = self.create(data, features=MAPPED)
        self.cluster.corrupt_image(name, 5 * MiB)
        expected = hashlib.sha256(data).hexdigest()
        run = self.export(name, '--digest=sha256:' + expected)
        self.assert_failed(run, 'wrong_digest', 8)
        self.assertEqual(expected, run.final['expected'])
        self.assertEqual(64, len(run.final['actual']))

    def test_wrong_size(self):
        name = self.create(b'x' * 100)
        for size in (0, 99, 101):
            run = self.export(name, '--size=%d' % size)
            self.assert_failed(run, 'wrong_size', 7)
            self.assertEqual((size, 100),
                             (run.final['expected'], run.final['actual']))

    def test_object_that_is_lost(self):
        # What the cluster lost reads as zeros, without any error.
        data = self.random.randbytes(20 * MiB)
        name = self.create(data, features=MAPPED)
        with self.cluster.image(name, read_only=True) as image:
            prefix = image.block_name_prefix()
        with self.cluster.ioctx() as ioctx:
            ioctx.remove_object(prefix + '.%016x' % 1)
        digest = 'sha512:' + hashlib.sha512(data).hexdigest()
        self.assert_failed(self.export(name, '--digest=' + digest),
                           'wrong_digest', 8)
