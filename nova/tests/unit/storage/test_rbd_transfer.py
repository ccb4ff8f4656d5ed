# SPDX-License-Identifier: Apache-2.0

"""What is asked of the engine, and what becomes of its answers."""

import os
from unittest import mock

from nova.storage import circuit_breaker
from nova.storage import export_process
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer
from nova import test
from nova.tests.unit.storage import played_engine

FSID = played_engine.FSID
SOURCE = played_engine.SOURCE
TransferTestCase = played_engine.TransferTestCase
REAL_ENGINE_PATH = export_process.engine_path


class CommandTest(TransferTestCase):

    def setUp(self):
        super().setUp()
        self._engine('''
            error('not_found', argv=sys.argv[1:], cwd=os.getcwd(),
                  isolated=sys.flags.isolated, stdin=os.readlink(
                      '/proc/self/fd/0'), fds=sorted(
                      os.listdir('/proc/self/fd'))[:-1])
            ''')

    def _facts(self, function, *args, **kwargs):
        return self._fail(function, *args, **kwargs).facts

    def test_least(self):
        facts = self._facts(self._export)
        self.assertEqual(
            ['--json', '--connect-timeout=5', '--stall-timeout=60',
             '--pool=images', '--image=image', '--snap=snap', '--',
             os.path.join(self.directory, 'image')], facts['argv'])

    def test_most(self):
        self.flags(rbd_user='nova', rbd_ceph_conf='/etc/ceph/images.conf',
                   rbd_connect_timeout=7, rbd_download_stall_timeout=11,
                   rbd_download_inflight=3, rbd_download_max_rate=1 << 20,
                   rbd_read_from_replica='localize', group='glance')
        facts = self._facts(self._export, size=0, digest='sha512:0f',
                            fsid=FSID)
        self.assertEqual(
            ['--json', '--connect-timeout=7', '--id=nova',
             '--conf=/etc/ceph/images.conf', '--stall-timeout=11',
             '--inflight=3', '--max-rate=1048576',
             '--read-from-replica=localize', '--size=0',
             '--digest=sha512:0f', '--fsid=' + FSID, '--pool=images',
             '--image=image', '--snap=snap', '--',
             os.path.join(self.directory, 'image')], facts['argv'])

    def test_probe(self):
        facts = self._facts(rbd_transfer.probe)
        self.assertEqual(['--json', '--connect-timeout=5', '--probe'],
                         facts['argv'])

    def test_no_name_becomes_an_option(self):
        facts = self._facts(
            rbd_transfer.export,
            rbd_transfer.Source('--id=admin', '-c', '--'), '--conf')
        self.assertEqual(
            ['--pool=--id=admin', '--image=-c', '--snap=--', '--',
             os.path.abspath('--conf')], facts['argv'][3:])

    def test_what_the_child_inherits(self):
        with open(os.path.join(self.directory, 'secret'), 'w') as secret:
            os.set_inheritable(secret.fileno(), True)
            facts = self._facts(self._export)
        self.assertEqual(['0', '1', '2'], facts['fds'])
        self.assertEqual('/dev/null', facts['stdin'])
        self.assertEqual('/', facts['cwd'])
        self.assertEqual(1, facts['isolated'])

    def test_argument_that_no_command_line_can_hold(self):
        error = self._fail(rbd_transfer.export,
                           rbd_transfer.Source('a\0b', 'image', 'snap'),
                           '/image')
        self.assertEqual('unexpected', error.code)
        self.assertEqual([], self.started)

    def test_engine_of_this_project(self):
        path = REAL_ENGINE_PATH()
        self.assertTrue(os.path.exists(path))
        self.assertIn('rbd_export', path)

    def test_patience_is_longer_than_the_childs_own(self):
        with mock.patch.object(export_process, 'ExportProcess') as child:
            child.return_value.run.return_value = {
                'bytes': 1, 'data_bytes': 1, 'fsid': FSID}
            rbd_transfer.export(SOURCE, '/image',
                                rbd_transfer.Cluster(connect_timeout=7))
        self.assertEqual(60 + 7 + 0.5, child.call_args.args[2])


