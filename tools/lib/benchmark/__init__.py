# SPDX-License-Identifier: Apache-2.0

"""Compare ways from an RBD snapshot to a local file.

Started by tools/benchmark. The methods are run in turn, A B C A B C and so
on, so that a machine whose speed drifts is no advantage to any of them. Each
run is a process of its own, whose time and memory the kernel tells. A first
round is not counted. After each run its file is removed and everything dirty
is written out, so that no method pays for another.
"""
