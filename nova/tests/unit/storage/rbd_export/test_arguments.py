# SPDX-License-Identifier: Apache-2.0

"""The command line: its help, its parser, its values."""

from nova.storage.rbd_export import arguments
from nova.storage.rbd_export import errors
from nova import test

KiB = 1 << 10
MiB = 1 << 20


class ArgumentsTestCase(test.NoDBTestCase):

    def parse(self, *words):
        return arguments.parse(list(words))

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
        for option in arguments._VALUES:
            self.assertIn('--%s ' % option, arguments.HELP)

    def test_help_names_all_exit_codes(self):
        table = arguments.HELP.partition('exit codes:\n')[2]
        table = table.partition('130')[0]
        self.assertEqual(
            [0, *sorted(errors.EXIT_CODES.values())],
            [int(line[:5]) for line in table.splitlines()
             if line[3:5].strip()])
        self.assertLess(max(map(len, arguments.HELP.splitlines())), 80)

    def test_survey(self):
        args = arguments.parse(['--survey', '--pools=a,b', '--sample=1M',
                          '--pool=p', '--image=i', '--snap=s'])
        self.assertEqual((True, 'a,b', 1 << 20, 'p'), (
            args.survey, args.pools, args.sample, args.pool))
        self.assertEqual('', args.dest)
        self.assertTrue(arguments.parse(['--survey']).survey)

    def test_bad_survey(self):
        for words in (['--survey', 'a/b@c', 'd'], ['--survey', '--pool=p'],
                      ['--survey=x'], ['--survey', '--pools=']):
            self.assertRaises(errors.ExportError, arguments.parse, words)
