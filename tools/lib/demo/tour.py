# SPDX-License-Identifier: Apache-2.0

"""Write the tour of the guide: tools/tour.

Every command in it is run for real, on a playground (playground.py), and its
output is written down as it came, but for the path of the directory, which is
~. Nothing is written if a mistake was not named in one line by what is wrong,
or was not mended by its cure.
"""

import argparse
import json
import re
import signal
import sys
import textwrap
import time

import fixtures

from demo.common import say
from demo import mistakes
from demo import playground
from nova.tests.testbed import daemon
from patchset import CHECKOUT

PAGE = (CHECKOUT / 'doc' / 'source' / 'admin' /
        'rbd-image-download-tour.rst')

CHECK = 'nova-image-download check demo'
FETCH = 'nova-image-download fetch demo instances/demo.img'

_INTRODUCTION = """\
=========================
A tour in fifteen minutes
=========================

This page shows a compute node that reads its images from RBD, and then ten
ways to break it: what ``nova-image-download check`` says, what a download
does meanwhile, and what puts it right. You can do all of it yourself, on a
fresh Debian 12 as root, without a cloud:

.. code-block:: console

   # ./tools/demo --shell

That starts Ceph, Keystone and Glance on the loopback interface and opens a
shell on a small compute node, with its ``nova.conf``, a ``ceph.conf`` and a
key in the directory it starts in, and an image ``demo`` in RBD. ``exit`` ends
it and leaves nothing behind.

``tools/tour`` has written this page. What is in the boxes was run, as it
stands, on the day at the end of the page, on two cores that had other things
to do as well.

A node in order
===============

The first question is whether a boot would read its image from RBD:

{check}

Nothing is wrong. A download, with the code and the configuration of
``nova-compute``:

{fetch}

The same image, into the image cache of the node. The second time there is
nothing to do:

{precache}

And what it gains, here, with all servers on the same two cores:

{bench}

:doc:`nova-image-download` describes these commands.

Ten mistakes
============

In the shell, ``mistake`` lists them, ``mistake NAME`` makes one, and ``mend``
puts everything in order again. After each of them ``check`` is asked for what
is not in order, and the image is downloaded all the same: mostly it comes over
HTTP, with one warning in the log that names the same cause.
"""

_MISTAKE = """\
{title}
{line}

{story}

{box}

{remark}

{cure}
"""

_END = """\
What this shows
===============

Each mistake is a line of its own, with what to do about it, and whatever
hangs on it is ``not applicable`` and no further problem. The exit status of
``check`` is 0 only if the last line says that a boot reads from RBD, so it can
stand in a script.

Run on {day}: the ten mistakes, {commands} commands in all, took {minutes:.0f}
minutes.
"""


class TourError(Exception):
    """What was to be shown is not so."""


def _fill(text: str) -> str:
    return textwrap.fill(text, 79, break_on_hyphens=False)


class Tour:
    """Runs the commands, and keeps count.

    :param place: where
    """

    def __init__(self, place: playground.Playground) -> None:
        self.place = place
        self.commands = 0

    def box(self, *commands: str, wrap: bool = True) -> str:
        """Run commands; returns a block of them with their output.

        :param wrap: whether a browser may break lines, which tables do not
            survive
        """
        lines = ['.. code-block:: console', *['   :class: wrap'] * wrap, '']
        for command in commands:
            self.commands += 1
            say(f'    {command}')
            output = self.place.run(command)
            lines.append(f'   $ {command}')
            lines += [f'   {line}'.rstrip() for line in output.splitlines()]
        return '\n'.join(lines)

    def mistake(self, number: int, mistake: mistakes.Mistake) -> str:
        """Make a mistake; returns what the page says about it.

        :raises TourError: if it is not named, or not mended
        """
        say(f'{number:2} {mistake.name}')
        mistake.make(self.place)
        self._judge(mistake)
        look = f"{CHECK} | grep -v ' ok '"
        box = self.box(look, *[FETCH] * mistake.comes)
        if mistake.cure:
            cure = self.box(*mistake.cure, f'{CHECK} | tail -n 1')
        else:
            self.place.restore()
            cure = self.box(f'{CHECK} | tail -n 1').replace(
                '   $ ', '   $ mend\n   Everything is in order again.\n   $ ',
                1)
        if 'A boot on this node reads this image from RBD.' not in cure:
            raise TourError(f'{mistake.name} is not mended:\n{cure}')
        self.place.restore()
        title = f'{number}. {mistake.title}'
        return _MISTAKE.format(
            title=title, line='-' * len(title),
            story=_fill(
                re.sub(r'\[\w+\]|nova\.conf|ceph\.conf', r'``\g<0>``',
                       mistake.story) + f' (``mistake {mistake.name}``)'),
            box=box, cure=cure, remark=_fill(mistake.remark or 'The cure:'))

    def _judge(self, mistake: mistakes.Mistake) -> None:
        """See that there is one line for it, with its cure."""
        report = json.loads(self.place.run(f'{CHECK} --format json'))
        problems = [item for item in report['checks']
                    if item['state'] == 'problem']
        if (report['over_rbd'] or not all(item['cure'] for item in problems)
                or [item['topic'] for item in problems] != [mistake.topic]):
            raise TourError(f'{mistake.name} is not named:\n{report}')


def write(place: playground.Playground) -> str:
    """Run everything; returns the page."""
    tour = Tour(place)
    say('A node in order')
    parts = {
        'check': tour.box(CHECK),
        'fetch': tour.box(FETCH),
        'precache': tour.box(*['nova-image-download precache demo'] * 2),
        'bench': tour.box('nova-image-download bench demo --html bench.html',
                          wrap=False),
    }
    place.run('rm instances/demo.img instances/_base/*')
    start = time.monotonic()
    text = _INTRODUCTION.format(**parts)
    for number, mistake in enumerate(mistakes.MISTAKES, 1):
        text += '\n' + tour.mistake(number, mistake)
    return text + '\n' + _END.format(
        day=time.strftime('%Y-%m-%d', time.gmtime()), commands=tour.commands,
        minutes=(time.monotonic() - start) / 60)


def main() -> int:
    """Write the page; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='tools/tour', description='Write the tour of the guide anew, '
        'from commands that are run on a cluster started for them.')
    parser.add_argument('--output', metavar='FILE', default=str(PAGE),
                        help='default: %(default)s')
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with playground.Playground(say) as place:
            if place.why_no_mounts:
                raise TourError(place.why_no_mounts)
            place.upload()
            text = write(place)
    except KeyboardInterrupt:
        print('\ntools/tour: interrupted, everything is stopped',
              file=sys.stderr)
        return 130
    except fixtures.MultipleExceptions as e:
        print(f'tools/tour: {e.args[0][1]}', file=sys.stderr)
        return 1
    except (TourError, daemon.DaemonError) as e:
        print(f'tools/tour: {e}', file=sys.stderr)
        return 1
    with open(options.output, 'w') as f:
        f.write(text)
    print(f'tools/tour: {options.output} is written')
    return 0


if __name__ == '__main__':
    sys.exit(main())
