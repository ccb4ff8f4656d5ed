# SPDX-License-Identifier: Apache-2.0

"""What the parts of the benchmark share."""

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class BenchmarkError(Exception):
    """It cannot go on; the text says why."""


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)
