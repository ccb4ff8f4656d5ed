# SPDX-License-Identifier: Apache-2.0

"""What stops the work on a tree, with the exit code of the command."""

IMPOSSIBLE, DIRTY = 1, 3


class PatchsetError(Exception):
    """Something that stops the work; the message names the file."""

    code = IMPOSSIBLE


class DirtyTree(PatchsetError):
    """The tree holds something that neither we nor upstream put there."""

    code = DIRTY
