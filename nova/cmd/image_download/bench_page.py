# SPDX-License-Identifier: Apache-2.0

"""A page that shows what a benchmark measured; it needs no other file."""

import html
import typing as ty

from nova.cmd.image_download import units

NAMES = {'rbd': 'RBD', 'http': 'HTTP'}
COLOURS = {'rbd': '#0072b2', 'http': '#d55e00'}

# Size of a plot and the room for its axes, in pixels.
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 300, 70, 40, 16, 16

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 2em auto;
       max-width: 800px; padding: 0 1em; }}
h1 {{ font-size: 1.5em; }} h2 {{ font-size: 1.15em; margin-top: 2em; }}
table {{ border-collapse: collapse; width: 100%; font-size: 0.9em; }}
th, td {{ text-align: right; padding: 0.3em 0.6em;
         border-bottom: 1px solid #ddd; }}
td {{ white-space: nowrap; }}
div {{ overflow-x: auto; }}
th:first-child, td:first-child {{ text-align: left; }}
svg {{ width: 100%; height: auto; }}
svg text {{ font: 12px system-ui, sans-serif; fill: #444; }}
.headline {{ font-size: 1.15em; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="headline">{headline}</p>
{table}
<h2>Seconds for each download</h2>
{bars}
<h2>How the downloads went on</h2>
{lines}
<h2>How this was measured</h2>
<p>{method}</p>
</body>
</html>
"""


def render(report: dict[str, ty.Any]) -> str:
    """Return the page.

    :param report: from bench.as_json
    """
    image = report['image']
    title = 'Downloads of image %s on %s' % (
        image['name'] or image['id'], report['host'])
    speedup = report['speedup']
    headline = (comparison(speedup) if speedup
                else 'Only one way was measured.')
    method = (
        'Image %s, %s, format %s. Both ways took turns, %d downloads each, '
        'with the code and the configuration of nova-compute on this node, '
        'to the disk of its image cache, and until the copy was on stable '
        'storage. Seconds, rates and processor time in the table are '
        'medians; processor time is that of this node alone.' % (
            image['id'], units.format_bytes(image['size'] or 0),
            image['disk_format'],
            max(summary['runs'] for summary in report['summary'])))
    return _PAGE.format(
        title=html.escape(title), headline=html.escape(headline),
        table=_table(report['summary']), bars=_bars(report['runs']),
        lines=_lines(report['runs']), method=html.escape(method))


def comparison(speedup: float) -> str:
    """Say which way is faster.

    :param speedup: seconds over HTTP for one over RBD
    """
    if speedup >= 1:
        return 'RBD is %.1f times as fast as HTTP here.' % speedup
    return ('HTTP is %.1f times as fast as RBD here. For small images that is '
            'to be expected.' % (1 / speedup))


def _table(summaries: ty.Sequence[dict[str, ty.Any]]) -> str:
    head = ('', 'Seconds', 'Fastest', 'Slowest', 'Rate', 'Processor seconds',
            'On disk', 'Verified by')
    rows = [(NAMES[summary['method']], '%.2f' % summary['seconds'],
             '%.2f' % summary['fastest'], '%.2f' % summary['slowest'],
             units.format_bytes(summary['rate']) + '/s',
             '%.2f' % summary['cpu_seconds'],
             units.format_bytes(summary['allocated']),
             summary['verified']) for summary in summaries]
    return '<div><table>\n<tr>%s</tr>\n%s\n</table></div>' % (
        ''.join('<th>%s</th>' % html.escape(cell) for cell in head),
        '\n'.join('<tr>%s</tr>' % ''.join(
            '<td>%s</td>' % html.escape(cell) for cell in row)
            for row in rows))


class _Plot:
    """A plot with both axes from 0.

    :param x_max: the largest value of x that has to fit in
    :param y_max: the same of y
    """

    def __init__(self, x_max: float, y_max: float) -> None:
        self.x_max = x_max or 1.0
        self.y_step = _step(y_max)
        self.y_max = self.y_step * max(1, -(-y_max // self.y_step))
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        return LEFT + value / self.x_max * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.y_max * (HEIGHT - BOTTOM - TOP)

    def text(self, x: float, y: float, text: str,
             anchor: str = 'middle') -> None:
        self.parts.append('<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>'
                          % (x, y, anchor, html.escape(text)))

    def y_axis(self, name: ty.Callable[[float], str]) -> None:
        value = 0.0
        while value <= self.y_max * 1.001:
            y = self.y(value)
            self.parts.append(
                '<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>'
                % (LEFT, WIDTH - RIGHT, y, y))
            self.text(LEFT - 8, y + 4, name(value), 'end')
            value += self.y_step

    def legend(self, methods: ty.Iterable[str]) -> None:
        x = LEFT + 10
        for method in methods:
            self.parts.append(
                '<rect x="%d" y="%d" width="12" height="12" fill="%s"/>'
                % (x, TOP, COLOURS[method]))
            self.text(x + 18, TOP + 11, NAMES[method], 'start')
            x += 80

    def svg(self, label: str) -> str:
        return ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s">\n%s\n'
                '</svg>' % (WIDTH, HEIGHT, html.escape(label),
                            '\n'.join(self.parts)))


def _step(highest: float) -> float:
    """Return a round distance for about five lines up to a value."""
    step = 1e-3
    while True:
        for factor in (1, 2, 5):
            if highest / (step * factor) <= 6:
                return step * factor
        step *= 10


def _bars(runs: ty.Sequence[dict[str, ty.Any]]) -> str:
    plot = _Plot(len(runs), max(run['seconds'] for run in runs))
    plot.y_axis(lambda value: '%g s' % value)
    for index, run in enumerate(runs):
        left, right = plot.x(index + 0.15), plot.x(index + 0.85)
        top = plot.y(run['seconds'])
        plot.parts.append(
            '<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s">'
            '<title>%s, round %d: %.2f s</title></rect>'
            % (left, top, right - left, plot.y(0) - top,
               COLOURS[run['method']], NAMES[run['method']], run['number'],
               run['seconds']))
        plot.text((left + right) / 2, plot.y(0) + 18,
                  '%s %d' % (NAMES[run['method']], run['number']))
    return plot.svg('Seconds for each download')


def _lines(runs: ty.Sequence[dict[str, ty.Any]]) -> str:
    seconds = max(run['seconds'] for run in runs)
    step = _step(seconds)
    plot = _Plot(seconds, max(run['size'] for run in runs) / (1 << 20))
    plot.y_axis(lambda value: '%g MiB' % value)
    value = 0.0
    while value <= seconds:
        plot.text(plot.x(value), HEIGHT - BOTTOM + 18, '%g s' % value)
        value += step
    for run in runs:
        points = [(0.0, 0), *run['progress']]
        plot.parts.append(
            '<polyline fill="none" stroke="%s" stroke-width="2" '
            'stroke-opacity="0.7" points="%s"/>' % (
                COLOURS[run['method']], ' '.join(
                    '%.1f,%.1f' % (plot.x(at), plot.y(done / (1 << 20)))
                    for at, done in points)))
    plot.legend(sorted({run['method'] for run in runs}, reverse=True))
    return plot.svg('Bytes over time for each download')
