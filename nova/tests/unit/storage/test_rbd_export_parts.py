# SPDX-License-Identifier: Apache-2.0

"""The parts of the export engine that do nothing but compute."""

import errno
import hashlib
import io
import os
import random
import subprocess
import sys
import time
from unittest import mock

from oslo_serialization import jsonutils

from nova.storage.rbd_export import cli
from nova.storage.rbd_export import digest
from nova.storage.rbd_export import errors
from nova.storage.rbd_export import extents
from nova.storage.rbd_export import libc
from nova.storage.rbd_export import pacing
from nova.storage.rbd_export import pipeline
from nova.storage.rbd_export import report
from nova.storage.rbd_export import zeros
from nova import test

KiB = 1 << 10
MiB = 1 << 20


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


class PaceTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        patcher = mock.patch.object(
            time, 'monotonic', side_effect=lambda: self.now)
        patcher.start()
        self.addCleanup(patcher.stop)

    def test_rate(self):
        pace = pacing.Pace(100)
        waits = [pace.reserve(50) for _ in range(5)]
        self.assertEqual([0, .5, 1, 1.5, 2], waits)

    def test_idle_time_is_not_saved_up(self):
        pace = pacing.Pace(100)
        pace.reserve(10)
        self.now += 60
        waits = [round(pace.reserve(10), 3) for _ in range(4)]
        # A tenth of a second may be caught up on.
        self.assertEqual([0, 0, .1, .2], waits)

    def test_small_reads_at_low_rates(self):
        self.assertEqual(MiB, pipeline.paced_read_size(MiB, 1 << 40))
        self.assertEqual(64 * KiB, pipeline.paced_read_size(MiB, 1))
        self.assertEqual(512 * KiB, pipeline.paced_read_size(MiB, 4 * MiB))


class DigestTestCase(test.NoDBTestCase):

    def test_parse(self):
        value = hashlib.sha256(b'').hexdigest()
        self.assertEqual(('sha256', value),
                         digest.parse('sha256:' + value.upper()))
        self.assertEqual(('sha512', None), digest.parse('sha512'))

    def test_md5_where_it_is_not_secure(self):
        with mock.patch.object(hashlib, 'new', wraps=hashlib.new) as new:
            digest.new('md5')
        new.assert_called_with('md5', usedforsecurity=False)

    def test_bad(self):
        for text in ('', ':', 'nothing', 'shake_128', 'sha256:',
                     'sha256:' + 'g' * 64, 'sha256:' + '0' * 63,
                     'sha256:0x' + '0' * 62, 'sha256:' + '0' * 66):
            exc = self.assertRaises(errors.ExportError, digest.parse, text)
            self.assertEqual('bad_arguments', exc.code)

    def test_names_what_there_is(self):
        exc = self.assertRaises(errors.ExportError, digest.new, 'sha9')
        self.assertIn('sha512', str(exc))
        self.assertNotIn('shake', str(exc))


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


class LibcTestCase(test.NoDBTestCase):

    def test_without_ctypes(self):
        with mock.patch.dict(sys.modules, {'ctypes': None}):
            libc.limit_memory()
            writeback = libc.Writeback(3)
        self.assertFalse(writeback.by_range)
        writeback.start(0, 1)
        with mock.patch.object(os, 'fdatasync') as fdatasync:
            writeback.wait([(0, 1), (1, 1)])
        fdatasync.assert_called_once_with(3)

    def _writeback(self, number):
        library = mock.Mock()
        library.sync_file_range.return_value = -1
        with mock.patch.object(libc, '_library', return_value=(
                mock.Mock(get_errno=lambda: number), library)):
            return libc.Writeback(3), library.sync_file_range

    def test_error_of_the_disk(self):
        # The file's fsync will not tell it again.
        for number in (errno.EIO, errno.ENOSPC):
            writeback, _call = self._writeback(number)
            writeback.start(0, 1)
            exc = self.assertRaises(OSError, writeback.wait, [(0, 1), (1, 1)])
            self.assertEqual(number, exc.errno)

    def test_not_by_range(self):
        for number in (errno.EINVAL, errno.ESPIPE, errno.ENOSYS):
            writeback, call = self._writeback(number)
            self.assertTrue(writeback.by_range)
            with mock.patch.object(os, 'fdatasync') as fdatasync:
                writeback.wait([(0, 1), (1, 1)])
                self.assertFalse(writeback.by_range)
                writeback.wait([(0, 1), (1, 1)])
            self.assertEqual(1, call.call_count)
            self.assertEqual(2 * [mock.call(3)], fdatasync.call_args_list)

    def test_another_c_library(self):
        with mock.patch.object(libc, '_library',
                               return_value=(mock.Mock(), object())):
            libc.limit_memory()
            self.assertFalse(libc.Writeback(-1).by_range)


