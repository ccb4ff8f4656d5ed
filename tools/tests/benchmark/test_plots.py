# SPDX-License-Identifier: Apache-2.0


import unittest
from xml.etree import ElementTree

from benchmark import plots

SVG = '{http://www.w3.org/2000/svg}'


class PlotsTestCase(unittest.TestCase):

    def test_bars(self):
        root = ElementTree.fromstring(plots.bars('Title', {
            'group': [plots.Bar('a <b>', 2.0, 1.0, 4.0, plots.OURS),
                      plots.Bar('c', 1.0)]}, 's'))
        texts = [element.text for element in root.iter(SVG + 'text')]
        self.assertEqual(['Title', 'group', 'a <b>', '2.00 s', 'c', '1.00 s'],
                         texts)
        _, one, two = root.iter(SVG + 'rect')
        self.assertEqual(plots.OURS, one.get('fill'))
        self.assertEqual(float(one.get('width')), 2 * float(two.get('width')))
        # The spread ends where the scale does.
        spread = [element for element in root.iter(SVG + 'line')
                  if element.get('stroke') == '#111'][0]
        self.assertEqual(2 * float(one.get('width')),
                         float(spread.get('x2')) - 230)

    def test_lines(self):
        root = ElementTree.fromstring(plots.lines(
            'Title', plots.Axis('GiB', [1, 4, 16], True), 's',
            {'a': [(1, 0), (4, 5), (16, 10)], 'b': [(1, 10), (16, 10)]}))
        a, b = sorted((element.get('stroke'), element.get('points'))
                      for element in root.iter(SVG + 'polyline'))
        points = {colour: [tuple(map(float, point.split(',')))
                           for point in text.split()]
                  for colour, text in (a, b)}
        line = points[plots.COLOURS[0]]
        self.assertEqual([70.0, 335.0, 600.0], [x for x, _ in line])
        self.assertEqual(line[0][1] - line[1][1], line[1][1] - line[2][1])
        # Both names can be read.
        names = [float(element.get('y')) for element in root.iter(
            SVG + 'text') if element.text in 'ab']
        self.assertGreaterEqual(abs(names[0] - names[1]), 15)

    def test_steps(self):
        self.assertEqual([0, 2, 4, 6, 8, 10], plots.steps(10))
        self.assertEqual([0, 25, 50, 75, 100, 125], plots.steps(101))
        self.assertEqual([0, 0.1, 0.2], [round(n, 3) for n in
                                         plots.steps(0.2, 2)])

    def test_nothing(self):
        self.assertIn('Title', plots.bars('Title', {'group': []}, 's'))
        self.assertIn('Title', plots.lines(
            'Title', plots.Axis('x', [0, 1]), 's', {'a': [(0, 0), (1, 0)]}))

    def test_number(self):
        self.assertEqual(['0.500', '1.50', '15.0', '150'],
                         [plots.number(n) for n in (0.5, 1.5, 15, 150)])