class ClusterTest(test.NoDBTestCase):

    def test_of_glance(self):
        self.flags(rbd_user='g', rbd_ceph_conf='/g.conf',
                   rbd_connect_timeout=7, group='glance')
        self.flags(rbd_user='l', images_rbd_ceph_conf='/l.conf',
                   rbd_connect_timeout=9, group='libvirt')
        self.assertEqual(rbd_transfer.Cluster('g', '/g.conf', 7),
                         rbd_transfer.Cluster.of_glance())

    def test_of_libvirt_where_glance_says_nothing(self):
        self.flags(rbd_connect_timeout=0, group='glance')
        self.flags(rbd_user='l', images_rbd_ceph_conf='/l.conf',
                   rbd_connect_timeout=9, group='libvirt')
        self.assertEqual(rbd_transfer.Cluster('l', '/l.conf', 9),
                         rbd_transfer.Cluster.of_glance())

    def test_nothing_is_set(self):
        self.assertEqual(rbd_transfer.Cluster('', '', 5),
                         rbd_transfer.Cluster.of_glance())

    def test_no_endless_wait(self):
        self.assertEqual(5, rbd_transfer.Cluster('u', 'c', -1).connect_timeout)
        self.flags(rbd_connect_timeout=0, group='glance')
        for never in (0, -1):
            self.flags(rbd_connect_timeout=never, group='libvirt')
            self.assertEqual(
                5, rbd_transfer.Cluster.of_glance().connect_timeout)

    def test_breaker_by_the_way_it_is_reached(self):
        self.assertIs(rbd_transfer.Cluster('a', 'b', 1).breaker,
                      rbd_transfer.Cluster('a', 'b', 2).breaker)
        self.assertIsNot(rbd_transfer.Cluster('a', 'b').breaker,
                         rbd_transfer.Cluster('a', 'c').breaker)


class BreakerTest(TransferTestCase):

    def _answers(self, code):
        self._engine("error('%s', 1, message='no monitor answers')" % code)

    def test_opens_if_the_cluster_is_away(self):
        self._answers('connect')
        self.assertEqual('connect', self._fail().code)
        for _ in range(3):
            error = self._fail()
            self.assertEqual('not_retried', error.code)
            self.assertEqual(errors.NO_ANSWER, error.kind)
            self.assertIn('no monitor answers', str(error))
            self.assertIn('not tried again for 3', str(error))
            self.assertEqual(errors.CAUSES['connect'].remedy, error.remedy)
        self.assertEqual(1, len(self.started))

    def test_not_opened_if_the_child_had_to_be_killed(self):
        # Who stopped or froze it is not known, but it was not the cluster.
        self._engine('time.sleep(60)')
        error = self._fail(rbd_transfer.probe, self.impatient)
        self.assertEqual('silent', error.code)
        self.assertEqual(0.0, self.breaker.seconds_to_wait())

    def test_closes_again_by_itself(self):
        self._answers('connect')
        self._fail()
        self._engine('result()')
        self._fail()
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.assertEqual(FSID, self._probe())
        self.assertEqual(FSID, self._probe())
        self.assertEqual(3, len(self.started))

    def test_closes_on_any_answer(self):
        for code in ('not_found', 'permission', 'wrong_cluster',
                     'wrong_size', 'wrong_digest', 'read'):
            self._answers('connect')
            self._fail()
            self.clock.now += circuit_breaker.LONGEST_PAUSE
            self._answers(code)
            self.assertEqual(code, self._fail().code)
            self.assertEqual(code, self._fail().code)
            self.breaker.succeeded()

    def _half_open(self):
        self.breaker.succeeded()
        self._answers('connect')
        self._fail()
        self.clock.now += circuit_breaker.LONGEST_PAUSE

    def test_stays_open_for_what_says_nothing_about_the_cluster(self):
        for code in ('no_space', 'bad_conf', 'unexpected', 'bindings'):
            self._half_open()
            self._answers(code)
            # Each may try, as none has shown whether the cluster is there.
            for _ in range(2):
                self.assertEqual(code, self._fail().code)
            self._answers('connect')
            self.assertEqual('connect', self._fail().code)
            self.assertEqual('not_retried', self._fail().code)

    def test_closes_as_soon_as_the_cluster_answers(self):
        for code in ('no_space', 'unexpected', 'stalled', 'connect'):
            self._half_open()
            self._engine("say('connected', fsid='x'); error('%s')" % code)
            self.assertEqual(code, self._fail().code)
            self.assertEqual(0.0, self.breaker.seconds_to_wait())
            self.assertEqual('', self.breaker.reason)

    def test_not_opened_by_local_causes(self):
        for code, cause in errors.CAUSES.items():
            if cause.kind != errors.NO_ANSWER and cause.exit:
                self._answers(code)
                self._fail()
                self.assertEqual(0.0, self.breaker.seconds_to_wait(), code)

    def test_not_opened_by_faults_of_one_image(self):
        for code in ('not_found', 'permission', 'wrong_digest', 'no_space'):
            self._answers(code)
            for _ in range(2):
                self.assertEqual(code, self._fail().code)


