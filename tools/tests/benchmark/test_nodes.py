# SPDX-License-Identifier: Apache-2.0


import random
import unittest

from benchmark import nodes

MIB = 1 << 20
SMALL = nodes.Model(image=64 * MIB, osds=4, hosts=2, groups=16, copies=2,
                    disk=1e12, seek=0, spread=0)


class NodesTestCase(unittest.TestCase):

    def test_orders_read_everything_once(self):
        for order in nodes.ORDERS:
            pieces = nodes.pieces_of(SMALL, order, random.Random(1))
            self.assertEqual(list(range(64)), sorted(pieces), order)
            if order in ('in order', 'balanced'):
                self.assertEqual(list(range(64)), pieces)
            else:
                self.assertNotEqual(list(range(64)), pieces, order)

    def test_rotated_is_in_order_but_for_one_place(self):
        pieces = nodes.pieces_of(SMALL, 'rotated', random.Random(1))
        self.assertEqual(1, sum(b != a + 1
                                for a, b in zip(pieces, pieces[1:])))
        self.assertEqual(0, pieces[0] % 8)

    def test_one_node_is_bound_by_itself(self):
        for digest, rate in ((False, SMALL.node), (True, SMALL.node_digest)):
            model = SMALL._replace(memory=1e12, request=0, latency=0,
                                   host_network=1e12)
            told = nodes.simulate(model, 1, 'in order', digest)
            self.assertAlmostEqual(64 * MIB / rate, told['seconds'], 3)
            self.assertAlmostEqual(told['bound'], told['seconds'], 3)

    def test_one_osd_serves_all(self):
        model = SMALL._replace(osds=1, hosts=1, copies=1, memory=100e6,
                               request=0)
        told = nodes.simulate(model, 5, 'in order', False)
        self.assertAlmostEqual(5 * 64 * MIB / 100e6, told['seconds'], 1)
        self.assertGreater(told['busy'], 0.98)
        self.assertEqual(5 * model.inflight, told['queue'])

    def test_network_of_a_host_is_shared(self):
        model = SMALL._replace(hosts=1, host_network=100e6)
        told = nodes.simulate(model, 5, 'in order', False)
        self.assertAlmostEqual(5 * 64 * MIB / 100e6, told['seconds'], 1)
        self.assertAlmostEqual(told['bound'], told['seconds'], 1)

    def test_primary_or_any_copy(self):
        # One object, and an OSD that can hardly be busier.
        model = SMALL._replace(image=8 * MIB, osds=2, memory=50e6)
        for order, least, most in (('in order', 0.9, 1.0),
                                   ('balanced', 1.4, 2.0)):
            told = nodes.simulate(model, 20, order, False)
            self.assertGreater(told['busy'], least)
            self.assertLessEqual(told['busy'], most)

    def test_disk_is_read_once(self):
        model = SMALL._replace(osds=1, hosts=1, copies=1, seek=0.01)
        once, twice = (nodes.simulate(model, count, 'in order', False)
                       for count in (1, 2))
        self.assertGreater(once['seconds'], 64 * 0.01)
        self.assertLess(twice['seconds'], 1.5 * once['seconds'])

    def test_nothing_is_faster_than_the_bound(self):
        for order, (_, digestible, _) in nodes.ORDERS.items():
            for digest in (False, True)[:1 + digestible]:
                told = nodes.simulate(SMALL, 7, order, digest)
                self.assertGreaterEqual(told['seconds'],
                                        0.999 * told['bound'], order)

    def test_all(self):
        model = {'small': SMALL}
        self.addCleanup(nodes.MODELS.update, dict(nodes.MODELS))
        self.addCleanup(nodes.MODELS.clear)
        nodes.MODELS.clear()
        nodes.MODELS.update(model)
        told = nodes.simulate_all((2,))
        self.assertEqual(5 + 3, len(told))
        self.assertEqual([len(nodes.HEAD)] * 8, list(map(len, nodes.cells(
            told))))
