# SPDX-License-Identifier: Apache-2.0

"""Which of upstream's tests are run, and which are superseded."""

import pathlib
import re
import typing as ty

from patchset import CHECKOUT

SUPERSEDED = CHECKOUT / 'tools' / 'superseded_upstream_tests.txt'

# Packages and modules below nova.tests. A piece is run as a whole, and is what
# is kept between runs.
SUITES = {
    'image': ['unit.image', 'unit.objects.test_image_meta'],
    'storage': ['unit.storage'],
    'conf': ['unit.conf'],
    'privsep': ['unit.privsep'],
    'cmd': ['unit.cmd'],
    'conductor': ['unit.conductor'],
    'virt': ['unit.virt'],
    'compute': ['unit.compute'],
    'policies': ['unit.policies'],
    'api': ['unit.api.openstack.compute'],
    'functional-images': [
        'functional.compute.test_cache_image',
        'functional.test_images', 'functional.test_aggregates',
        'functional.api_sample_tests.test_images',
        'functional.api_sample_tests.test_aggregates',
        'functional.api_sample_tests.test_create_backup',
        'functional.api_sample_tests.test_rescue',
        'functional.api_sample_tests.test_shelve',
        'functional.test_server_rescue',
        'functional.test_ephemeral_encryption',
        'functional.test_boot_from_volume',
        'functional.test_instance_actions'],
    'functional-disks': [
        'functional.compute.test_init_host',
        'functional.compute.test_live_migration',
        'functional.test_cold_migrate',
        'functional.test_cross_cell_migrate',
        'functional.libvirt.test_rescue_deleted_base',
        'functional.libvirt.test_evacuate',
        'functional.libvirt.test_live_migration',
        'functional.libvirt.test_shared_resource_provider',
        'functional.libvirt.test_reshape',
        'functional.libvirt.test_machine_type',
        'functional.libvirt.test_uefi'],
    'functional-servers': ['functional.test_servers'],
}
# What is nearest to what this project changes.
CI = ['unit.image', 'unit.storage', 'unit.conf', 'unit.virt.test_images',
      'unit.virt.test_imagecache', 'unit.virt.libvirt.test_imagecache',
      'unit.virt.libvirt.test_imagebackend', 'unit.virt.libvirt.storage']


class Superseded(ty.NamedTuple):
    """One line of superseded_upstream_tests.txt."""

    test: str
    reason: str
    replacement: str


def read_superseded(path: pathlib.Path) -> ty.Dict[str, Superseded]:
    """Read the list of tests that this project makes fail on purpose.

    :returns: name of upstream's test -> entry
    :raises ValueError: if a line is no entry
    """
    entries = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        fields = [field.strip() for field in line.split(' | ')]
        if len(fields) != 3 or not all(fields) or fields[0] in entries:
            raise ValueError('%s: not "test | reason | replacement": %s' % (
                path.name, line))
        entries[fields[0]] = Superseded(*fields)
    return entries


def modules_of(names: ty.Iterable[str],
               patterns: ty.Iterable[str]) -> ty.List[str]:
    """Upstream's test modules that patterns stand for, sorted.

    :param names: paths of all files of upstream's wheel
    :param patterns: packages and modules below nova.tests
    :raises ValueError: if one stands for nothing
    """
    tests = [name[:-len('.py')].replace('/', '.') for name in names
             if re.search(r'^nova/tests/.*/test_[^/]*\.py$', name)]
    found: ty.Set[str] = set()
    for pattern in patterns:
        full = 'nova.tests.' + pattern
        matched = {name for name in tests
                   if name == full or name.startswith(full + '.')}
        if not matched:
            raise ValueError('upstream has no test module %s' % full)
        found |= matched
    return sorted(found)
