# SPDX-License-Identifier: Apache-2.0

"""A small cloud on this machine, to look at and to break."""
