# SPDX-License-Identifier: Apache-2.0

"""A directive that shows some of Nova's options.

``show-options`` of oslo.config shows a whole namespace, which for Nova is
some eight hundred options. The lines under ``chosen-options`` name the ones
to show, in their order, as ``group.option``. A name may end in ``*``.
"""

import fnmatch

from docutils import nodes
from docutils.parsers import rst
from docutils.statemachine import StringList
import nova.conf
from oslo_config import sphinxext
from sphinx.util.nodes import nested_parse_with_titles


class ChosenOptions(rst.Directive):
    """Document the options that the content names."""

    has_content = True

    def run(self):
        chosen: dict[str, list] = {}
        for line in filter(str.strip, self.content):
            group, _, pattern = line.strip().partition('.')
            registered = nova.conf.CONF._groups[group]._opts
            matches = [registered[name]['opt'] for name in sorted(registered)
                       if fnmatch.fnmatchcase(name, pattern)]
            if not matches:
                raise self.error('there is no option %s' % line)
            listed = chosen.setdefault(group, [])
            listed.extend(opt for opt in matches if opt not in listed)
        result = StringList()
        source = self.state.document.current_source
        for group, opts in chosen.items():
            for line in sphinxext._format_group_opts(None, group, None, opts):
                result.append(line, source)
        section = nodes.section()
        section.document = self.state.document
        nested_parse_with_titles(self.state, result, section)
        return section.children


def setup(app):
    """Tell Sphinx of the directive."""
    app.add_directive('chosen-options', ChosenOptions)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
