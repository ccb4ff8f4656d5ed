# SPDX-License-Identifier: Apache-2.0

"""What is done with a Ceph cluster that runs: commands, images, trouble."""

from collections.abc import Iterator
import contextlib
import json
from typing import Any
from typing import NamedTuple

from . import ceph_daemon

try:
    import rados
    import rbd
except ImportError:
    rados = None
    rbd = None


class User(NamedTuple):
    """A user of the cluster.

    :ivar name: without the "client."
    :ivar keyring: path of a file with its key
    :ivar conf: path of a ceph.conf that names the monitor and that keyring
        and no other one
    """

    name: str
    keyring: str
    conf: str


class CephClient:
    """Connections to a cluster, and what is done over them.

    :ivar users: the :class:`User` that are known, by name
    """

    users: dict[str, User]

    @staticmethod
    def key(user: User) -> str:
        """The key of a user, as it is in the keyring."""
        with open(user.keyring) as f:
            return next(line.partition('=')[2].strip() for line in f
                        if line.startswith('key'))

    def command(self, prefix: str, **arguments: Any) -> str:
        """Give the monitor a command, as "ceph" does.

        :param prefix: the command, "osd pool create"
        :param arguments: its arguments by name
        :returns: the answer
        :raises ceph_daemon.CephError: if it refuses
        """
        request = json.dumps({'prefix': prefix, **arguments})
        with self.connect() as client:
            status, answer, error = client.mon_command(request, b'')
        if status != 0:
            raise ceph_daemon.CephError(f'{request}: {status} {error}')
        return answer.decode()

    # Connections

    @contextlib.contextmanager
    def connect(self, user: str = 'admin',
                timeout: float = 30) -> Iterator['rados.Rados']:
        """A connection to the cluster.

        :param user: name without the "client."
        :param timeout: seconds after which an operation fails
        """
        client = rados.Rados(
            rados_id=user, conffile=self.users[user].conf, conf={
                'client_mount_timeout': str(timeout),
                'rados_mon_op_timeout': str(timeout),
                'rados_osd_op_timeout': str(timeout)})
        try:
            client.connect()
            yield client
        finally:
            client.shutdown()

    @contextlib.contextmanager
    def ioctx(self, pool: str = 'images', user: str = 'admin',
              timeout: float = 30) -> Iterator['rados.Ioctx']:
        """An IO context in a pool, on a connection of its own."""
        with self.connect(user, timeout) as client:
            with client.open_ioctx(pool) as ioctx:
                yield ioctx

    @contextlib.contextmanager
    def image(self, name: str, pool: str = 'images', *,
              snapshot: str | None = None, read_only: bool = False,
              user: str = 'admin') -> Iterator['rbd.Image']:
        """An open RBD image, on a connection of its own."""
        with self.ioctx(pool, user) as ioctx:
            with rbd.Image(ioctx, name, snapshot=snapshot,
                           read_only=read_only) as image:
                yield image

    # Images

    def create_image(self, name: str, data: bytes | None = None, *,
                     size: int | None = None, pool: str = 'images',
                     snapshot: str | None = 'snap', protect: bool = True,
                     features: int | None = None, order: int | None = None,
                     stripe_unit: int = 0, stripe_count: int = 0,
                     data_pool: str | None = None) -> None:
        """Make an RBD image, by default as Glance does: with "snap".

        :param name: of the image
        :param data: its first bytes
        :param size: in bytes; that of the data by default
        :param snapshot: to be made at the end; None for none
        :param protect: protect that snapshot
        :param features: sum of rbd.RBD_FEATURE_*; those Glance sets, layering
            alone, by default
        :param order: its objects have 2**order bytes; 23 (8 MiB), as
            Glance makes them, by default
        :param stripe_unit: bytes, 0 for whole objects
        :param stripe_count: objects to stripe over, 0 for one
        :param data_pool: pool for the data, if not the image's own
        """
        if size is None:
            size = len(data or b'')
        if features is None:
            features = rbd.RBD_FEATURE_LAYERING
        with self.ioctx(pool) as ioctx:
            rbd.RBD().create(
                ioctx, name, size, order=23 if order is None else order,
                old_format=False, features=features, stripe_unit=stripe_unit,
                stripe_count=stripe_count, data_pool=data_pool)
            with rbd.Image(ioctx, name) as image:
                step = 8 << 20
                for start in range(0, len(data or b''), step):
                    assert data is not None
                    image.write(data[start:start + step], start)
                image.flush()
                if snapshot:
                    self._snapshot(image, snapshot, protect)

    @staticmethod
    def _snapshot(image: 'rbd.Image', name: str, protect: bool) -> None:
        image.create_snap(name)
        if protect:
            image.protect_snap(name)

    def create_snapshot(self, name: str, snapshot: str = 'snap', *,
                        pool: str = 'images', protect: bool = True) -> None:
        """Make a snapshot of an image."""
        with self.image(name, pool) as image:
            self._snapshot(image, snapshot, protect)

    def clone_image(self, parent: str, child: str, *, pool: str = 'images',
                    parent_snapshot: str = 'snap', data: bytes = b'',
                    offset: int = 0, size: int | None = None,
                    snapshot: str | None = 'snap', protect: bool = True,
                    features: int | None = None) -> None:
        """Make a clone of an image's snapshot in the same pool.

        :param data: written over the parent's bytes
        :param offset: where, in bytes
        :param size: resize the clone to that many bytes
        :param snapshot: to be made of the clone at the end; None for none
        """
        if features is None:
            features = rbd.RBD_FEATURE_LAYERING
        with self.ioctx(pool) as ioctx:
            rbd.RBD().clone(ioctx, parent, parent_snapshot, ioctx, child,
                            features=features)
            with rbd.Image(ioctx, child) as image:
                if size is not None:
                    image.resize(size)
                if data:
                    image.write(data, offset)
                image.flush()
                if snapshot:
                    self._snapshot(image, snapshot, protect)

    def remove_image(self, name: str, pool: str = 'images') -> None:
        """Remove an image with all its snapshots; it must have no clone."""
        with self.ioctx(pool) as ioctx:
            with rbd.Image(ioctx, name) as image:
                for snap in list(image.list_snaps()):
                    if image.is_protected_snap(snap['name']):
                        image.unprotect_snap(snap['name'])
                    image.remove_snap(snap['name'])
            rbd.RBD().remove(ioctx, name)

    def corrupt_image(self, name: str, offset: int, *, pool: str = 'images',
                      data: bytes | None = None) -> None:
        """Change bytes of an image behind its snapshots' back.

        An object that was not written to since the snapshot was made serves
        both the image and the snapshot, and a write through librados alone
        makes no copy of it. For images that are not striped.

        :param offset: in the image, in bytes
        :param data: the new bytes; the one there with all bits flipped by
            default
        """
        with self.ioctx(pool) as ioctx:
            with rbd.Image(ioctx, name, read_only=True) as image:
                prefix = image.block_name_prefix()
                object_size = image.stat()['obj_size']
            number, start = divmod(offset, object_size)
            object_name = f'{prefix}.{number:016x}'
            if data is None:
                old = ioctx.read(object_name, 1, start) or b'\0'
                data = bytes([old[0] ^ 0xff])
            ioctx.write(object_name, data, start)

    def watchers(self, name: str, pool: str = 'images') -> list[str]:
        """The addresses of the clients that have an image open for writing.

        Those that only read leave no trace in the cluster.
        """
        with self.image(name, pool, read_only=True) as image:
            return [w['addr'] for w in image.watchers_list()]

    # Trouble
