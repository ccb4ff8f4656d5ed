# SPDX-License-Identifier: Apache-2.0

"""The test bed of the functional tests for programs that are no tests.

    import testbed
    from testbed import rbd_testbed

Nova's package of fixtures imports most of Nova and what Nova's tests need.
The modules of the test bed need none of it, so this module stands in for the
package.
"""

import pathlib

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

__path__ = [str(CHECKOUT / 'nova' / 'tests' / 'testbed')]
