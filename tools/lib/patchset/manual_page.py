# SPDX-License-Identifier: Apache-2.0

"""The manual page of nova-image-download, from its page in the admin guide.

The guide is built with Sphinx; a build of the wheel has docutils, which writes
manual pages, and needs to be told only of the three words of Sphinx's that the
page uses.
"""

import pathlib
import typing as ty

from docutils import core
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.parsers.rst import directives
from docutils.parsers.rst import roles

PAGE = pathlib.Path('doc', 'source', 'admin', 'nova-image-download.rst')
# Where man looks, below the directory that pip calls "data".
FILE = pathlib.Path('share', 'man', 'man1', 'nova-image-download.1')
TITLE = 'nova-image-download'
SUBTITLE = 'see how a compute node gets images, and let it get some'


class Only(Directive):
    """Keeps what is meant for manual pages."""

    required_arguments = 1
    has_content = True

    def run(self) -> ty.List[nodes.Node]:
        """Return its content, or nothing."""
        if self.arguments[0] != 'man':
            return []
        block = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, block)
        return list(block.children)


class LiteralInclude(Directive):
    """Includes a file as it is."""

    required_arguments = 1
    option_spec = {'language': directives.unchanged,
                   'class': directives.class_option}

    def run(self) -> ty.List[nodes.Node]:
        """Return the text of the file."""
        source = pathlib.Path(self.state.document['source'])
        text = (source.parent / self.arguments[0]).read_text('utf-8')
        return [nodes.literal_block(text, text)]


def _text_role(name: str, rawtext: str, text: str, *_rest: ty.Any,
               **_options: ty.Any) -> ty.Tuple[ty.List[nodes.Node],
                                               ty.List[nodes.Node]]:
    return [nodes.literal(rawtext, text)], []


def render(root: pathlib.Path) -> str:
    """Return the page in the language of man.

    :param root: the checkout
    """
    directives.register_directive('only', Only)
    directives.register_directive('literalinclude', LiteralInclude)
    for name in ('doc', 'ref', 'oslo.config:option'):
        roles.register_local_role(name, _text_role)
    source = root / PAGE
    text = source.read_text('utf-8')
    # In place of the page's own title: the name, and a line about it.
    body = text[text.index('Synopsis\n'):]
    header = '%s\n%s\n%s\n\n%s\n%s\n%s\n\n:Manual section: 1\n\n' % (
        '=' * len(TITLE), TITLE, '=' * len(TITLE),
        '-' * len(SUBTITLE), SUBTITLE, '-' * len(SUBTITLE))
    return str(core.publish_string(
        header + body, source_path=str(source), writer='manpage',
        settings_overrides={'output_encoding': 'unicode',
                            'halt_level': 3, 'report_level': 3}))
