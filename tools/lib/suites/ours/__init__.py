# SPDX-License-Identifier: Apache-2.0

"""Where stestr finds our tests, and only ours.

The test packages are upstream's with our modules between theirs, so they
cannot be searched; the checkout's files say which modules are ours.
"""

import os
import pathlib

from patchset import CHECKOUT

BOOT = 'nova/tests/functional/rbd_boot'
# Folders, and files of them, by suite.
SUITES = {'unit': ('nova/tests/unit', 'test_*.py'),
          'functional': ('nova/tests/functional', 'test_*.py'),
          'boot': (BOOT, 'test_*.py'),
          'boot-core': (BOOT, 'test_core.py'),
          'tools': ('tools/tests', 'test_*.py')}


def module_names(suite):
    """Names of our test modules.

    :param suite: a key of SUITES
    :returns: sorted names to import
    """
    folder, pattern = SUITES[suite]
    return sorted('.'.join(path.relative_to(CHECKOUT).with_suffix('').parts)
                  for path in (CHECKOUT / folder).rglob(pattern)
                  # Those want a stack of their own.
                  if suite != 'functional' or path.parent != CHECKOUT / BOOT)


def load_tests(loader, tests, pattern):
    """The hook of unittest's loader; returns the suite to run."""
    suite = os.environ.get('NOVA_RBD_SUITE', 'unit')
    if suite != 'tools':
        import nova
        at = pathlib.Path(nova.__file__).parent
        if not (at / 'hacking').is_dir():
            raise ImportError('nova is imported from %s, which is not the '
                              'development tree: run pip install -e .' % at)
    found = loader.loadTestsFromNames(module_names(suite))
    if suite == 'unit':
        # Not before nova.tests.unit, which sets up the mode of concurrency.
        import fixtures
        from nova.tests import fixtures as nova_fixtures
        # Nothing in them asks for a policy, and to read all of Nova's takes
        # longer than most of them.
        nova_fixtures.PolicyFixture = fixtures.Fixture
    # run_tests.py compares: a worker that ends early loses tests silently.
    if os.environ.get('NOVA_RBD_COUNT'):
        pathlib.Path(os.environ['NOVA_RBD_COUNT']).write_text(
            str(found.countTestCases()))
    return found