class StalledTest(TransferTestCase):
    """A read that stalls, and who is spared the next one."""

    def setUp(self):
        super().setUp()
        self.stalling = os.path.join(self.directory, 'stalling')
        self._stall('sick/a', 'sick/b', 'sick/c', 'odd/x')
        self._engine('''
            facts = dict(word[2:].split('=', 1) for word in sys.argv
                         if '=' in word)
            say('connected', fsid='x')
            if '%%(pool)s/%%(image)s' %% facts in open(%r).read().split():
                error('stalled', 6, message='no byte moved', remedy='see OSDs')
            result()
            ''' % self.stalling)

    def _stall(self, *names):
        with open(self.stalling, 'w') as names_:
            names_.write(' '.join(names))

    def _read(self, name):
        pool, image = name.split('/')
        try:
            rbd_transfer.export(rbd_transfer.Source(pool, image, 'snap'),
                                os.path.join(self.directory, 'image'),
                                self.patient)
        except rbd_transfer.TransferError as exc:
            return exc.code
        return 'ok'

    def test_only_that_image(self):
        self.assertEqual('stalled', self._read('odd/x'))
        self.assertEqual('stalled_before', self._read('odd/x'))
        for name in ('odd/y', 'good/x', 'odd/z'):
            self.assertEqual('ok', self._read(name))
        self.assertEqual('stalled_before', self._read('odd/x'))

    def test_pool(self):
        self.assertEqual('stalled', self._read('sick/a'))
        self.assertEqual('stalled', self._read('sick/b'))
        self.assertEqual('stalled_before', self._read('sick/c'))
        # Another pool has no part in it.
        self.assertEqual('ok', self._read('good/x'))

    def test_not_a_pool_whose_other_images_are_read(self):
        for name, code in (('odd/x', 'stalled'), ('odd/y', 'ok'),
                           ('odd/z', 'stalled'), ('odd/y', 'ok')):
            self._stall('odd/x', 'odd/z')
            self.assertEqual(code, self._read(name), name)

    def test_well_again(self):
        for name in ('sick/a', 'sick/b'):
            self._read(name)
        self._stall()
        self.assertEqual('stalled_before', self._read('sick/c'))
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.assertEqual('ok', self._read('sick/c'))
        self.assertEqual('ok', self._read('sick/a'))

    def test_refusal(self):
        self._read('odd/x')
        error = self._fail(rbd_transfer.export, rbd_transfer.Source(
            'odd', 'x', 'snap'), '/image', self.patient)
        # So that other locations are tried.
        self.assertEqual(errors.CLUSTER, error.kind)
        self.assertIn('no byte moved', str(error))
        self.assertEqual('see OSDs', error.remedy)


