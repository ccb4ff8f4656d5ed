#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Bring the development tree, build/tree, up to date with the checkout."""

import pathlib
import runpy
import sys

if __name__ == '__main__':
    sys.argv[1:1] = ['patchset.devtree']
    runpy.run_path(str(pathlib.Path(__file__).resolve().parent / 'lib'),
                   run_name='__main__')
