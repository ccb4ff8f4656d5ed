# SPDX-License-Identifier: Apache-2.0

"""Never do as root what another user can lead elsewhere.

Who owns a directory may exchange what is in it at any moment, by a link as
well. Root working in there would write where that user wants. So root takes
the identity of the owner of a tree for all of the work.
"""

import grp
import os
import pathlib
import pwd
import stat
import typing as ty

from patchset.errors import PatchsetError


def act_as_owner(root: pathlib.Path, paths: ty.Iterable[str]) -> None:
    """If this process is root and the tree is not, become its owner.

    :param root: the directory of the tree, without symbolic links in it
    :param paths: files below it that will be worked on
    :raises PatchsetError: if yet another user could lead the work elsewhere
    """
    if os.geteuid() != 0:
        return
    facts = root.stat()
    for folder in _folders(root, paths):
        _check(folder, facts.st_uid)
    if facts.st_uid:
        try:
            os.initgroups(pwd.getpwuid(facts.st_uid).pw_name, facts.st_gid)
        except KeyError:
            os.setgroups([facts.st_gid])
        os.setgid(facts.st_gid)
        os.setuid(facts.st_uid)


def _folders(root: pathlib.Path,
             paths: ty.Iterable[str]) -> ty.List[pathlib.Path]:
    found = {root, *root.parents}
    for path in paths:
        found |= {root / folder for folder in pathlib.PurePath(path).parents}
    return sorted(folder for folder in found if os.path.lexists(folder))


def _check(folder: pathlib.Path, owner: int) -> None:
    facts = folder.lstat()
    if facts.st_uid not in (0, owner):
        raise PatchsetError(
            '%s belongs to another user (uid %d), who could exchange what is '
            'in it meanwhile: run this as the user whose tree it is'
            % (folder, facts.st_uid))
    if stat.S_ISLNK(facts.st_mode) or facts.st_mode & stat.S_ISVTX:
        return
    writers = facts.st_mode & (stat.S_IWOTH | (
        # Whose own the tree is has chosen the group.
        0 if owner or facts.st_gid in _trusted_groups() else stat.S_IWGRP))
    if writers:
        raise PatchsetError(
            '%s can be written by other users, who could exchange what is in '
            'it meanwhile: take that permission away first' % folder)


def _trusted_groups() -> ty.Set[int]:
    """Return root's group and that of Debian's /usr/local."""
    groups = {0}
    try:
        groups.add(grp.getgrnam('staff').gr_gid)
    except KeyError:
        pass
    return groups
