#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Report from a log of nova-compute how its images came."""

import pathlib
import runpy
import sys

if __name__ == '__main__':
    sys.argv[1:1] = ['suites.check_download_log']
    runpy.run_path(str(pathlib.Path(__file__).resolve().parent / 'lib'),
                   run_name='__main__')
