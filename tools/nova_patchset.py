#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Put this project's change onto a Nova source tree, and take it off again."""

import pathlib
import runpy
import sys

if __name__ == '__main__':
    sys.argv[1:1] = ['patchset.command']
    runpy.run_path(str(pathlib.Path(__file__).resolve().parent / 'lib'),
                   run_name='__main__')
