# SPDX-License-Identifier: Apache-2.0

"""A Nova source tree in place, and the record of what was done to it."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import stat
import typing as ty

from patchset.errors import DirtyTree
from patchset.errors import PatchsetError
from patchset.patch_queue import Change
from patchset.patch_queue import digest

RECORD = '.nova-patchset'


class Tree:
    """A directory with nova/ in it, and the record of what was done to it.

    :ivar changed: whether to change files was begun and not undone

    The record is written whole (originals, new files, manifest) before the
    first file of the tree changes, and removed after the last one is back,
    so at any moment either there is none and the tree is as it was, or it
    says for each file what stood there before and what stands there after.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.changed = False
        self.record = root / RECORD
        if not (root / 'nova' / '__init__.py').is_file():
            raise PatchsetError('%s: no nova/__init__.py in it: not a Nova '
                                'source tree' % root)

    def read(self, path: str) -> ty.Optional[bytes]:
        full = self.root / path
        try:
            if stat.S_ISREG(full.lstat().st_mode):
                return full.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise PatchsetError('%s: %s' % (full, exc.strerror)) from None
        raise DirtyTree('%s is not a regular file' % full)

    def read_original(self, path: str) -> ty.Optional[bytes]:
        """As read(), but as the file was before the change."""
        entry = self.manifest()['files'].get(path)
        if entry is None:
            return self.read(path)
        if entry['before'] is None:
            return None
        now = self.read(path)
        if digest(now) == entry['before']:
            return now      # a revert that was killed put it back already
        try:
            return (self.record / 'originals' / path).read_bytes()
        except OSError as exc:
            raise DirtyTree('%s: %s' % (self.record / 'originals' / path,
                                        exc.strerror)) from None

    def manifest(self) -> ty.Dict[str, ty.Any]:
        try:
            return json.loads((self.record / 'manifest.json').read_bytes())
        except FileNotFoundError:
            if self.record.exists():
                raise DirtyTree('%s holds no manifest.json' % self.record
                                ) from None
            return {'version': None, 'files': {}, 'directories': []}
        except (OSError, ValueError) as exc:
            raise DirtyTree('%s/manifest.json: %s' % (self.record, exc)
                            ) from None

    def state(self) -> ty.Tuple[ty.List[str], ty.List[str], ty.List[str]]:
        """Recorded paths as they are now: (before, after, neither)."""
        groups: ty.Tuple[ty.List[str], ...] = ([], [], [])
        for path, entry in self.manifest()['files'].items():
            now = digest(self.read(path))
            groups[0 if now == entry['before'] else
                   1 if now == entry['after'] else 2].append(path)
        return groups       # type: ignore

    def how_left(self) -> str:
        """Return what work that was cut off has left, '' if nothing."""
        if not self.changed:
            return ''
        if not self.record.exists():
            return 'the change is off the tree now'
        try:
            before, _, _ = self.state()
        except PatchsetError:
            before = ['unknown']
        return 'left half way' if before else ''

    @contextlib.contextmanager
    def lock(self) -> ty.Iterator[None]:
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise PatchsetError('%s: another nova_patchset is at work there'
                                % self.root) from None
        finally:
            os.close(handle)

    def write(self, changes: ty.Dict[str, Change], version: str) -> None:
        """Make the changes, or none of them.

        Files of ours come first, and only then what imports them: at each
        moment all of the tree can be imported.

        :raises OSError: as the file system says; the tree is as before
        """
        before = self.changed
        try:
            for folder in self._stage(changes, version):
                (self.root / folder).mkdir(exist_ok=True)
                _make_like(self.root / folder, (self.root / folder).parent)
            for path in sorted(changes, key=lambda path: (
                    changes[path].old is not None)):
                self.changed = True
                os.replace(self.record / 'new' / path, self.root / path)
        except BaseException:
            if self.record.exists():
                self.restore(keep_changed=False)
                self.changed = before
            raise
        shutil.rmtree(self.record / 'new')

    def _stage(self, changes: ty.Dict[str, Change],
               version: str) -> ty.List[str]:
        staging = self.record.with_name(RECORD + '.tmp')
        shutil.rmtree(staging, ignore_errors=True)
        made: ty.List[str] = []
        files = {}
        try:
            staging.mkdir(mode=0o755)
            # So that a git checkout does not list the record as untracked.
            (staging / '.gitignore').write_text('*\n')
            for path, change in changes.items():
                target = self.root / path
                new = staging / 'new' / path
                new.parent.mkdir(parents=True, exist_ok=True)
                new.write_bytes(change.new)
                if change.old is None:
                    new.chmod(0o755 if change.executable else 0o644)
                    near = next(p for p in target.parents if p.exists())
                    _own_like(new, near)
                    made += [p.relative_to(self.root).as_posix()
                             for p in target.parents if not p.exists()]
                else:
                    kept = staging / 'originals' / path
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(target, kept, follow_symlinks=False)
                    shutil.copymode(target, new, follow_symlinks=False)
                    _own_like(kept, target)
                    _own_like(new, target)
                files[path] = {'before': digest(change.old),
                               'after': digest(change.new)}
            made = sorted(set(made))
            (staging / 'manifest.json').write_text(json.dumps(
                {'version': version, 'files': files, 'directories': made},
                indent=1))
            os.rename(staging, self.record)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return made

    def restore(self, keep_changed: bool) -> ty.List[str]:
        """Undo what the record says and remove it; return paths left alone.

        :param keep_changed: leave files that somebody changed since as they
            are, instead of refusing
        :raises DirtyTree: if a file was changed since
        """
        manifest = self.manifest()
        _, after, other = self.state()
        if other and not keep_changed:
            raise DirtyTree('changed since the change was applied: %s'
                            % ', '.join(other))
        # What imports our files goes back first: at each moment all of the
        # tree can be imported.
        for path in sorted(after, key=lambda path: (
                manifest['files'][path]['before'] is None)):
            self.changed = True
            if manifest['files'][path]['before'] is None:
                (self.root / path).unlink()
                self._drop_bytecode(self.root / path)
            else:
                os.replace(self.record / 'originals' / path,
                           self.root / path)
        for folder in sorted(manifest['directories'], reverse=True):
            with contextlib.suppress(OSError):
                (self.root / folder / '__pycache__').rmdir()
            with contextlib.suppress(OSError):
                (self.root / folder).rmdir()
        self.forget()
        return other

    def forget(self) -> None:
        """Remove the record."""
        if self.record.exists():
            # The rename is the one step that ends it: a record half removed
            # must not be taken for a record.
            gone = self.record.with_name(RECORD + '.tmp')
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(self.record, gone)
            shutil.rmtree(gone, ignore_errors=True)

    @staticmethod
    def _drop_bytecode(source: pathlib.Path) -> None:
        for compiled in source.parent.glob('__pycache__/%s.*.pyc'
                                           % source.stem):
            with contextlib.suppress(OSError):
                compiled.unlink()


def _own_like(path: pathlib.Path, model: pathlib.Path) -> None:
    facts = model.lstat()
    try:
        os.chown(path, facts.st_uid if os.geteuid() == 0 else -1,
                 facts.st_gid, follow_symlinks=False)
    except PermissionError:
        pass        # Only root, or a member of the group, can.


def _make_like(folder: pathlib.Path, model: pathlib.Path) -> None:
    """Give a new directory the owner and the mode of another one."""
    _own_like(folder, model)
    # The umask may be one that takes them from the service.
    folder.chmod(stat.S_IMODE(model.lstat().st_mode))
