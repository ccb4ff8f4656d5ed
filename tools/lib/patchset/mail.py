# SPDX-License-Identifier: Apache-2.0

"""The whole change as one mail, as git format-patch would write it."""

import difflib
import email.header
import email.utils
import hashlib
import os
import time
import typing as ty

from patchset.patch_queue import Change
from patchset.patch_queue import Patchset
from patchset.patch_queue import Reader
from patchset.patches import split_lines


def export(patchset: Patchset, read: Reader, author: str) -> bytes:
    """The whole change as one mail in the form of git format-patch.

    :param read: a path of the tree as it is without the change
    :param author: "Name <mail>" for the mail and so for the commit
    """
    changes = patchset.plan(read, False)
    release = patchset.pin.recognise(read)
    version = patchset.pin.version_in(release)
    body, stats, total = [], [], [0, 0]
    for path in sorted(changes):
        change = changes[path]
        if change.old == change.new:
            continue
        text, added, removed = _git_diff(path, change)
        body.append(text)
        stats.append(' %s | %d %s%s\n' % (
            path, added + removed, '+' * min(added, 20),
            '-' * min(removed, 20)))
        total = [total[0] + added, total[1] + removed]
    when = int(os.environ.get('SOURCE_DATE_EPOCH') or time.time())
    name, address = email.utils.parseaddr(author)
    head = ('From %s Mon Sep 17 00:00:00 2001\n'
            'From: %s\n'
            'Date: %s\n'
            'Subject: [PATCH] Download Glance images over RBD (%s)\n'
            'MIME-Version: 1.0\n'
            'Content-Type: text/plain; charset=UTF-8\n'
            'Content-Transfer-Encoding: 8bit\n\n' % (
                '0' * 40,
                email.utils.formataddr(
                    (str(email.header.Header(name, 'utf-8'))
                     if not name.isascii() else name, address)),
                email.utils.formatdate(when), version))
    head += ('Made for nova %s.x. Files under nova/ that upstream does not '
             'have come\nwhole; the changes to upstream\'s own files:\n\n'
             % release.number)
    for patch in patchset.patches:
        # Indented, so that no line of it can end the message for git.
        head += '  %s\n' % patch.subject
        head += ''.join('    %s\n' % line if line else '\n'
                        for line in patch.why.splitlines()) + '\n'
    for path in patchset.pin.replacements:
        head += '  %s\n    Replaced as a whole.\n\n' % path
    head += '---\n%s %d files changed, %d insertions(+), %d deletions(-)\n\n'
    return (head % (''.join(stats), len(body), *total)).encode() + b''.join(
        body) + b'-- \nnova_patchset\n\n'


def _git_diff(path: str, change: Change) -> ty.Tuple[bytes, int, int]:
    def blob(data: ty.Optional[bytes]) -> str:
        if data is None:
            return '0' * 40
        # Not a signature: git names a blob so, and uses it for git am -3.
        return hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()

    mode = '100755' if change.executable else '100644'
    lines = ['diff --git a/%s b/%s\n' % (path, path)]
    if change.old is None:
        lines.append('new file mode %s\n' % mode)
    lines.append('index %s..%s%s\n' % (
        blob(change.old), blob(change.new),
        ' 100644' if change.old is not None else ''))
    diff = list(difflib.diff_bytes(
        difflib.unified_diff,
        split_lines(change.old or b''),
        split_lines(change.new),
        b'/dev/null' if change.old is None else b'a/' + path.encode(),
        b'b/' + path.encode()))
    added = sum(line.startswith(b'+') for line in diff[2:])
    removed = sum(line.startswith(b'-') for line in diff[2:])
    text = b''.join(line if line.endswith(b'\n') else
                    line + b'\n\\ No newline at end of file\n'
                    for line in diff)
    return ''.join(lines).encode() + text, added, removed