class FsidTest(TransferTestCase):

    def setUp(self):
        super().setUp()
        self._patch(DEFAULT_CEPH_CONF=os.path.join(self.directory, 'conf'))
        self._engine('result()')

    def _count(self):
        self.assertEqual(FSID, rbd_transfer.fsid())
        return len(self.started)

    def test_asked_once(self):
        self.assertEqual(1, self._count())
        self.assertEqual(1, self._count())

    def test_asked_again_if_the_configuration_changes(self):
        self._count()
        with open(rbd_transfer.DEFAULT_CEPH_CONF, 'w') as conf:
            conf.write('[global]\n')
        self.assertEqual(2, self._count())
        os.utime(rbd_transfer.DEFAULT_CEPH_CONF, (1, 1))
        self.assertEqual(3, self._count())
        self.assertEqual(3, self._count())
        self.flags(rbd_user='other', group='glance')
        self.assertEqual(4, self._count())
        self.flags(rbd_ceph_conf='/other', group='glance')
        self.assertEqual(5, self._count())

    def test_asked_again_after_a_while(self):
        # A new cluster may stand behind the same monitors' addresses.
        self._count()
        self._patch(FSID_MAX_AGE=-1)
        self.assertEqual(2, self._count())

    def test_asked_again_after_the_wrong_cluster_answered(self):
        self._count()
        self._engine("error('wrong_cluster', 11)")
        self._fail(self._export)
        self._engine('result()')
        self.assertEqual(3, self._count())

    def test_failure_is_not_remembered(self):
        self._engine("error('permission', 4)")
        self._fail(rbd_transfer.fsid)
        self._engine('result()')
        self.assertEqual(2, self._count())


class SurveyTest(TransferTestCase):

    def _survey(self, *args, **kwargs):
        return rbd_transfer.survey(self.patient, *args, **kwargs)

    def test_arguments(self):
        self._engine('say("result", argv=sys.argv[1:])')
        self.assertEqual(
            ['--json', '--connect-timeout=60', '--survey',
             '--stall-timeout=5'], self._survey()['argv'])
        self.assertEqual(
            ['--pools=a,b', '--sample=9', '--pool=images', '--image=image',
             '--snap=snap'],
            self._survey(['a', 'b'], SOURCE, 9)['argv'][4:])

    def test_facts_of_a_failure(self):
        self._engine('error("connect", mon_host="a")')
        error = self._fail(self._survey)
        self.assertEqual(('connect', 'a'),
                         (error.code, error.facts['mon_host']))

    def test_the_breaker_is_left_alone(self):
        self.breaker.failed('a moment ago')
        self._engine('say("result", fsid="x")')
        self.assertEqual('x', self._survey()['fsid'])
        self.assertGreater(self.breaker.seconds_to_wait(), 0)


class WatchTest(TransferTestCase):

    def _watch(self):
        seen = []
        with rbd_transfer.watching(seen.append):
            try:
                return seen, self._export()
            except rbd_transfer.TransferError as exc:
                return seen, exc

    def test_result(self):
        self._engine("progress(7); say('news'); progress(8); result()")
        seen, result = self._watch()
        self.assertEqual(
            [rbd_transfer.Progress(7, 10 << 20, 0.1),
             rbd_transfer.Progress(8, 10 << 20, 0.1), result], seen)
        self.assertIsInstance(result, rbd_transfer.Result)

    def test_error(self):
        self._engine("error('read', 13)")
        seen, error = self._watch()
        self.assertEqual([error], seen)
        self.assertEqual('read', error.code)

    def test_observer_that_fails(self):
        self._engine('progress(); time.sleep(60)')

        def fail(happening):
            raise KeyError(happening)

        with rbd_transfer.watching(fail):
            self.assertRaises(KeyError, self._export)
