# SPDX-License-Identifier: Apache-2.0

"""What happens when many nodes fetch one image at once: a simulation.

No cluster is needed. Events: a read waits for its OSD, then for the network
of the OSD's host, then for the node, which takes bytes in at a limited rate.
Each of these serves one read after the other, in the order of arrival. A node
has a number of reads under way and begins the next when one was taken in;
where a digest is wanted, the image is taken in from its beginning to its end.

What one node has read, the OSD serves to the others from memory.
"""

from collections.abc import Iterable
import heapq
import random
import statistics
from typing import Any
from typing import NamedTuple

from .common import GIB
from .common import MIB
from .common import say

READ = MIB


class Model(NamedTuple):
    """What is assumed.

    :ivar image: bytes, all of them data
    :ivar object_size: bytes
    :ivar osds: how many there are
    :ivar hosts: on how many hosts
    :ivar groups: placement groups of the pool
    :ivar copies: of each object
    :ivar disk: bytes a second that an OSD reads from its disk
    :ivar seek: seconds before each read from there
    :ivar memory: bytes a second that an OSD serves from memory
    :ivar request: seconds that a request costs the OSD apart from its bytes
    :ivar host_network: bytes a second, of an OSD host
    :ivar node: bytes a second that a node takes in: network and disk
    :ivar node_digest: the same where a digest is made
    :ivar inflight: reads under way at a time, for each node
    :ivar latency: seconds on the way, there and back
    :ivar spread: seconds within which all nodes begin
    """

    image: int = GIB
    object_size: int = 8 * MIB
    osds: int = 48
    hosts: int = 8
    groups: int = 256
    copies: int = 3
    disk: float = 200e6
    seek: float = 0.008
    memory: float = 800e6
    request: float = 0.0002
    host_network: float = 3.1e9
    node: float = 1.0e9
    node_digest: float = 0.5e9
    inflight: int = 6
    latency: float = 0.0005
    spread: float = 0.5


#: Clusters that differ in what the OSDs store on.
MODELS = {'disks': Model(), 'flash': Model(disk=1.5e9, seek=0.0002)}

#: How a node may go through an image: a text, whether a digest can be made
#: meanwhile, and whether reads go to any copy.
ORDERS = {
    'in order': ('from the first byte to the last', True, False),
    'window': ('shuffled within the reads under way', True, False),
    'rotated': ('from a random object on, around the end', False, False),
    'shuffled': ('all objects in a random order', False, False),
    'balanced': ('in order, each read from a random copy', True, True),
}


def ours(digest: bool) -> str:
    """The order in which the engine goes.

    :param digest: whether it verifies the image
    """
    return 'in order' if digest else 'rotated'


