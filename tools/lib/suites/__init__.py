# SPDX-License-Identifier: Apache-2.0

"""Runs of tests, and the pages that are made of what they record."""
