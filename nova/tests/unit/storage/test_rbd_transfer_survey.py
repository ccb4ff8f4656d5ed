# SPDX-License-Identifier: Apache-2.0

"""A survey of a cluster, as Nova asks the engine for it."""

from nova.storage import rbd_transfer
from nova.tests.unit.storage import test_rbd_transfer


class SurveyTestCase(test_rbd_transfer.TransferTestCase):

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
            self._survey(['a', 'b'], test_rbd_transfer.SOURCE,
                         9)['argv'][4:])

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

    def test_observers_see_each_event(self):
        seen = []
        self._patch(observers=[lambda event: seen.append(event['event'])])
        self._engine('progress(); progress(); result()')
        self._export()
        self.assertEqual(['progress', 'progress', 'result'], seen)
