# SPDX-License-Identifier: Apache-2.0


import contextlib
import io
import json
import os
import tempfile
import unittest
from unittest import mock

from benchmark import command
from benchmark import common
from tools.tests.benchmark_samples import result
from tools.tests.benchmark_samples import sample
from tools.tests.benchmark_samples import workload


class ParseTestCase(unittest.TestCase):

    def test_command_without_paths(self):
        options = command.parse(['--workload', 'dense', '--runs=3', '--json',
                                 '/secret', '--engine-arguments', '--a --b'])
        self.assertEqual(
            "tools/benchmark --workload=dense --runs=3 "
            "'--engine-arguments=--a --b'", options.told)
        self.assertEqual('tools/benchmark', command.parse([]).told)

    def test_mistakes(self):
        for words in (['--conf', 'x'], ['--runs', '0'],
                      ['--measure', 'workloads,x']):
            with contextlib.redirect_stderr(io.StringIO()), \
                    self.assertRaises(SystemExit, msg=words):
                command.parse(words)

    def test_chosen(self):
        def chosen(*words):
            return command.chosen(command.parse(words))
        found, methods = chosen('--workload=tiny,1G:5', '--method=engine')
        self.assertEqual((['tiny', '1G:5'], ['engine']),
                         (list(found), methods))
        self.assertEqual(({}, ['engine', 'rbd-export']),
                         chosen('--measure=size'))
        self.assertRaises(common.BenchmarkError, chosen, '--method=x')

    def test_program_that_is_not_there(self):
        with mock.patch.object(command.shutil, 'which', return_value=None), \
                mock.patch.object(command, 'say'):
            self.assertEqual(['engine'], command.chosen(command.parse(
                ['--method=engine,qemu-img']))[1])

    def test_no_upstream(self):
        with mock.patch.object(command, 'UPSTREAM', '/nonexistent'), \
                mock.patch.object(command.shutil, 'which'), \
                self.assertRaises(common.BenchmarkError):
            command.chosen(command.parse(['--method=upstream']))


class RunTestCase(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.out = self.enterContext(contextlib.redirect_stdout(
            io.StringIO()))

    def test_report_from_files(self):
        paths = []
        for label in ('dense', 'tiny'):
            paths.append(os.path.join(self.dir, label))
            with open(paths[-1], 'w') as f:
                json.dump(result(workloads={label: workload(
                    {'engine': [sample(1.0)]})}), f)
        report = os.path.join(self.dir, 'report')
        self.assertEqual(0, command.main(['--from', *paths, '--report',
                                          report]))
        with open(os.path.join(report, 'engine.inc')) as f:
            text = f.read()
        self.assertIn('dense', text)
        self.assertIn('tiny', text)
        self.assertIn('2 cores', self.out.getvalue())

    def test_json(self):
        path = os.path.join(self.dir, 'json')
        with mock.patch.object(command, 'take', return_value=result(
                workloads={'tiny': workload({'engine': [sample(1.0)]})})):
            self.assertEqual(0, command.main(['--json', path]))
        with open(path) as f:
            self.assertEqual('tiny', json.load(f)['summary'][0]['workload'])

    def test_simulation_needs_no_cluster(self):
        with mock.patch.object(command.nodes, 'simulate_all',
                               return_value=['told']):
            told = command.take(command.parse(['--measure=nodes']))
        self.assertEqual(['told'], told['nodes'])

    def test_errors(self):
        for error, status in ((common.BenchmarkError('Why'), 1),
                              (KeyboardInterrupt(), 130)):
            with mock.patch.object(command, 'take', side_effect=error), \
                    contextlib.redirect_stderr(io.StringIO()) as errors:
                self.assertEqual(status, command.main([]))
            self.assertIn('tools/benchmark: ', errors.getvalue())

    def test_cluster_of_yours_has_no_glance(self):
        with self.assertRaisesRegex(common.BenchmarkError, 'leave --conf'):
            command.take(command.parse([
                '--conf=/c', '--id=x', '--pool=y', '--method=http',
                f'--output={self.dir}']))
