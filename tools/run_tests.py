#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Run our tests with stestr and count what came of them."""

import pathlib
import runpy
import sys

if __name__ == '__main__':
    sys.argv[1:1] = ['suites.run_tests']
    runpy.run_path(str(pathlib.Path(__file__).resolve().parent / 'lib'),
                   run_name='__main__')
