# SPDX-License-Identifier: Apache-2.0

import threading

from nova.storage import circuit_breaker
from nova import test


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class CircuitBreakerTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.breaker = circuit_breaker.CircuitBreaker(self.clock)

    def test_closed_at_first(self):
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
        self.assertEqual(0.0, self.breaker.seconds_to_wait())

    def test_opens_at_the_first_failure(self):
        self.breaker.failed('no route')
        self.assertEqual(circuit_breaker.FIRST_PAUSE,
                         self.breaker.seconds_to_wait())
        self.assertEqual('no route', self.breaker.reason)
        self.clock.now += circuit_breaker.FIRST_PAUSE - 1
        self.assertEqual(1.0, self.breaker.seconds_to_wait())

    def test_attempt_that_showed_nothing(self):
        self.breaker.failed('no route', 'look at it')
        self.assertEqual('look at it', self.breaker.remedy)
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
        self.assertGreater(self.breaker.seconds_to_wait(), 0)
        self.breaker.abandoned()
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
        # Nobody had permission to try at first.
        self.breaker.succeeded()
        self.breaker.failed('no route')
        self.breaker.abandoned()
        self.assertGreater(self.breaker.seconds_to_wait(), 0)

    def test_one_caller_is_let_through_after_the_pause(self):
        self.breaker.failed('no route')
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
        self.assertEqual(circuit_breaker.FIRST_PAUSE,
                         self.breaker.seconds_to_wait())

    def test_success_closes_it(self):
        self.breaker.failed('no route')
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.breaker.seconds_to_wait()
        self.breaker.succeeded()
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
        self.assertEqual('', self.breaker.reason)

    def test_pause_starts_small_again_after_a_success(self):
        self._fail_in_a_row(4)
        self.breaker.succeeded()
        self.breaker.failed('no route')
        self.assertEqual(circuit_breaker.FIRST_PAUSE,
                         self.breaker.seconds_to_wait())

    def _fail_in_a_row(self, times):
        for _ in range(times):
            self.clock.now += circuit_breaker.LONGEST_PAUSE
            self.assertEqual(0.0, self.breaker.seconds_to_wait())
            self.breaker.failed('no route')

    def test_pause_doubles_up_to_a_limit(self):
        pauses = []
        for _ in range(7):
            self._fail_in_a_row(1)
            pauses.append(self.breaker.seconds_to_wait())
        first, longest = (circuit_breaker.FIRST_PAUSE,
                          circuit_breaker.LONGEST_PAUSE)
        self.assertEqual([first, 2 * first, 4 * first, 8 * first, longest,
                          longest, longest], pauses)

    def test_failures_of_one_outage_count_once(self):
        # Ten builds were under way when the cluster went away.
        for _ in range(10):
            self.assertEqual(0.0, self.breaker.seconds_to_wait())
        for number in range(10):
            self.breaker.failed('no route for %d' % number)
        self.assertEqual(circuit_breaker.FIRST_PAUSE,
                         self.breaker.seconds_to_wait())
        self.assertEqual('no route for 9', self.breaker.reason)

    def test_a_caller_that_never_reports_does_not_keep_it_open(self):
        self.breaker.failed('no route')
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.assertEqual(0.0, self.breaker.seconds_to_wait())
        self.clock.now += circuit_breaker.FIRST_PAUSE
        self.assertEqual(0.0, self.breaker.seconds_to_wait())

    def test_only_one_of_many_threads_is_let_through(self):
        self.breaker.failed('no route')
        self.clock.now += circuit_breaker.FIRST_PAUSE
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(
                self.breaker.seconds_to_wait())) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(1, answers.count(0.0))
        self.assertEqual(20, len(answers))


class RegistryTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        circuit_breaker.reset()
        self.addCleanup(circuit_breaker.reset)

    def test_one_breaker_for_one_key(self):
        self.assertIs(circuit_breaker.get(('rbd', 'nova', '')),
                      circuit_breaker.get(('rbd', 'nova', '')))
        self.assertIsNot(circuit_breaker.get(('rbd', 'nova', '')),
                         circuit_breaker.get(('rbd', 'glance', '')))

    def test_reset_forgets(self):
        circuit_breaker.get('key').failed('no route')
        circuit_breaker.reset()
        self.assertEqual(0.0, circuit_breaker.get('key').seconds_to_wait())
