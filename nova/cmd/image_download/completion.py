# SPDX-License-Identifier: Apache-2.0

"""Completion of nova-image-download in bash, zsh and tcsh.

The build of the wheel makes a script for each shell from the parser, with
shtab, which nothing else needs; pip installs them. "complete" prints them::

    python3 -m nova.cmd.image_download.completion DIRECTORY

writes all of them below a directory. Like the parser this needs nothing of
Nova.
"""

from __future__ import annotations

import argparse
import collections.abc
import os
import sys
import sysconfig

from nova.cmd.image_download import arguments

# Where each shell looks, below the directory that pip calls "data". There is
# no such place for tcsh.
FILES = {
    'bash': 'share/bash-completion/completions/nova-image-download',
    'zsh': 'share/zsh/site-functions/_nova-image-download',
    'tcsh': 'share/nova/nova-image-download.tcsh',
}

# What to complete a word with, by what it is called in --help.
NAMES_OF_FILES = ('FILE', 'PATH')
NAMES_OF_DIRECTORIES = ('DIR',)


def generate(shell: str) -> str:
    """Return a new script.

    :param shell: a key of FILES
    :raises ImportError: if there is no shtab
    """
    import shtab
    parser = arguments.parser()
    for each in _parsers(parser):
        for action in each._actions:
            if action.metavar in NAMES_OF_FILES:
                action.complete = shtab.FILE    # type: ignore[attr-defined]
            elif action.metavar in NAMES_OF_DIRECTORIES:
                action.complete = shtab.DIR     # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell)).rstrip() + '\n'


def _parsers(parser: argparse.ArgumentParser
             ) -> collections.abc.Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def script(shell: str) -> str | None:
    """Return the script that was installed with Nova, else a new one.

    :param shell: a key of FILES
    :returns: None if there is neither a file nor shtab
    """
    path = os.path.join(sysconfig.get_path('data'), FILES[shell])
    try:
        with open(path, encoding='utf-8') as f:
            return f.read()
    except OSError:
        pass
    try:
        return generate(shell)
    except ImportError:
        return None


def write(directory: str) -> None:
    """Write all scripts below a directory."""
    for shell, name in FILES.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(generate(shell))


if __name__ == '__main__':
    write(sys.argv[1])
