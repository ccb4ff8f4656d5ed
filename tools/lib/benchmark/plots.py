# SPDX-License-Identifier: Apache-2.0

"""Plots, as SVG without anything else in it."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import math
from typing import NamedTuple
from xml.etree import ElementTree

OURS, THEIRS, LIMIT = '#c0392b', '#2c3e50', '#95a5a6'
#: Colours of lines, in the order in which they are used.
COLOURS = (OURS, THEIRS, '#2980b9', '#27ae60', '#8e44ad', '#d68910')

WIDTH = 800


class Bar(NamedTuple):
    """One of the bars of a plot.

    :ivar name: what it stands for
    :ivar value: its length, in the unit of the plot
    :ivar low: where the spread of the value begins, None for no spread
    :ivar high: where it ends
    :ivar colour: as SVG has it
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    colour: str = THEIRS


class Drawing:
    """An SVG that things are put on, from the top to the bottom.

    :param title: what it shows
    :ivar y: how far down it is filled, in pixels
    """

    def __init__(self, title: str) -> None:
        self._root = ElementTree.Element('svg', {
            'xmlns': 'http://www.w3.org/2000/svg', 'font-size': '13',
            'font-family': 'sans-serif', 'role': 'img'})
        ElementTree.SubElement(self._root, 'title').text = title
        self.put('rect', width='100%', height='100%', fill='white')
        self.text(10, 26, title, font_size=16)
        self.y = 44.0

    def put(self, kind: str, **attributes: object) -> ElementTree.Element:
        """Add an element; a font_size of 5 becomes font-size="5"."""
        return ElementTree.SubElement(self._root, kind, {
            name.replace('_', '-'): f'{value:.1f}'.removesuffix('.0')
            if isinstance(value, float) else str(value)
            for name, value in attributes.items()})

    def text(self, x: float, y: float, text: str,
             **attributes: object) -> None:
        """Add a text that begins there."""
        attributes.setdefault('fill', '#222')
        self.put('text', x=x, y=y, **attributes).text = text

    def line(self, x1: float, y1: float, x2: float, y2: float,
             colour: str = '#ddd') -> None:
        """Add a line between two points."""
        self.put('line', x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour)

    def svg(self) -> str:
        """The whole drawing."""
        height = f'{self.y + 12:.0f}'
        self._root.attrib.update({
            'width': str(WIDTH), 'height': height,
            'viewBox': f'0 0 {WIDTH} {height}'})
        return ElementTree.tostring(self._root, encoding='unicode') + '\n'


def steps(top: float, count: int = 5) -> list[float]:
    """Round numbers from zero to a value or a little more.

    :param top: the value, above zero
    :param count: how many there should be, about
    """
    rough = top / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10)
                if power * factor >= rough * 0.999)
    return [step * n for n in range(math.ceil(top / step - 1e-9) + 1)]


def bars(title: str, groups: Mapping[str, Sequence[Bar]], unit: str) -> str:
    """Groups of bars, each with a scale of its own.

    :param title: of the plot
    :param groups: the bars by the name of their group
    :param unit: of their values
    :returns: the SVG
    """
    height, left, room = 19, 230, WIDTH - 230 - 130
    drawing = Drawing(title)
    for name, group in groups.items():
        if name:
            drawing.y += 24
            drawing.text(10, drawing.y - 7, name, font_weight='bold')
        top = max([bar.high or bar.value for bar in group] + [1e-9])
        drawing.line(left, drawing.y - 2, left,
                     drawing.y + height * len(group), '#555')
        for bar in group:
            y, length = drawing.y, room * bar.value / top
            drawing.text(left - 8, y + 13, bar.name, text_anchor='end')
            drawing.put('rect', x=left, y=y, width=float(length),
                        height=height - 4, fill=bar.colour)
            end = length
            if bar.low is not None and bar.high is not None:
                end = room * bar.high / top
                drawing.line(left + room * bar.low / top, y + 7.5,
                             left + end, y + 7.5, '#111')
            drawing.text(left + max(end, length) + 6, y + 13,
                         f'{number(bar.value)} {unit}')
            drawing.y += height
    return drawing.svg()


def number(value: float) -> str:
    """A value with about three digits."""
    for limit, form in ((1, '.3f'), (10, '.2f'), (100, '.1f')):
        if abs(value) < limit:
            return format(value, form)
    return format(value, '.0f')


class Axis(NamedTuple):
    """What is told along one side of a plot.

    :ivar text: what it is, with its unit
    :ivar values: the numbers that are written there
    :ivar log: whether the distances are those of the logarithms
    """

    text: str
    values: Sequence[float]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1."""
        low, high = self.values[0], self.values[-1]
        if self.log:
            low, high, value = (math.log(n) for n in (low, high, value))
        return (value - low) / ((high - low) or 1)


def lines(title: str, x: Axis, y_text: str,
          series: Mapping[str, Iterable[tuple[float, float]]]) -> str:
    """Lines through points.

    :param title: of the plot
    :param x: the horizontal axis
    :param y_text: what the vertical axis tells; it begins at zero
    :param series: the points, by the name of their line
    :returns: the SVG
    """
    points = {name: list(line) for name, line in series.items()}
    y = Axis(y_text, steps(max((value for line in points.values()
                                for _, value in line), default=0) or 1))
    left, right, height = 70, WIDTH - 200, 240
    drawing = Drawing(title)
    drawing.text(10, drawing.y + 4, y.text, fill='#555')
    top = drawing.y + 18

    def at(a: float, b: float) -> tuple[float, float]:
        return (left + (right - left) * x.place(a),
                top + height * (1 - y.place(b)))

    for value in y.values:
        level = at(x.values[0], value)[1]
        drawing.line(left, level, right, level)
        drawing.text(left - 8, level + 4, f'{value:g}', text_anchor='end')
    for value in x.values:
        place = at(value, 0)[0]
        drawing.line(place, top + height, place, top + height + 5, '#555')
        drawing.text(place, top + height + 19, f'{value:g}',
                     text_anchor='middle')
    drawing.line(left, top + height, right, top + height, '#555')
    drawing.text((left + right) / 2, top + height + 38, x.text,
                 text_anchor='middle', fill='#555')
    # Names stand at the ends of their lines, but not on each other.
    lowest = math.inf
    for colour, (name, line) in sorted(
            zip(COLOURS, points.items()), key=lambda item: -at(
                *item[1][1][-1])[1]):
        places = [at(*point) for point in line]
        drawing.put('polyline', fill='none', stroke=colour, stroke_width=2,
                    points=' '.join(f'{a:.1f},{b:.1f}' for a, b in places))
        for a, b in places:
            drawing.put('circle', cx=a, cy=b, r=3, fill=colour)
        lowest = min(lowest - 17, places[-1][1] + 4)
        drawing.text(right + 10, lowest, name, fill=colour)
    drawing.y = top + height + 42
    return drawing.svg()
