#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Make the guide's table of configurations from what the tests recorded."""

import pathlib
import runpy
import sys

if __name__ == '__main__':
    sys.argv[1:1] = ['suites.config_variants']
    runpy.run_path(str(pathlib.Path(__file__).resolve().parent / 'lib'),
                   run_name='__main__')
