# SPDX-License-Identifier: Apache-2.0

"""Completion of nova-image-download for bash, made from its parser."""

import argparse
import typing as ty

_SCRIPT = """\
# Completion of %(prog)s for bash, written by "%(prog)s complete".
_%(function)s()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local command= candidate
    for candidate in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $candidate in
            %(commands)s) command=$candidate; break ;;
        esac
    done
    case $command:$previous in
%(choices)s
    esac
    case $command in
%(options)s
    esac
}
complete -o default -F _%(function)s %(prog)s
"""


def script(parser: argparse.ArgumentParser) -> str:
    """Return the script for a shell to read.

    :param parser: of a program with subcommands
    """
    parsers = {'': parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            parsers.update(action.choices)
    commands = sorted(filter(None, parsers))
    choices, options = [], []
    for command, each in sorted(parsers.items()):
        for action in each._actions:
            if not action.option_strings or action.nargs == 0:
                continue
            words = ('compgen -W "%s"' % ' '.join(map(str, action.choices))
                     if action.choices else 'compgen -f')
            choices.append('        %s) COMPREPLY=($(%s -- "$word"))\n'
                           '            return ;;'
                           % ('|'.join('%s:%s' % (command, option) for option
                                       in action.option_strings), words))
        words = ' '.join([*_options(each), *(() if command else commands)])
        # Where no file is wanted its name would be taken for an image's.
        files = '' if _wants_file(each) else (
            '            compopt +o default 2>/dev/null ||:\n')
        options.append(
            '        %s)\n%s            [[ $word == -* || -z $command ]] &&\n'
            '            COMPREPLY=($(compgen -W "%s" -- "$word")) ;;'
            % (command or "''", files, words))
    return _SCRIPT % {
        'prog': parser.prog, 'function': parser.prog.replace('-', '_'),
        'commands': '|'.join(commands), 'choices': '\n'.join(choices),
        'options': '\n'.join(options)}


def _wants_file(parser: argparse.ArgumentParser) -> bool:
    return any(action.metavar == 'PATH' for action in parser._actions
               if not action.option_strings)


def _options(parser: argparse.ArgumentParser) -> ty.Iterator[str]:
    for action in parser._actions:
        yield from (option for option in action.option_strings
                    if option.startswith('--'))