class ArgumentsTestCase(test.NoDBTestCase):

    def parse(self, *words):
        return cli.parse(list(words))

    def assert_bad(self, *words):
        exc = self.assertRaises(errors.ExportError, self.parse, *words)
        self.assertEqual('bad_arguments', exc.code, str(exc))
        return str(exc)

    def test_defaults(self):
        args = self.parse('images/a@snap', '/dest')
        self.assertEqual(('images', 'a', 'snap', '/dest'),
                         (args.pool, args.image, args.snap, args.dest))
        self.assertEqual(
            (None, None, None, None, None, 'default', False, False),
            (args.id, args.conf, args.keyring, args.size, args.algorithm,
             args.read_from_replica, args.json, args.probe))

    def test_everything(self):
        args = self.parse(
            '--id', 'nova', '--conf=/c', '--keyring', '/k', '--size=5',
            '--digest=md5', '--inflight=9', '--stall-timeout', '1.5',
            '--connect-timeout=2', '--max-rate=10M', '--fsid=F',
            '--read-from-replica=localize', '--json', '--pool=-p/@',
            '--image=--i', '--snap==s', '--', '--dest')
        self.assertEqual(
            ('nova', '/c', '/k', 5, 'md5', 9, 1.5, 2.0, 10 * MiB, 'F',
             'localize', True, '-p/@', '--i', '=s', '--dest'),
            (args.id, args.conf, args.keyring, args.size, args.algorithm,
             args.inflight, args.stall_timeout, args.connect_timeout,
             args.max_rate, args.fsid, args.read_from_replica, args.json,
             args.pool, args.image, args.snap, args.dest))

    def test_names_with_separators(self):
        args = self.parse('p/a/b@c@d', 'dest')
        self.assertEqual(('p', 'a/b@c', 'd'),
                         (args.pool, args.image, args.snap))

    def test_sizes(self):
        for text, value in (('0', 0), ('7', 7), ('1K', KiB), ('2k', 2 * KiB),
                            ('1MiB', MiB), ('1MB', MiB), ('3G', 3 << 30),
                            ('1T', 1 << 40), ('5B', 5)):
            self.assertEqual(value, self.parse('--size', text, 'a/b@c', 'd')
                             .size)
        for text in ('', '-1', '1.5', 'x', 'K', '1X', '\u0661'):
            self.assert_bad('--size=' + text, 'a/b@c', 'd')

    def test_bad_values(self):
        for word in ('--inflight=0', '--inflight=257', '--inflight=x',
                     '--max-rate=0', '--stall-timeout=0',
                     '--stall-timeout=nan', '--stall-timeout=inf',
                     '--connect-timeout=-1', '--read-from-replica=x',
                     '--json=1', '--digest=', '--id=', '--fsid=', '--conf=',
                     '--pool=\udcff', '--unknown', '-x', '--id-', '--inf=1'):
            self.assert_bad(word, 'a/b@c', 'd')
        self.assert_bad('a/b@c', 'd', '--size')

    def test_bad_names(self):
        for words in ((), ('a/b@c',), ('a/b@c', 'd', 'e'), ('a/b', 'd'),
                      ('b@c', 'd'), ('/b@c', 'd'), ('a/@c', 'd'),
                      ('a/b@', 'd'), ('a/b@c', ''), ('\udcff/b@c', 'd'),
                      ('--pool=p', '--image=i', 'd'),
                      ('--pool=p', '--image=i', '--snap=s'),
                      ('--pool=p', '--image=i', '--snap=s', 'a/b@c', 'd'),
                      ('--probe', 'x'), ('--probe', '--pool=p')):
            self.assert_bad(*words)

    def test_help_names_all_options(self):
        for option in cli._VALUES:
            self.assertIn('--%s ' % option, cli.HELP)

    def test_help_names_all_exit_codes(self):
        table = cli.HELP.partition('exit codes:\n')[2].partition('130')[0]
        self.assertEqual(
            [0, *sorted(errors.EXIT_CODES.values())],
            [int(line[:5]) for line in table.splitlines()
             if line[3:5].strip()])
        self.assertLess(max(map(len, cli.HELP.splitlines())), 80)

    def run_engine(self, *words):
        path = os.path.dirname(cli.__file__)
        return subprocess.run([sys.executable, '-I', path, *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_program(self):
        done = self.run_engine('--help')
        self.assertEqual((0, b''), (done.returncode, done.stderr))
        self.assertEqual(cli.HELP, done.stdout.decode())
        done = self.run_engine('--nothing')
        self.assertEqual((2, b''), (done.returncode, done.stdout))
        self.assertIn(b'--nothing', done.stderr)
        done = self.run_engine('--json', '--nothing')
        self.assertEqual((2, b''), (done.returncode, done.stderr))
        event = jsonutils.loads(done.stdout)
        self.assertEqual(('error', 'bad_arguments', 2),
                         (event['event'], event['code'], event['exit']))
        # This is the name of a file.
        done = self.run_engine('a', '--', '--json')
        self.assertEqual((2, b''), (done.returncode, done.stdout))


class ReportTestCase(test.NoDBTestCase):

    RESULT = {
        'bytes': 3 * MiB, 'data_bytes': MiB, 'seconds': 2.0,
        'digest': 'md5:0', 'pool': 'p', 'image': 'i', 'snap': 's',
        'fsid': 'f', 'verified': ['size']}

    def setUp(self):
        super().setUp()
        self.out = io.StringIO()
        self.err = io.StringIO()
        for name, stream in (('stdout', self.out), ('stderr', self.err)):
            patcher = mock.patch.object(sys, name, stream)
            patcher.start()
            self.addCleanup(patcher.stop)

    def test_json(self):
        told = report.JsonReport()
        told.progress(1, 2, .12345)
        told.result(self.RESULT)
        told.error(errors.ExportError('no_space', 'a\nb', needed_bytes=7))
        self.assertEqual(
            [{'event': 'progress', 'bytes': 1, 'total': 2, 'seconds': .123},
             dict(self.RESULT, event='result'),
             {'event': 'error', 'code': 'no_space', 'exit': 9,
              'message': 'a\nb', 'needed_bytes': 7,
              'remedy': errors.CAUSES['no_space'].remedy}],
            [jsonutils.loads(line)
             for line in self.out.getvalue().splitlines()])

    def test_lines(self):
        told = report.HumanReport()
        told.progress(MiB, 4 * MiB, 2)
        told.result(self.RESULT)
        told.error(errors.ExportError('read', 'broken'))
        self.assertEqual('25%  1.0 MiB of 4.0 MiB  512.0 KiB/s\n'
                         'rbd_export: broken\n', self.err.getvalue())
        self.assertEqual('3.0 MiB of p/i@s in 2.00 s (1.5 MiB/s), 1.0 MiB of '
                         'it data, md5:0, verified: size\n',
                         self.out.getvalue())

    def test_nothing_to_show_before_the_image_is_open(self):
        for terminal in (False, True):
            self.err.isatty = lambda: terminal
            report.HumanReport().progress(0, 0, 2)
        self.assertEqual('', self.err.getvalue())

    def test_bar(self):
        self.err.isatty = lambda: True
        told = report.HumanReport()
        told.progress(MiB, 4 * MiB, 2)
        self.assertIn('[#######   ', self.err.getvalue())
        self.assertIn('0:06 left', self.err.getvalue())
        told.result(self.RESULT)
        self.assertTrue(self.err.getvalue().endswith('\r\x1b[K'))

    def test_probe(self):
        report.HumanReport().result({'fsid': 'f', 'seconds': 1})
        self.assertEqual('f\n', self.out.getvalue())

    def test_nobody_reads(self):
        self.out.write = mock.Mock(side_effect=BrokenPipeError)
        self.err.write = mock.Mock(side_effect=BrokenPipeError)
        for told in (report.JsonReport(), report.HumanReport()):
            self.assertRaises(report.Broken, told.progress, 1, 2, 1)
            self.assertRaises(report.Broken, told.result, self.RESULT)

    def test_human_sizes(self):
        for count, text in ((0, '0 B'), (1023, '1023 B'), (1024, '1.0 KiB'),
                            (5 << 40, '5.0 TiB'), (2 << 60, '2048.0 PiB')):
            self.assertEqual(text, report.human(count))
