# SPDX-License-Identifier: Apache-2.0

"""nova-image-download: what a person at a terminal asks a compute node.

Nothing else in Nova imports this package.
"""

from __future__ import annotations

import collections.abc
import os
import sys

# The command line or the configuration cannot be used.
EXIT_USAGE = 2


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    """Run the command, as its console script does.

    :param argv: its arguments, by default those of the process
    :returns: the exit status
    """
    from oslo_config import cfg
    try:
        # Not before: it chooses the mode of concurrency when it is imported,
        # for which Nova reads the configuration a first time.
        from nova.cmd.image_download import cli
    except cfg.Error as exc:
        print('nova-image-download: the configuration cannot be used by user '
              '%d: %s. To fix this, correct it, or run this as the user of '
              'nova-compute.' % (os.geteuid(), exc), file=sys.stderr)
        return EXIT_USAGE
    return cli.main(argv)
