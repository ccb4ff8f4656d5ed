# SPDX-License-Identifier: Apache-2.0

"""How Sphinx builds the release notes: ``tox -e releasenotes``."""

project = 'Nova with direct RBD image downloads'
copyright = 'OpenStack contributors and the authors of this patch set'

extensions = ['openstackdocstheme', 'reno.sphinxext']

html_theme = 'openstackdocs'
html_theme_options = {'analytics_tracking_code': '', 'display_badge': False}
# The look is that of the guide.
html_static_path = ['../../doc/source/_static']
html_css_files = ['site.css']
templates_path = ['../../doc/source/_templates']
# There is no repository or bug tracker of this name on OpenStack's servers.
openstackdocs_auto_name = False
openstackdocs_auto_version = False
# Notes are not tied to one version of the code.
version = release = ''
