# SPDX-License-Identifier: Apache-2.0

"""Whether this node reaches the cluster, and what it may do there."""

from __future__ import annotations

import os
import re
import socket
import typing as ty

from nova.cmd.image_download.check_item import Item
from nova.cmd.image_download.check_item import NOT_APPLICABLE
from nova.cmd.image_download.check_item import OK
from nova.cmd.image_download.check_item import PROBLEM
from nova.cmd.image_download.check_item import WARNING
from nova.cmd.image_download import key_checks
from nova.cmd.image_download import node_user
from nova.cmd.image_download import units
from nova.image import location_policy
from nova.image import locations
from nova.storage import export_process
from nova.storage.rbd_export import errors
from nova.storage import rbd_transfer

# Longest wait for one monitor, in seconds, and how many are tried. These look
# for the cause after the cluster could not be reached.
MONITOR_TIMEOUT = 1.0
MONITORS = 6

# The engine's codes by what is at fault; see nova.storage.rbd_export.errors.
ENGINE_CODES = frozenset(['bindings', 'unexpected', 'bad_arguments', 'killed',
                          'limits'])
CONF_CODES = frozenset(['no_conf', 'conf_not_readable', 'bad_conf',
                        'no_monitors'])

# Other pools that are named in one line.
NAMED_POOLS = 5

# Bytes of the image that are read to see how fast that is.
SAMPLE = 64 << 20


def survey(cluster: rbd_transfer.Cluster
            ) -> tuple[dict[str, ty.Any], list[Item]]:
    """Ask the cluster, and sort what is known in the end into items.

    :returns: the facts, with an fsid only if the cluster answered
    """
    pools = sorted(location_policy.allowed_pools())
    failure = None
    try:
        facts = rbd_transfer.survey(cluster, pools)
    except rbd_transfer.TransferError as exc:
        failure, facts = exc, dict(exc.facts)
    items = [_bindings(facts, failure), _ceph_conf(cluster, failure)]
    if items[0].state == PROBLEM:
        items += [Item(topic, NOT_APPLICABLE, 'the export engine does not '
                       'run') for topic in
                  ('keyring', 'cluster', 'pools', 'other pools')]
        return facts, items
    facts.setdefault('client', 'client.%s' % (cluster.user or 'admin'))
    items.append(key_checks.keyring(facts, failure, cluster))
    usable = all(item.state != PROBLEM for item in items)
    items.append(_connection(facts, failure, usable))
    if 'pools' not in facts:
        items += [Item(topic, NOT_APPLICABLE, 'the cluster cannot be asked')
                  for topic in ('pools', 'other pools')]
        return facts, items
    items.append(_pools(facts, pools))
    items.append(_other_pools(facts, pools))
    return facts, items


def _bindings(facts: dict[str, ty.Any],
              failure: rbd_transfer.TransferError | None) -> Item:
    topic = 'Ceph bindings'
    if facts.get('librbd'):
        return Item(topic, OK, '%s (Python %s) has them, librbd %s'
                    % (facts['python'], facts['python_version'],
                       facts['librbd']))
    unreadable = _unreadable_engine()
    if unreadable:
        return Item(topic, PROBLEM, 'the export engine does not run, since '
                    '%s cannot read %s' % (node_user.name(), unreadable),
                    'run "chmod -R a+rX %s"' % _engine_directory())
    if failure is not None and failure.code not in ENGINE_CODES:
        # Without them it does not get as far as to this.
        return Item(topic, OK, 'the export engine runs')
    return Item(topic, PROBLEM, str(failure or 'the export engine reported '
                                    'nothing'),
                failure.remedy if failure is not None
                else errors.CAUSES['unexpected'].remedy)


def _engine_directory() -> str:
    return os.path.dirname(export_process.engine_path())


def _unreadable_engine() -> str:
    """Return the first file of the engine that cannot be read, '' if none."""
    directory = _engine_directory()
    try:
        names = sorted(name for name in os.listdir(directory)
                       if name.endswith('.py'))
    except OSError:
        return directory
    for name in names:
        path = os.path.join(directory, name)
        if not os.access(path, os.R_OK):
            return path
    return ''


def _ceph_conf(cluster: rbd_transfer.Cluster,
               failure: rbd_transfer.TransferError | None) -> Item:
    topic = 'ceph.conf'
    if failure is not None and failure.code in CONF_CODES:
        return Item(topic, PROBLEM, str(failure), failure.remedy)
    paths = key_checks.conf_paths(cluster)
    for path in paths:
        if os.access(path, os.R_OK):
            return Item(topic, OK, '%s can be read' % path)
        if os.path.exists(path):
            return Item(topic, PROBLEM, '%s cannot be read by %s'
                        % (path, node_user.name()),
                        errors.CAUSES['conf_not_readable'].remedy)
    return Item(topic, PROBLEM, 'there is no %s' % ' and no '.join(paths),
                errors.CAUSES['no_conf'].remedy)


