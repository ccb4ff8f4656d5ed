# SPDX-License-Identifier: Apache-2.0

"""python3 -m nova.cmd.image_download: where there is no console script."""

import sys

from nova.cmd.image_download import main

if __name__ == '__main__':
    sys.exit(main())
