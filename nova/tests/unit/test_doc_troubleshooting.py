# SPDX-License-Identifier: Apache-2.0

"""Hold the page for troubleshooting and the code together.

Whatever our modules can log as a warning or an error, and each cause that can
stand in such a line, has a row on the page; and each row is still in the code.
"""

import ast
import pathlib
import re

from nova import test

# This file may be reached over a link in a development tree.
CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / 'doc' / 'source' / 'admin' /
        'rbd-image-download-troubleshooting.rst')

LEVELS = frozenset(['warning', 'error', 'exception', 'critical'])

# Calls that make a cause for the log, and which of their arguments are text.
CAUSES = {
    'ExportError': [1],
    'InvalidLocation': [0],
    'TransferError': [1],
    '_failed': [0],
}

# How our halves could misunderstand each other. The page has one row for all,
# since an operator can do nothing about them.
CONTRACT_CODE = 'bad_arguments'

PLACEHOLDER = re.compile(r'%(?:\((\w+)\))?[-#0 +]*[0-9]*(?:\.[0-9]+)?[sdrgfx]')

# The first cell of a row of a list-table: a literal, or lines of them.
CELL = re.compile(r'^ +\* - ((?:\|?\s*``.+?``\s*)+)\n +- ',
                  re.MULTILINE | re.DOTALL)
LITERAL = re.compile(r'``(.+?)``', re.DOTALL)


def plain(message):
    """Return a format string as the page writes it."""
    text = PLACEHOLDER.sub(
        lambda match: (match[1] or '\u2026').upper(), message)
    return ' '.join(text.split())


def texts(node):
    """Return the format strings that an expression may evaluate to."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return texts(node.left)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        # What is added under a condition is explained with what it is added
        # to.
        return texts(node.left)
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return []


def is_log_method(node):
    return (isinstance(node, ast.Attribute) and node.attr in LEVELS and
            isinstance(node.value, ast.Name) and node.value.id == 'LOG')


def messages_of(tree):
    """Yield what a module can say to the operator when something is wrong."""
    aliases = {
        target.id for node in ast.walk(tree) if isinstance(node, ast.Assign)
        and any(map(is_log_method, ast.walk(node.value)))
        for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
        if is_log_method(node.func) or (
                isinstance(node.func, ast.Name) and name in aliases):
            chosen = [0]
        elif name in CAUSES and CONTRACT_CODE not in texts(node.args[0]):
            chosen = CAUSES[name]
        else:
            continue
        for index in chosen:
            for text in texts(node.args[index]):
                text = plain(text)
                # What only hands on the words of someone else says nothing.
                if re.search(r'[a-z]{2}', text):
                    yield text


def in_code():
    """Return where each message is made, by message."""
    found = {}
    for path in sorted((CHECKOUT / 'nova').rglob('*.py')):
        name = str(path.relative_to(CHECKOUT))
        if not name.startswith('nova/tests/'):
            for message in messages_of(ast.parse(path.read_text('utf-8'))):
                found.setdefault(message, name)
    return found


def on_page():
    """Return the messages that have a row."""
    return {plain(literal) for cell in CELL.findall(PAGE.read_text('utf-8'))
            for literal in LITERAL.findall(cell)}


class TroubleshootingTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        if not PAGE.exists():
            self.skipTest('the documentation is not installed with the code')

    def test_each_message_has_a_row(self):
        rows = on_page()
        missing = ['%s: %s' % (name, message)
                   for message, name in in_code().items()
                   if message not in rows]
        self.assertEqual([], missing, 'add a row to %s' % PAGE)

    def test_each_row_has_a_message(self):
        messages = set(in_code())
        self.assertEqual(
            [], sorted(row for row in on_page() if row not in messages),
            'the code no longer says this, remove it from %s' % PAGE)

    def test_the_collector_finds_what_it_should(self):
        tree = ast.parse(
            'say = LOG.info if calm else LOG.warning\n'
            'say("one %(a)s" " and %(b).1f")\n'
            'LOG.error("two %d" % 2)\n'
            'LOG.info("three")\n'
            'raise errors.TransferError(code, "four" + more)\n'
            'raise ExportError("bad_arguments", "five")\n'
            'raise ExportError("read", "%s: %s" % (a, b))\n'
            'TransferError("x", "six" if a else "seven")\n')
        self.assertEqual(['one A and B', 'two \u2026', 'four', 'six',
                          'seven'], list(messages_of(tree)))
