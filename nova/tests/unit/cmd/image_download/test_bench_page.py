# SPDX-License-Identifier: Apache-2.0

import html.parser

from nova.cmd.image_download import bench
from nova.cmd.image_download import bench_page
from nova import test
from nova.tests.unit.cmd.image_download import test_bench


class Parser(html.parser.HTMLParser):
    """Notes the elements of a page, and that each is closed."""

    VOID = ('meta',)

    def __init__(self):
        super().__init__()
        self.open = []
        self.elements = []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


class PageTestCase(test.NoDBTestCase):

    def _render(self, **image):
        self.text = bench_page.render(bench.as_json(
            {**test_bench.IMAGE, **image},
            test_bench.SummaryTestCase.RUNS))
        parser = Parser()
        parser.feed(self.text)
        self.assertEqual([], parser.open)
        return parser

    def test_it_stands_alone(self):
        parser = self._render()
        for tag, attrs in parser.elements:
            self.assertNotIn(tag, ('link', 'script', 'img', 'iframe'))
            self.assertNotIn('src', attrs)
            self.assertNotIn('href', attrs)

    def test_plots(self):
        parser = self._render()
        bars = [attrs for attrs in parser.of('rect')
                if attrs['width'] != '12']
        self.assertEqual(5, len(bars))
        self.assertEqual(5, len(parser.of('polyline')))
        # The bar of 8 s is the highest, that of 1 s an eighth of it.
        heights = [float(attrs['height']) for attrs in bars]
        self.assertAlmostEqual(heights[1] / 8, heights[0], delta=0.2)
        for attrs in bars:
            self.assertGreaterEqual(float(attrs['y']), 0)
            self.assertLessEqual(float(attrs['x']) + float(attrs['width']),
                                 bench_page.WIDTH)

    def test_names_are_quoted(self):
        parser = self._render(name='<script>alert(1)</script>')
        self.assertEqual([], parser.of('script'))
        self.assertIn('&lt;script&gt;', self.text)

    def test_headline(self):
        self.assertEqual('RBD is 4.0 times as fast as HTTP here.',
                         bench_page.comparison(4.0))
        self.assertIn('HTTP is 2.0 times as fast',
                      bench_page.comparison(0.5))

    def test_steps_are_round_and_few(self):
        for highest in (0.0, 0.004, 0.7, 3, 8, 60, 1234, 1e6):
            step = bench_page._step(highest)
            self.assertIn(('%e' % step)[0], '125')
            self.assertLessEqual(highest / step, 6)
