#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Tell from a log of nova-compute how its images came.

With "--expect rbd", the default, it is a failure if fewer images came over RBD
than wanted, if one fell back to HTTP that should not have, if a location was
bad, or if an image could not be downloaded. An image that Glance does not keep
in RBD may come over HTTP: nova-compute logs that at level INFO. With "--expect
http" it is a failure if RBD was used or tried at all, and if no server was
booted: nova-compute says nothing about such downloads, and a log in which
nothing was booted would show nothing.

Understands the formats of oslo.log and of journalctl, colours included.

exit codes: 0 as expected, 1 not as expected, 2 wrong usage or no log
"""

import argparse
import re
import sys
import typing as ty

OK, FAILED, USAGE = range(3)

# How devstack colours the levels.
COLOUR = re.compile(r'\x1b\[[0-9;]*m')

# What a line has to have to count as one of nova-compute's: a level after the
# process id, and a module. A log without any says nothing about downloads.
RECORD = re.compile(
    r'(?:^|\d |\]: )(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) +nova\.')

# The beginnings of messages of nova/image/.
TRIED = 'Attempting to export RBD image:'
DONE = 'Successfully transferred using rbd'
FELL_BACK = re.compile(
    r'Downloading image (?P<image>\S+) over HTTP, not from RBD: (?P<why>.*)')
BAD_LOCATION = 'Skipped a bad location of image '
FAILURE = re.compile(
    r'Image (?P<image>\S+) (?:cannot be (?:read from RBD and|stored on this '
    r'node|read now)|did not come over HTTP)')
# Of nova/compute/manager.py, once a server that was made is running.
BOOTED = 'seconds to spawn the instance on the hypervisor'


class Findings:
    """What a log says.

    :ivar records: lines of nova-compute
    :ivar tried: lines about an attempt to read from RBD
    :ivar done: lines about images that came over RBD
    :ivar elsewhere: lines about images that are not kept in RBD
    :ivar fell_back: lines about other images that came over HTTP
    :ivar bad: lines about bad locations of images that came over RBD
    :ivar failed: lines about images that did not come
    :ivar boots: servers that were made and ran
    """

    def __init__(self) -> None:
        self.records = 0
        self.tried: ty.List[str] = []
        self.done: ty.List[str] = []
        self.elsewhere: ty.List[str] = []
        self.fell_back: ty.List[str] = []
        self.bad: ty.List[str] = []
        self.failed: ty.List[str] = []
        self.boots = 0

    def read(self, lines: ty.Iterable[str]) -> 'Findings':
        """Take in the lines of a log."""
        for line in lines:
            line = COLOUR.sub('', line).rstrip()
            record = RECORD.search(line)
            if not record:
                continue
            self.records += 1
            message = line[record.start('level'):]
            if TRIED in message:
                self.tried.append(message)
            elif DONE in message:
                self.done.append(message)
            elif BOOTED in message:
                self.boots += 1
            elif BAD_LOCATION in message:
                self.bad.append(message)
            elif FAILURE.search(message):
                self.failed.append(message)
            elif FELL_BACK.search(message):
                if record['level'] == 'INFO':
                    self.elsewhere.append(message)
                else:
                    self.fell_back.append(message)
        return self

    def complaints(self, expect: str, minimum: int, boots: int,
                   allowed: ty.Sequence['re.Pattern[str]']) -> ty.List[str]:
        """Say what is not as expected.

        :param expect: 'rbd' or 'http'
        :param minimum: how many images have to have come over RBD
        :param boots: how many servers have to have been booted
        :param allowed: fallbacks that match one of them are no fault
        """
        found = ['failed: %s' % line for line in self.failed]
        if self.boots < boots:
            found.append('%d servers were booted, at least %d should have been'
                         % (self.boots, boots))
        if expect == 'http':
            found += ['RBD was used, but must not be: %s' % line
                      for line in self.tried + self.done]
            # With a gate shut nothing is said about falling back.
            found += ['a gate is open: %s' % line
                      for line in self.fell_back + self.elsewhere]
            return found
        for what, lines in (('fell back to HTTP', self.fell_back),
                            ('came, but not at once', self.bad)):
            found += ['%s: %s' % (what, line) for line in lines
                      if not any(regex.search(line) for regex in allowed)]
        if len(self.done) < minimum:
            found.append('%d images came over RBD, at least %d should have'
                         % (len(self.done), minimum))
        return found


def parse_arguments(argv: ty.Optional[ty.List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='check_download_log.py', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('log', nargs='+',
                        help='log of nova-compute, - for standard input')
    parser.add_argument('--expect', choices=('rbd', 'http'), default='rbd',
                        help='how images should have come')
    parser.add_argument('--minimum', type=int, default=1, metavar='N',
                        help='how many have to have come over RBD (default 1)')
    parser.add_argument('--boots', type=int, metavar='N',
                        help='how many servers have to have been booted '
                        '(default 1 with "--expect http", else 0)')
    parser.add_argument('--allow', type=re.compile, action='append',
                        default=[], metavar='REGEX',
                        help='a fallback or bad location whose line '
                        'matches is no fault')
    args = parser.parse_args(argv)
    if args.boots is None:
        args.boots = 1 if args.expect == 'http' else 0
    return args


def main(argv: ty.Optional[ty.List[str]] = None) -> int:
    """Check the logs; see the module's text for what is returned."""
    args = parse_arguments(argv)
    findings = Findings()
    for path in args.log:
        try:
            if path == '-':
                findings.read(sys.stdin)
            else:
                with open(path, encoding='utf-8', errors='replace') as log:
                    findings.read(log)
        except OSError as exc:
            print('check_download_log: %s: %s' % (path, exc.strerror),
                  file=sys.stderr)
            return USAGE
    if not findings.records:
        print('check_download_log: no line of nova-compute in %s'
              % ', '.join(args.log), file=sys.stderr)
        return USAGE
    print('%d over RBD, %d over HTTP as they are not kept in RBD, %d fell '
          'back, %d failed; %d servers booted' % (
              len(findings.done), len(findings.elsewhere),
              len(findings.fell_back), len(findings.failed), findings.boots))
    complaints = findings.complaints(args.expect, args.minimum, args.boots,
                                     args.allow)
    for complaint in complaints:
        print(complaint)
    return FAILED if complaints else OK


if __name__ == '__main__':
    sys.exit(main())
