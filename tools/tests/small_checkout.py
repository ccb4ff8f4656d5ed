# SPDX-License-Identifier: Apache-2.0

"""A checkout with one patch, for the tests of the tools."""

import pathlib

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

HEADER = b'Subject: Count further\n\nFour comes after three.\n\n'
FILES = b'--- a/nova/x.py\n+++ b/nova/x.py\n'
HUNK = b'@@ -1,3 +1,4 @@\n one\n two\n+more\n three\n'
BEFORE = b'one\ntwo\nthree\n'
AFTER = b'one\ntwo\nmore\nthree\n'

# What a tree says about its release, as those of upstream do.
SERVICE = 'nova/objects/service.py'
SERIES = b'''SERVICE_VERSION = 74

SERVICE_VERSION_ALIASES = {
    'Gazpacho': 72,
    'Hibiscus': 74,
}
'''


def make(root, replacements='', scripts='', patches=None, modules=None):
    """Write a small checkout to the directory ``root``.

    :param replacements: text for that section of upstream.ini
    :param scripts: likewise
    :param patches: name -> content; one that makes BEFORE to AFTER if None
    :param modules: path -> content
    """
    (root / 'patches').mkdir(parents=True)
    (root / 'nova').mkdir()
    (root / 'patches' / 'upstream.ini').write_text(
        '[upstream]\nrevision = 7\n'
        '[34.0.0]\nseries = Hibiscus 74\nsha256 = 00\n'
        '[31.3.1]\nseries = Epoxy 68\nsha256 = 11\n'
        '[replacements]\n%s\n[scripts]\n%s\n' % (replacements, scripts))
    patches = {'a.patch': HEADER + FILES + HUNK} if (
        patches is None) else patches
    for name, text in patches.items():
        (root / 'patches' / name).write_bytes(text)
    (root / 'patches' / 'series').write_text(
        '# in order\n' + '\n'.join(patches) + '\n')
    for path, text in (modules or {}).items():
        full = root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(text)
