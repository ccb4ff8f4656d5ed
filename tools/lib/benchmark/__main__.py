# SPDX-License-Identifier: Apache-2.0

"""Run by its path, by tools/benchmark."""

import os
import sys

# In place of this directory, whose modules are not for everyone.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from benchmark import command  # noqa: E402

if __name__ == '__main__':
    sys.exit(command.main())