def _connection(facts: dict[str, ty.Any],
                failure: rbd_transfer.TransferError | None,
                usable: bool) -> Item:
    topic, client = 'cluster', facts['client']
    if facts.get('fsid'):
        return Item(topic, OK, '%s is connected to cluster %s%s'
                    % (client, facts['fsid'], ', %s' % facts['release']
                       if facts.get('release') else ''))
    if not usable:
        return Item(topic, NOT_APPLICABLE,
                    'it is not reached without what is missing above')
    if failure is None:
        return Item(topic, PROBLEM, 'it gave no fsid', 'look at its health')
    if failure.code in ('permission', 'key_rejected'):
        keyrings = [keyring['path'] for keyring in facts.get('keyrings', [])
                    if keyring['state'] == 'ok']
        return Item(topic, PROBLEM, '%s; its key is wrong, or has no '
                    'capability on the monitors' % failure,
                    'store the output of "ceph auth get %s" in %s; its caps '
                    'must be %s' % (client, ' or '.join(keyrings) or
                                    'its keyring', caps(['images'])))
    if failure.unreachable:
        return Item(topic, PROBLEM, str(failure) + _monitors(facts),
                    'check whether these are the monitors ("ceph mon dump"), '
                    'whether they run, and whether a firewall is between')
    return Item(topic, PROBLEM, str(failure), failure.remedy)


def rights(facts: dict[str, ty.Any]) -> dict[str, str]:
    """Return what the key may read, by pool."""
    return {entry['pool']: entry['read'] for entry in facts.get('pools', [])}


def caps(pools: ty.Iterable[str]) -> str:
    return "mon 'allow r' osd '%s'" % ', '.join(
        'profile rbd-read-only pool=%s' % pool for pool in pools)


def _monitors(facts: dict[str, ty.Any]) -> str:
    """Say how each monitor takes a connection."""
    tried = []
    for host, port in _addresses(facts.get('mon_host', ''))[:MONITORS]:
        try:
            socket.create_connection((host, port), MONITOR_TIMEOUT).close()
            answer = 'accepts connections'
        except TimeoutError:
            answer = 'does not answer'
        except OSError as exc:
            answer = os.strerror(exc.errno) if exc.errno else str(exc)
        tried.append('%s port %d: %s' % (host, port, answer.lower()))
    return ' (%s)' % '; '.join(tried) if tried else (
        ' (ceph.conf has no mon_host)')


def _addresses(mon_host: str) -> list[tuple[str, int]]:
    """Take mon_host apart, in which ports are optional."""
    found = []
    for part in re.split(r'[\s,;]+', re.sub(r'\bv[12]:', '', mon_host)):
        part = part.strip()
        # Brackets are around an IPv6 address, or a list of addresses.
        match = (re.match(r'\[*(\[[0-9a-fA-F:]+\])(?::(\d+))?', part) or
                 re.match(r'\[*([^\[\]:/]+)(?::(\d+))?', part))
        if match is None:
            continue
        host = match[1].strip('[]')
        for port in [match[2]] if match[2] else ['3300', '6789']:
            if (host, int(port)) not in found:
                found.append((host, int(port)))
    return found


def _pools(facts: dict[str, ty.Any], wanted: list[str]) -> Item:
    """The pools that Nova would read images from."""
    topic, client = 'pools', facts['client']
    readable = [entry['pool'] for entry in facts['pools']
                if entry['read'] == 'yes']
    if not wanted:
        if not readable:
            return Item(topic, PROBLEM, '%s can read no pool' % client,
                        '"ceph auth caps %s %s"' % (client,
                                                    caps(['images'])))
        return Item(topic, WARNING, '[glance]/rbd_pool is empty: any pool '
                    'that %s can read is allowed (%s)'
                    % (client, _some(readable)),
                    'set [glance]/rbd_pool to the pool of the images')
    known = rights(facts)
    missing = [pool for pool in wanted if known.get(pool) == 'missing']
    if missing:
        others = [pool for pool, right in known.items()
                  if right == 'yes' and pool not in wanted]
        return Item(topic, PROBLEM, 'the cluster has no pool %s of '
                    '[glance]/rbd_pool' % ', '.join(missing),
                    'set [glance]/rbd_pool to the rbd_store_pool of Glance'
                    + (' (%s can read %s)' % (client, _some(others))
                       if others else ''))
    refused = [pool for pool in wanted if known.get(pool) == 'no']
    if refused:
        return Item(topic, PROBLEM, '%s may not read pool %s of '
                    '[glance]/rbd_pool' % (client, ', '.join(refused)),
                    '"ceph auth caps %s %s"' % (client, caps(wanted)))
    for pool in wanted:
        if known.get(pool) == 'timeout':
            return Item(topic, PROBLEM, 'the OSDs of pool %s do not answer '
                        'within %d s' % (pool, rbd_transfer.SURVEY_TIMEOUT),
                        'see "ceph health detail", and whether this node '
                        'reaches the OSDs')
        if known.get(pool) != 'yes':
            return Item(topic, PROBLEM, 'pool %s cannot be read: %s'
                        % (pool, known.get(pool)),
                        'see "ceph health detail"')
    return Item(topic, OK, '%s can read %s' % (client, ', '.join(wanted)))


