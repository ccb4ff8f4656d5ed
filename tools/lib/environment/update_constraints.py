#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Write constraints.txt and tools/services-requirements.txt anew.

Each is what pip chose today for an empty environment: the first for Nova
with everything that its tests, style checks and documentation need, the
second for Keystone, Glance and Placement, which want an environment of their
own. Run the whole test suite with the new files before they are committed.
"""

import argparse
import subprocess
import sys
import tempfile
import typing as ty
import venv

from patchset import CHECKOUT

FILES = {
    'constraints.txt': ['-e', '.', '-r', 'test-requirements.txt',
                        '-r', 'lint-requirements.txt',
                        '-r', 'doc/requirements.txt'],
    # Glance needs the last one to run and does not require it.
    'tools/services-requirements.txt': [
        'keystone==30.0.0', 'glance==33.0.0', 'openstack-placement==16.0.0',
        'PyMySQL', 'gunicorn', 'oslo.service[threading]'],
}
HEADER = '''\
# Versions that work together, on Python %d.%d.
# Made by "tox -e constraints"; do not edit.
'''


def freeze(arguments: ty.List[str]) -> str:
    """Install into a fresh environment and return what is in it then.

    :param arguments: for pip install, run in the checkout
    :raises subprocess.CalledProcessError: if pip fails
    """
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [folder + '/bin/python', '-m', 'pip',
               '--disable-pip-version-check']
        subprocess.run(pip + ['install', '-q'] + arguments, cwd=CHECKOUT,
                       check=True)
        listed = subprocess.run(pip + ['list', '--format=freeze'],
                                check=True, stdout=subprocess.PIPE, text=True)
    skip = ('nova==', 'pip==', 'setuptools==')
    return '\n'.join(sorted((
        line for line in listed.stdout.splitlines()
        if not line.startswith(skip)), key=str.lower)) + '\n'


def main() -> int:
    argparse.ArgumentParser(
        prog='update_constraints', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for name, arguments in FILES.items():
        try:
            text = freeze(arguments)
        except subprocess.CalledProcessError as exc:
            print('update_constraints: %s is as it was: pip ended with '
                  'status %d' % (name, exc.returncode), file=sys.stderr)
            return 1
        (CHECKOUT / name).write_text(HEADER % sys.version_info[:2] + text)
        print('%s: %d packages' % (name, text.count('\n')))
    return 0


if __name__ == '__main__':
    sys.exit(main())
