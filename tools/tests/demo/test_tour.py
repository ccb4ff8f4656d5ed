# SPDX-License-Identifier: Apache-2.0


import re
import unittest
from unittest import mock

from demo import mistakes
from demo import tour

GOOD = 'A boot on this node reads this image from RBD.\n'


class Place:
    """A playground without servers."""

    def __init__(self, *outputs):
        self.outputs = list(outputs)
        self.commands = []
        self.restored = 0

    def run(self, command):
        self.commands.append(command)
        return self.outputs.pop(0)

    def restore(self):
        self.restored += 1


def report(*problems, good=False):
    return ('{"over_rbd": %s, "checks": [%s]}' % (
        str(good).lower(), ', '.join(
            '{"topic": "%s", "state": "problem", "cure": "%s"}' % problem
            for problem in problems)))


class TourTest(unittest.TestCase):

    def setUp(self):
        self.enterContext(mock.patch('demo.tour.say'))
        self.made = []
        self.mistake = mistakes.Mistake(
            'slip', 'A slip', 'nova.conf is [empty].', self.made.append,
            'switch', ('echo cure',))

    def test_box(self):
        place = Place('one\n\ntwo  \n', '')
        self.assertEqual(
            '.. code-block:: console\n   :class: wrap\n\n   $ ls\n   one\n\n'
            '   two\n   $ true', tour.Tour(place).box('ls', 'true'))
        self.assertEqual('.. code-block:: console\n\n   $ ls\n   |',
                         tour.Tour(Place('|\n')).box('ls', wrap=False))

    def test_words_with_hyphens_stay_whole(self):
        self.assertEqual('a' * 70 + '\n``apt-get install``',
                         tour._fill('a' * 70 + ' ``apt-get install``'))

    def test_mistake(self):
        place = Place(report(('switch', 'set it')), 'bad\n', 'over HTTP\n',
                      'cured\n', GOOD)
        text = tour.Tour(place).mistake(3, self.mistake)
        self.assertEqual([place], self.made)
        self.assertTrue(text.startswith('3. A slip\n---------\n\n'
                                        '``nova.conf`` is ``[empty]``. '))
        self.assertIn("   $ nova-image-download check demo | grep -v ' ok '\n"
                      '   bad\n   $ nova-image-download fetch', text)
        self.assertIn('   $ echo cure\n   cured\n', text)
        self.assertEqual(1, place.restored)

    def test_mended_by_mend(self):
        place = Place(report(('switch', 'set it')), 'bad\n', GOOD)
        text = tour.Tour(place).mistake(
            3, self.mistake._replace(cure=(), comes=False, remark='Here:'))
        self.assertIn('\nHere:\n', text)
        self.assertIn('   $ mend\n   Everything is in order again.\n   $ '
                      'nova-image-download check demo | tail -n 1\n', text)

    def test_what_was_not_named(self):
        for answer in (report(good=True), report(('roles', 'set it')),
                       report(('switch', '')),
                       report(('switch', 'set it'), ('roles', 'set it'))):
            with self.assertRaisesRegex(tour.TourError, 'slip is not named'):
                tour.Tour(Place(answer)).mistake(1, self.mistake)

    def test_what_was_not_mended(self):
        place = Place(report(('switch', 'set it')), '', '', '', 'bad\n')
        with self.assertRaisesRegex(tour.TourError, 'slip is not mended'):
            tour.Tour(place).mistake(1, self.mistake)

    def test_the_page_has_all_of_it(self):
        text = tour.PAGE.read_text()
        lines = text.splitlines()
        words = set(text.split())
        self.assertEqual([], [
            mistake.name for mistake in mistakes.MISTAKES
            if f'{mistake.name}``)' not in words])
        self.assertEqual([], [
            command for mistake in mistakes.MISTAKES
            for command in mistake.cure if f'   $ {command}' not in lines])
        self.assertEqual(len(mistakes.MISTAKES),
                         len(re.findall(r'^\d+\. .*\n-+$', text, re.M)))
        # Nothing of the machine it was written on.
        self.assertNotIn(str(tour.CHECKOUT), text)
        self.assertNotIn('/tmp/', text)