def _other_pools(facts: dict[str, ty.Any], wanted: list[str]) -> Item:
    """What the key can do beyond what it is for."""
    topic, client = 'other pools', facts['client']
    pools = facts['pools']
    writable = [entry['pool'] for entry in pools if entry['write'] == 'yes']
    readable = [entry['pool'] for entry in pools if entry['read'] == 'yes']
    # If the wanted ones are the wrong ones, the others may be the right ones.
    known = bool(wanted) and set(wanted) <= set(readable)
    others = [pool for pool in readable if pool not in wanted] if known else []
    complaints = []
    if writable:
        complaints.append('can write to %s' % _some(writable))
    if others:
        complaints.append('can read %s' % _some(others))
    if complaints:
        return Item(topic, WARNING, '%s %s; an intruder on this node can too'
                    % (client, ' and '.join(complaints)),
                    'use a key of its own for direct downloads, with %s'
                    % caps(wanted or ['images']))
    silent = [entry['pool'] for entry in pools
              if entry['write'] not in ('yes', 'no', 'missing')]
    if silent:
        return Item(topic, WARNING, 'it could not be found out whether %s '
                    'can write to %s: the cluster did not answer within %d s'
                    % (client, _some(silent), rbd_transfer.SURVEY_TIMEOUT),
                    'check whether these pools are full, with "ceph health '
                    'detail"')
    looked = '%d pools looked at' % len(pools)
    if not facts.get('all_pools'):
        looked += ', not all'
    return Item(topic, OK, '%s can write to none%s (%s)'
                % (client, ' and read no other' if known else '', looked))


def _some(names: list[str]) -> str:
    more = len(names) - NAMED_POOLS
    return ', '.join(names[:NAMED_POOLS]) + (
        ' and %d more' % more if more > 0 else '')


def take_sample(location: locations.RBDLocation | None,
                cluster: rbd_transfer.Cluster) -> dict[str, ty.Any]:
    """Read some of the image.

    :param location: what to read, None for nothing
    :returns: what the engine reports, or the code and the message of its error
    """
    if location is None:
        return {}
    source = rbd_transfer.Source(location.pool, location.image,
                                 location.snapshot)
    try:
        return rbd_transfer.survey(cluster, [location.pool], source,
                                   SAMPLE)['sample']
    except rbd_transfer.TransferError as exc:
        return {'code': exc.code, 'message': str(exc)}


def judge_sample(image: dict[str, ty.Any],
                 location: locations.RBDLocation | None,
                 sample: dict[str, ty.Any],
                 facts: dict[str, ty.Any]) -> Item:
    """Return what reading some of the image showed."""
    topic = 'sample read'
    if location is None:
        return Item(topic, NOT_APPLICABLE, 'there is nothing to read')
    if 'code' in sample:
        if (rights(facts).get(location.pool) == 'no' and
                location.pool in location_policy.allowed_pools()):
            # The remedy of that is in the line about the pools.
            return Item(topic, NOT_APPLICABLE, 'pool %s may not be read'
                        % location.pool)
        remedy = errors.CAUSES.get(
            sample['code'], errors.CAUSES['read']).remedy
        if sample['code'] == 'permission':
            remedy = '"ceph auth caps %s %s"' % (
                facts['client'], caps([location.pool]))
        return Item(topic, PROBLEM, sample['message'], remedy)
    if image.get('size') and image['size'] != sample['size']:
        return Item(topic, PROBLEM, 'it has %d bytes in RBD and %d in Glance'
                    % (sample['size'], image['size']),
                    errors.CAUSES['wrong_size'].remedy)
    rate = sample['bytes'] / max(sample['seconds'], 1e-6)
    size = units.format_bytes
    data = ('%s of data' % size(sample['data_bytes'])
            if sample['data_bytes'] is not None else
            'holes not known without the features object-map and fast-diff')
    return Item(topic, OK, '%s in %.2f s (%s/s, %d reads at a time, without '
                'hash and disk); %s in all, %s'
                % (size(sample['bytes']), sample['seconds'], size(rate),
                   sample['reads'], size(sample['size']), data))
