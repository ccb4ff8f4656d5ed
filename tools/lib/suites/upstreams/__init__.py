# SPDX-License-Identifier: Apache-2.0

"""Where stestr finds those tests of upstream's that upstream_tests.py names.

It runs in an environment that holds nothing of this project but its wheel.
"""

import os
import pathlib
import typing as ty
import unittest


def ids_of(tests: ty.Iterable) -> ty.Iterator[str]:
    """Names of the tests in a suite, however deep."""
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from ids_of(test)
        else:
            yield test.id()


class SkippedModule(unittest.TestCase):
    """Stands for a module that cannot be tested here, and says why.

    :param module: its name
    :param reason: what it said
    """

    def __init__(self, module: str, reason: str) -> None:
        super().__init__('skip')
        self.module = module
        self.reason = reason

    def id(self) -> str:
        return self.module

    def skip(self) -> None:
        self.skipTest(self.reason)


def load(loader: unittest.TestLoader, module: str) -> unittest.TestSuite:
    """Load one module as discovery does it."""
    try:
        return loader.loadTestsFromName(module)
    except unittest.SkipTest as exc:
        return unittest.TestSuite([SkippedModule(module, str(exc))])


def load_tests(loader, tests, pattern):
    """The hook of unittest's loader; returns the suite to run."""
    modules = pathlib.Path(os.environ['NOVA_UPSTREAM_MODULES']).read_text()
    found = unittest.TestSuite(load(loader, module)
                               for module in modules.split())
    # stestr loads once to list the tests and once in each worker. A test that
    # is on the list and never ends is one that its worker took with it.
    listed = pathlib.Path(os.environ['NOVA_UPSTREAM_LISTED'])
    if not listed.exists():
        listed.write_text('\n'.join(ids_of(found)))
    return found
