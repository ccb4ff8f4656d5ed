# SPDX-License-Identifier: Apache-2.0

import os
import sys

if not __package__:
    # Run by path. The directory above is needed to import this package, but
    # only while that happens: what else lies there must never hide a module
    # of the standard library.
    _above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, _above)
    from rbd_export import cli
    sys.path.remove(_above)
else:
    from nova.storage.rbd_export import cli

if __name__ == '__main__':
    cli.main()
