#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Show what the boot tests recorded, as a table, JSON or a page."""

import pathlib
import runpy
import sys

if __name__ == '__main__':
    sys.argv[1:1] = ['suites.boot_matrix']
    runpy.run_path(str(pathlib.Path(__file__).resolve().parent / 'lib'),
                   run_name='__main__')
