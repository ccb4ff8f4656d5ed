# SPDX-License-Identifier: Apache-2.0

"""The change to Nova: its patches and files, and what is made of them.

This package needs nothing but Python 3.9 and its standard library.
"""

import pathlib

#: The directory that has patches/, nova/ and tools/.
CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