def pieces_of(model: Model, order: str, rng: random.Random) -> list[int]:
    """The reads of a node, as numbers of READ bytes each, in their order."""
    count = model.image // READ
    per_object = model.object_size // READ
    if order == 'rotated':
        first = rng.randrange(count // per_object) * per_object
        return list(range(first, count)) + list(range(first))
    if order == 'shuffled':
        objects = list(range(count // per_object))
        rng.shuffle(objects)
        return [number * per_object + n for number in objects
                for n in range(per_object)]
    pieces = list(range(count))
    if order == 'window':
        # More would not do: with a digest, the piece whose turn it is must be
        # under way.
        for start in range(0, count, model.inflight):
            part = pieces[start:start + model.inflight]
            rng.shuffle(part)
            pieces[start:start + model.inflight] = part
    return pieces


def simulate(model: Model, nodes: int, order: str, digest: bool,
             seed: int = 0) -> dict[str, Any]:
    """Let nodes fetch the image.

    :param model: what is assumed
    :param nodes: how many
    :param order: one of ORDERS
    :param digest: whether they verify it
    :param seed: of all that is random
    :returns: "seconds" until the last one is done, the "median" of the nodes'
        times, the longest "queue" of an OSD in reads, the "busy" OSDs on
        average, and the "bound", the seconds that no order could beat
    """
    rng = random.Random(seed)
    per_object = model.object_size // READ
    objects = -(-model.image // model.object_size)
    group_osds = [rng.sample(range(model.osds), model.copies)
                  for _ in range(model.groups)]
    copies_of = [group_osds[rng.randrange(model.groups)]
                 for _ in range(objects)]
    balanced = ORDERS[order][2]
    host_of = [osd % model.hosts for osd in range(model.osds)]
    served = model.request + READ / model.memory
    fetched = model.seek + READ / model.disk
    crossed = READ / model.host_network
    taken = READ / (model.node_digest if digest else model.node)
    osd_free, host_free = [0.0] * model.osds, [0.0] * model.hosts
    node_free = [0.0] * nodes
    osd_queue, osd_busy, longest = [0] * model.osds, 0.0, 0
    in_memory: set[tuple[int, int]] = set()
    plans = [pieces_of(model, order, rng) for _ in range(nodes)]
    begun = [rng.uniform(0, model.spread) for _ in range(nodes)]
    position, hashed = [0] * nodes, [0] * nodes
    arrived: list[set[int]] = [set() for _ in range(nodes)]
    done = [0.0] * nodes
    total = model.image // READ
    # Time, a number that makes events at one time come in their order, stage,
    # node, piece, OSD.
    events: list[tuple[float, int, int, int, int, int]] = []
    push, pop = heapq.heappush, heapq.heappop
    serial = 0

    def ask(now: float, node: int) -> None:
        nonlocal serial
        piece = plans[node][position[node]]
        position[node] += 1
        copies = copies_of[piece // per_object]
        osd = rng.choice(copies) if balanced else copies[0]
        serial += 1
        push(events, (now + model.latency / 2, serial, 0, node, piece, osd))

    for node in range(nodes):
        for _ in range(min(model.inflight, total)):
            ask(begun[node], node)
    while events:
        now, _, stage, node, piece, osd = pop(events)
        if stage == 0:
            # It reaches the OSD.
            key = (osd, piece)
            took = served
            if key not in in_memory:
                in_memory.add(key)
                took += fetched
            start = max(now, osd_free[osd])
            osd_free[osd] = start + took
            osd_busy += took
            osd_queue[osd] += 1
            longest = max(longest, osd_queue[osd])
            serial += 1
            push(events, (start + took, serial, 1, node, piece, osd))
        elif stage == 1:
            # It leaves the OSD.
            osd_queue[osd] -= 1
            host = host_of[osd]
            host_free[host] = max(now, host_free[host]) + crossed
            serial += 1
            push(events, (host_free[host] + model.latency / 2, serial, 2,
                          node, piece, osd))
        elif stage == 2:
            # It reaches the node.
            if digest:
                arrived[node].add(piece)
                ready = 0
                while hashed[node] + ready in arrived[node]:
                    arrived[node].remove(hashed[node] + ready)
                    ready += 1
                hashed[node] += ready
            else:
                ready = 1
            for _ in range(ready):
                node_free[node] = max(now, node_free[node]) + taken
                serial += 1
                push(events, (node_free[node], serial, 3, node, 0, 0))
        else:
            # Its memory is free again.
            done[node] = now
            if position[node] < total:
                ask(now, node)
    seconds = max(done)
    work = nodes * model.image
    return {
        'nodes': nodes, 'order': order, 'digest': digest, 'seconds': seconds,
        'median': statistics.median(
            end - start for end, start in zip(done, begun)),
        'queue': longest, 'busy': osd_busy / seconds,
        'bound': max(work / READ * served / model.osds,
                     work / model.host_network / model.hosts,
                     model.image / READ * taken),
    }


def simulate_all(counts: Iterable[int] = (10, 100, 1000),
                 seed: int = 0) -> list[dict[str, Any]]:
    """Simulate all models and orders, with and without a digest.

    :returns: what :func:`simulate` returns, for each, and the "model"
    """
    told = []
    for name, model in MODELS.items():
        for nodes in counts:
            for digest in (False, True):
                for order, (_, digestible, _) in ORDERS.items():
                    if digest and not digestible:
                        continue
                    told.append(dict(simulate(model, nodes, order, digest,
                                              seed), model=name))
                    say('    ' + ', '.join(cells(told[-1:])[0]))
    return told


HEAD = ['OSDs on', 'nodes', 'verified', 'order', 'last node, s',
        'half of them, s', 'bound, s', 'busy OSDs', 'longest queue']


def cells(told: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Rows of text, one for each simulation."""
    return [[entry['model'], str(entry['nodes']),
             'yes' if entry['digest'] else 'no', entry['order'],
             f'{entry["seconds"]:.1f}', f'{entry["median"]:.1f}',
             f'{entry["bound"]:.1f}', f'{entry["busy"]:.1f}',
             str(entry['queue'])] for entry in told]
