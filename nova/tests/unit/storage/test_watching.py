# SPDX-License-Identifier: Apache-2.0

import threading

from nova.storage import watching
from nova import test


class WatchingTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.seen = []

    def test_while_it_lasts(self):
        watching.announce(1)
        with watching.watching(self.seen.append):
            watching.announce(2)
            with watching.watching(lambda x: self.seen.append((x, 'inner'))):
                watching.announce(3)
            watching.announce(4)
        watching.announce(5)
        self.assertEqual([2, 3, (3, 'inner'), 4], self.seen)

    def test_ends_after_a_failure(self):
        def use():
            with watching.watching(self.seen.append):
                raise test.TestingException()

        self.assertRaises(test.TestingException, use)
        watching.announce(1)
        self.assertEqual([], self.seen)

    def test_others_are_not_watched(self):
        def watched():
            with watching.watching(self.seen.append):
                ready.set()
                end.wait(60)
                watching.announce('mine')

        ready, end = threading.Event(), threading.Event()
        # A greenthread where threads are patched.
        thread = threading.Thread(target=watched)
        thread.start()
        ready.wait(60)
        watching.announce('not mine')
        end.set()
        thread.join()
        self.assertEqual(['mine'], self.seen)
