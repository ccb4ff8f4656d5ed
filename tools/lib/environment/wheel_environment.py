# SPDX-License-Identifier: Apache-2.0

"""Virtual environments that hold one wheel of Nova each.

All that Nova needs comes from the environment that runs this program, which
makes them fast to make, and two of them differ in their Nova only.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import typing as ty
import venv


class EnvironmentFailed(Exception):
    """A wheel could not be built or installed; the text says why."""


def pip(*arguments: ty.Any) -> None:
    """Run the pip of this program's environment.

    :raises EnvironmentFailed: with the end of what it said
    """
    run = subprocess.run(
        [sys.executable, '-m', 'pip', '--disable-pip-version-check',
         *map(str, arguments)], stdin=subprocess.DEVNULL,
        # A constraint may name another version of nova.
        env=dict(os.environ, PIP_CONSTRAINT='', PIP_NO_INPUT='1'),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        raise EnvironmentFailed('pip %s:\n%s' % (arguments[0],
                                                 run.stdout[-2000:].strip()))


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> ty.Iterator[None]:
    """Hold what is made in a directory for one process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_wheel(checkout: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Build this checkout's wheel; whatever was in ``folder`` goes.

    :returns: the wheel; its bytes depend on nothing but the checkout
    :raises EnvironmentFailed: if it cannot be built
    """
    shutil.rmtree(folder, ignore_errors=True)
    pip('wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', folder,
        checkout)
    return next(folder.glob('nova-*.whl'))


class WheelEnvironment:
    """An environment with a wheel of Nova and what is missing for tests.

    :param folder: where it is to be; it is made when it is not up to date
    :param wheel: the wheel of Nova
    :param requirements: more of what pip is to install, or other versions of
        what there is
    :raises EnvironmentFailed: if pip fails
    """

    def __init__(self, folder: pathlib.Path, wheel: pathlib.Path,
                 requirements: ty.Sequence[str] = ()) -> None:
        self.folder = folder
        self.python = folder / 'bin' / 'python'
        self.site = pathlib.Path(sysconfig.get_path(
            'purelib', vars={'base': str(folder)}))
        self.parent = sysconfig.get_path('purelib')
        self.sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        stamp = '\n'.join([str(folder), sys.executable, self.sha256,
                           *requirements])
        stamp_file = folder / '.stamp'
        if stamp_file.exists() and stamp_file.read_text() == stamp:
            return
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder)
        # Just the path: what is installed there as editable, our own
        # development tree above all, hangs on .pth files, which count in
        # directories of this environment only.
        (self.site / 'parent.pth').write_text(self.parent + '\n')
        install = ['--python', self.python, 'install', '--no-compile']
        pip(*install, '--no-deps', '--ignore-installed', wheel)
        if requirements:
            pip(*install, *requirements)
        stamp_file.write_text(stamp)

    def link(self, name: str, target: pathlib.Path) -> None:
        """Let ``target`` stand beside nova/, where a source tree has it."""
        link = self.site / name
        if not link.exists():
            link.symlink_to(target)

    def environ(self) -> ty.Dict[str, str]:
        """Variables for what runs in it, none of this program's among them."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(('PYTHON', 'OS_', 'VIRTUAL_ENV'))}
        return dict(kept, LC_ALL='C.UTF-8')


def temporary(folder: pathlib.Path) -> tempfile.TemporaryDirectory:
    """A directory below ``folder`` that goes at the end of a with block."""
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder)
