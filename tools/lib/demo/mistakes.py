# SPDX-License-Identifier: Apache-2.0

"""Ten mistakes that are easily made when a compute node is set up.

Each is made for real on a playground, see playground.py. How
"nova-image-download check" names it is what tools/tour writes down.
"""

from collections.abc import Callable
from typing import NamedTuple

from demo import playground
from nova.tests.testbed import ceph_cluster
from nova.tests.testbed import namespaces

MIB = 1 << 20

# Programs that may have the Ceph bindings: Nova's Python and the other one.
_PYTHONS = ('python3', '/usr/bin/python3')


class Mistake(NamedTuple):
    """One mistake.

    :ivar name: one word for the command line
    :ivar title: what it is called in the guide
    :ivar story: what somebody has done
    :ivar make: makes it
    :ivar topic: how "check" calls what is wrong
    :ivar cure: commands that put it right; none if only "mend" can here
    :ivar remark: what the guide says about the cure
    :ivar comes: whether the image comes meanwhile, over HTTP
    """

    name: str
    title: str
    story: str
    make: Callable[[playground.Playground], object]
    topic: str
    cure: tuple[str, ...] = ()
    remark: str = ''
    comes: bool = True


def _edit(option: str, value: str) -> str:
    """A command that corrects an option of nova.conf."""
    return f"sed -i 's|^{option} = .*|{option} = {value}|' nova.conf"


def _wrong_key(place: playground.Playground) -> None:
    place.write('ceph.client.nova-images.keyring',
                place.key('client.glance').replace('glance', 'nova-images'))


def _no_caps(place: playground.Playground) -> None:
    place.bed.cluster.create_user('nova-images', mon='allow r', osd='')


def _wrong_pool(place: playground.Playground) -> None:
    place.configure(rbd_pool='imagez')


def _other_cluster(place: playground.Playground) -> None:
    """Point Nova at a cluster that is whole, but not that of Glance."""
    if not hasattr(place, 'other'):
        place.other = place.useFixture(ceph_cluster.CephCluster())
        place.other.create_user('nova-images', mon='allow r')
    place.configure(rbd_ceph_conf=place.introduce(place.other, 'other'))


def _no_bindings(place: playground.Playground) -> None:
    for python in _PYTHONS:
        path = place.run(f'{python} -c "import os, rados; '
                         'print(os.path.realpath(rados.__file__))"').strip()
        if path.startswith('/'):
            place.mount('--bind', '/dev/null', path)


def _switch_off(place: playground.Playground) -> None:
    place.configure(enable_rbd_download=False)


def _no_service_role(place: playground.Playground) -> None:
    place.bed.keystone.revoke('nova', 'service', 'service')


def _old_glance(place: playground.Playground) -> None:
    place.configure(endpoint_override=place.old_glance.url)


def _full_disk(place: playground.Playground) -> None:
    directory = f'{place.home}/instances'
    place.mount('-t', 'tmpfs', '-o', 'size=640m', 'tmpfs', directory)
    namespaces.run('fallocate', '--length', str(600 * MIB),
                   f'{directory}/forgotten.img')


def _monitor_down(place: playground.Playground) -> None:
    place.bed.cluster.mon.stop()


MISTAKES = (
    Mistake('wrong-key', 'Wrong key',
            'The keyring for client.nova-images has the key of another user.',
            _wrong_key, 'cluster',
            ('ceph auth get client.nova-images '
             '-o ceph.client.nova-images.keyring',)),
    Mistake('no-caps', 'Key without capabilities',
            'The Ceph user was made, and its capabilities on the pool of the '
            'images were forgotten.',
            _no_caps, 'pools',
            ("ceph auth caps client.nova-images mon 'allow r' osd "
             "'profile rbd-read-only pool=images'",)),
    Mistake('wrong-pool', 'Wrong pool',
            'nova.conf names a pool that does not exist.',
            _wrong_pool, 'pools', (_edit('rbd_pool', 'images'),)),
    Mistake('other-cluster', 'Another cluster',
            'nova.conf names a ceph.conf, but it is that of a cluster in '
            'which Glance keeps nothing.',
            _other_cluster, 'location',
            (_edit('rbd_ceph_conf', "'\"$HOME\"'/ceph.conf"),)),
    Mistake('no-bindings', 'No bindings',
            'No Python on the node has the Ceph bindings.',
            _no_bindings, 'Ceph bindings',
            remark='They are there, of course, and only hidden from this '
                   'shell. On your node ``apt-get install`` mends it, here:'),
    Mistake('switch-off', 'Gate shut',
            'Everything is set up, but for the switch.',
            _switch_off, 'switch', (_edit('enable_rbd_download', 'True'),),
            remark='Nothing was tried, so nothing was said while the image '
                   'came. The cure:'),
    Mistake('no-service-role', 'No service role',
            'The user of [service_user] has lost the role "service". This '
            'Glance has the policy of releases 29 and 30.',
            _no_service_role, 'locations',
            ('openstack role add --user nova --project service service',)),
    Mistake('old-glance', 'Locations hidden, and Glance too old',
            'This Glance has no locations API, as before release 29, and '
            'shows locations to nobody.',
            _old_glance, 'locations', ("sed -i '/^endpoint_override/d' "
                                       'nova.conf',),
            remark='A line in ``nova.conf`` leads to the old Glance. Without '
                   'it Nova finds the new one in the catalog:'),
    Mistake('full-disk', 'Disk full',
            'The disk of the image cache has little room left.',
            _full_disk, 'disk space', ('rm instances/forgotten.img',)),
    Mistake('monitor-down', 'Monitor down',
            'The only monitor of the cluster is stopped.',
            _monitor_down, 'cluster',
            remark='Glance reads from the same cluster, so nothing comes over '
                   'HTTP either. On a host of the cluster ``systemctl start '
                   'ceph-mon.target`` would mend it, here:', comes=False),
)


def find(word: str) -> Mistake | None:
    """The mistake of a name or a number, None if there is none."""
    for number, mistake in enumerate(MISTAKES, 1):
        if word in (mistake.name, str(number)):
            return mistake
    return None


def overview() -> str:
    """A list of them for the command line."""
    return 'mistake NAME makes one of these:\n\n' + '\n'.join(
        f'{number:2}  {mistake.name:<16} {mistake.story}'
        for number, mistake in enumerate(MISTAKES, 1))
