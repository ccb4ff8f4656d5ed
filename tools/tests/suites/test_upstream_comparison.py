# SPDX-License-Identifier: Apache-2.0

import testtools

from suites import upstream_comparison


class ComparisonTest(testtools.TestCase):

    def compare(self, ours, theirs, superseded=()):
        def outcomes(given):
            return {test: (outcome, outcome + ' because')
                    for test, outcome in given.items()}
        return upstream_comparison.Comparison(outcomes(ours), outcomes(theirs),
                                         superseded)

    def test_each_kind(self):
        compared = self.compare(
            {'a': 'passed', 'b': 'failed', 'c': 'failed', 'd': 'skipped',
             'e': 'passed', 'f': 'failed'},
            {'a': 'passed', 'b': 'failed', 'c': 'passed', 'd': 'skipped',
             'e': 'failed', 'f': 'passed'}, superseded=['f'])
        self.assertEqual(
            {'run': 6, 'passed': 2, 'skipped': 1, 'failed on both': 1,
             'superseded': 1, 'failed on ours only': 1}, compared.counts())
        self.assertEqual({'c': 'failed because'}, compared.ours_only)
        self.assertEqual({'e': 'failed because'}, compared.theirs_only)

    def test_lost_ones(self):
        compared = self.compare({'a': 'skipped'},
                                {'a': 'passed', 'b': 'passed'})
        self.assertEqual({'a': 'is skipped on ours only', 'b': 'is missing'},
                         compared.ours_only)

    def test_list_that_is_not_true(self):
        for here, there in (('passed', 'passed'), ('failed', 'failed'),
                            ('skipped', 'passed')):
            compared = self.compare({'a': here}, {'a': there}, ['a'])
            self.assertEqual(['a'], list(compared.ours_only))
            self.assertEqual([], compared.superseded)
