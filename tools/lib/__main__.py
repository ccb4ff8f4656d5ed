# SPDX-License-Identifier: Apache-2.0

"""Run a program of these packages: python tools/lib MODULE [ARGUMENT...].

Python puts the directory it is given on the path, so that a module of any of
the packages imports the others, and no program edits the path for that.
"""

import runpy
import sys

if __name__ == '__main__':
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
