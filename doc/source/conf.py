# SPDX-License-Identifier: Apache-2.0

"""How Sphinx builds the guides: ``tox -e docs``.

The configuration reference is read from ``nova.conf``, so this needs a Python
that can import the Nova of this checkout.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '_ext'))

project = 'Nova with direct RBD image downloads'
copyright = 'OpenStack contributors and the authors of this patch set'

extensions = [
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'chosen_options',
]

html_theme = 'openstackdocs'
html_static_path = ['_static']
html_css_files = ['site.css']
# Header, footer and menus of the OpenStack site do not belong on these pages,
# which are not part of it.
templates_path = ['_templates']
html_theme_options = {
    'analytics_tracking_code': '',
    'display_badge': False,
}
# There is no repository or bug tracker of this name on OpenStack's servers.
openstackdocs_auto_name = False
openstackdocs_auto_version = False
version = release = ''

man_pages = [
    ('admin/nova-image-download', 'nova-image-download',
     'see how a compute node gets images, and let it get some', '', 1),
]


def setup(app):
    """Adapt what is the same for all builders."""
    def adapt(app):
        if app.builder.name == 'man':
            # Its place at the top of a manual page is small.
            app.config.project = 'Nova'

    app.connect('builder-inited', adapt)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
