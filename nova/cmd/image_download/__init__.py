# SPDX-License-Identifier: Apache-2.0

"""nova-image-download: what a person at a terminal asks a compute node.

Nothing else in Nova imports this package.
"""

from __future__ import annotations

import collections.abc


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    """Run the command, as its console script does.

    :param argv: its arguments, by default those of the process
    :returns: the exit status
    """
    # Not before: it chooses the mode of concurrency when it is imported.
    from nova.cmd.image_download import cli
    return cli.main(argv)
