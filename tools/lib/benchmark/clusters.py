# SPDX-License-Identifier: Apache-2.0

"""The cluster that is read, one of its own or yours."""

from collections.abc import Iterator
import contextlib
import os
import shutil
from typing import Any

from .common import BenchmarkError
from .common import GIB
from .common import say
from .workloads import data_of
from .workloads import STEP
from .workloads import Workload

# A file system in memory.
MEMORY = '/dev/shm'


class _File:
    """A file of bytes that are made while it is read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b''

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._blocks, b'')
        if size < 0:
            size = len(self._rest)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class Cluster:
    """The cluster that is read.

    :ivar conf: path of its ceph.conf
    :ivar user: name of the client that reads
    :ivar pool: where the images are
    :ivar admin: name of a client that may write
    :ivar admin_conf: path of a ceph.conf for that one
    :ivar fixture: the CephCluster, None if it is yours
    :ivar bed: the RbdTestBed, None if there is none
    :ivar glance_ids: ids of images in Glance by their names
    """

    def __init__(self, conf: str, user: str, pool: str,
                 admin: str | None = None) -> None:
        self.conf, self.user, self.pool = conf, user, pool
        self.admin = admin or user
        self.admin_conf = conf
        self.fixture: Any = None
        self.bed: Any = None
        self.glance_ids: dict[str, str] = {}

    @classmethod
    def of_fixture(cls, fixture: Any) -> 'Cluster':
        cluster = cls(fixture.users['nova'].conf, 'nova', 'images', 'admin')
        cluster.admin_conf = fixture.users['admin'].conf
        cluster.fixture = fixture
        return cluster

    def create(self, name: str, workload: Workload, seed: int) -> None:
        """Make an image with the snapshot "snap"."""
        import rados
        import rbd
        features = rbd.RBD_FEATURE_LAYERING
        if workload.mapped:
            features |= (rbd.RBD_FEATURE_EXCLUSIVE_LOCK |
                         rbd.RBD_FEATURE_OBJECT_MAP |
                         rbd.RBD_FEATURE_FAST_DIFF)
        with rados.Rados(rados_id=self.admin,
                         conffile=self.admin_conf) as client, \
                client.open_ioctx(self.pool) as ioctx:
            first = name + '-parent' if workload.clone else name
            rbd.RBD().create(ioctx, first, workload.size, workload.order,
                             old_format=False, features=features)
            with rbd.Image(ioctx, first) as image:
                if workload.zeros:
                    for start in range(0, workload.size, STEP):
                        image.write(bytes(min(STEP, workload.size - start)),
                                    start)
                for offset, data in data_of(workload, seed):
                    image.write(data, offset)
                image.create_snap('snap')
                if workload.clone:
                    image.protect_snap('snap')
            if workload.clone:
                rbd.RBD().clone(ioctx, first, 'snap', ioctx, name, features)
                with rbd.Image(ioctx, name) as image:
                    image.create_snap('snap')

    def upload(self, name: str, workload: Workload, seed: int) -> None:
        """Put an image into Glance, as a file that is copied by hand."""
        def stream() -> Iterator[bytes]:
            position = 0
            for offset, data in data_of(workload, seed):
                while position < offset:
                    step = min(STEP, offset - position)
                    yield bytes(step)
                    position += step
                yield data
                position += len(data)
            while position < workload.size:
                step = min(STEP, workload.size - position)
                yield bytes(step)
                position += step

        self.glance_ids[name] = self.bed.glance.upload(
            _File(stream()), name=name,
            disk_format='raw' if workload.fill == 'random' else 'qcow2')

    def warm_up(self) -> str:
        """The id of a small image in Glance."""
        if 'warm-up' not in self.glance_ids:
            self.glance_ids['warm-up'] = self.bed.glance.upload(b'warm-up')
        return self.glance_ids['warm-up']

    def remove(self, name: str, workload: Workload) -> None:
        """Remove what create and upload made."""
        if name in self.glance_ids:
            self.bed.glance.delete(self.glance_ids.pop(name))
        import rados
        import rbd
        with rados.Rados(rados_id=self.admin,
                         conffile=self.admin_conf) as client, \
                client.open_ioctx(self.pool) as ioctx:
            names = [name] + ([name + '-parent'] if workload.clone else [])
            for one in names:
                with contextlib.suppress(rbd.ImageNotFound):
                    with rbd.Image(ioctx, one) as image:
                        for snap in list(image.list_snaps()):
                            if image.is_protected_snap(snap['name']):
                                image.unprotect_snap(snap['name'])
                            image.remove_snap(snap['name'])
                    rbd.RBD().remove(ioctx, one)

    def read_so_far(self) -> int | None:
        """Bytes that the OSD has sent, None if that is not known."""
        if self.fixture is None:
            return None
        return self.fixture.osd.command_asok('perf dump')['osd'][
            'op_out_bytes']

    def cpu_so_far(self) -> float | None:
        """Processor seconds of the OSD, None if that is not known."""
        if self.fixture is None:
            return None
        with open(f'/proc/{self.fixture.osd.pid}/stat') as f:
            # proc(5): user and system time, in ticks.
            fields = f.read().rpartition(')')[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf('SC_CLK_TCK')

    def prepare(self, workload: Workload) -> None:
        """Put the OSD in the state that a workload asks for."""
        if not (workload.cold or workload.delay):
            return
        if self.fixture is None:
            raise BenchmarkError('the workloads "cold" and "slow" need a '
                                 'cluster of their own: leave --conf away')
        if workload.cold:
            self.fixture.osd.restart()
            self.fixture.wait_ready()
            with contextlib.suppress(OSError):
                with open('/proc/sys/vm/drop_caches', 'w') as f:
                    f.write('3')
        if workload.delay:
            self.fixture.slow_down(workload.delay)

    def calm(self) -> None:
        """Undo what prepare did."""
        if self.fixture is not None:
            self.fixture.slow_down(0, 0)


@contextlib.contextmanager
def own_cluster(directory: str | None, needed: int, glance: bool,
                show_locations: bool = False) -> Iterator[Cluster]:
    """A cluster on the loopback interface, as the tests have it.

    It is put into memory where there is enough: on the disk that the files
    are written to, each method would be held up by the cluster as well.

    :param directory: where it is put instead
    :param needed: bytes that will be in there at most
    :param glance: whether there are Keystone and Glance, too
    :param show_locations: whether Glance tells every user where images are
    :raises BenchmarkError: if this machine lacks something for it
    """
    directory = directory or memory_directory(needed)
    if directory:
        os.environ['NOVA_TESTBED_DIR'] = directory
    from nova.tests.testbed import ceph_cluster
    lack = ceph_cluster.missing()
    if lack:
        raise BenchmarkError(lack)
    say(f'Starting a cluster in {directory or "TMPDIR"} ...')
    if glance:
        from nova.tests.testbed import rbd_testbed
        with rbd_testbed.RbdTestBed({
                'robust': {'rbd_thin_provisioning': True},
                'DEFAULT': {'show_image_direct_url': show_locations}}) as bed:
            cluster = Cluster.of_fixture(bed.cluster)
            cluster.bed = bed
            yield cluster
        return
    with ceph_cluster.CephCluster() as fixture:
        yield Cluster.of_fixture(fixture)


def memory_directory(needed: int) -> str | None:
    """A directory in memory for a cluster, None if there is no room.

    :param needed: bytes that will be in there at most
    """
    # Whoever has a cluster of his own may not have it.
    import psutil
    try:
        free = min(shutil.disk_usage(MEMORY).free,
                   psutil.virtual_memory().available)
    except OSError:
        return None
    return None if free < 2 * needed + 2 * GIB else MEMORY
