# SPDX-License-Identifier: Apache-2.0

import contextlib
import io
import logging
import os
import signal
from unittest import mock

import fixtures
from oslo_config import cfg
from oslo_serialization import jsonutils

from nova.cmd.image_download import check
from nova.cmd.image_download import check_item
from nova.cmd.image_download import cli
from nova.cmd.image_download import completion
from nova.cmd.image_download import download
from nova.cmd.image_download import image_names
from nova.cmd.image_download import node_user
from nova.cmd.image_download import service_user
import nova.conf
from nova import exception
from nova import test
from nova.tests.unit.cmd.image_download import test_bench

CONF = nova.conf.CONF

ITEMS = [check_item.Item('switch', 'ok', 'it is on'),
         check_item.Item('key', 'warning', 'it is big', 'use another')]
PROBLEM = check_item.Item('disk', 'problem', 'it is full', 'free some')
OUTCOME = test_bench.outcome('rbd', 2.0, size=4 << 20,
                                      data_bytes=1 << 20)


class CommandTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.parse = self._patch(cli.config, 'parse_args')
        self.files = self._patch(cfg, 'find_config_files', return_value=[])
        self.folders = self._patch(cfg, 'find_config_dirs', return_value=[])
        self._patch(cli, '_set_up_logging')
        self.signals = self._patch(signal, 'signal')
        # As conf.CONF has them when there is a nova.conf.
        self.show = self._patch(image_names, 'show', side_effect=self._image)
        self.as_owner = self._patch(node_user, 'run_as_owner',
                                    return_value=None)
        for name in ('context', 'identity', 'service'):
            self._patch(service_user, name)

    def _patch(self, *args, **kwargs):
        return self.useFixture(fixtures.MockPatchObject(*args, **kwargs)).mock

    def _image(self, service, context, image, project_id):
        if image == 'missing':
            raise service_user.OperatorError('no image missing', 'name one')
        return {'id': 'id-of-' + image, 'status': 'active', 'size': 4}

    def _give(self, *words, terminal=False):
        out, err = io.StringIO(), io.StringIO()
        out.isatty = lambda: terminal
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = cli.main(words)
            except SystemExit as exc:
                status = exc.code
        self.err = err.getvalue()
        return status, out.getvalue()


class MainTestCase(CommandTestCase):

    def setUp(self):
        super().setUp()
        self.run = self._patch(check, 'run', return_value=ITEMS)

    def test_configuration_before_and_after_the_command(self):
        self._give('--config-file', 'a', '--config-dir', 'b', 'check')
        self.assertEqual(['nova-compute', '--config-file=a',
                          '--config-dir=b'], self.parse.call_args[0][0])
        self._give('check', '--config-file', 'a', '--config-file', 'b')
        self.assertEqual(['nova-compute', '--config-file=a',
                          '--config-file=b'], self.parse.call_args[0][0])
        self.assertFalse(self.parse.call_args[1]['configure_db'])

    def test_configuration_of_nova_compute(self):
        self.files.return_value = ['/a/nova.conf', '/a/nova-compute.conf']
        self.folders.return_value = ['/a/nova.conf.d']
        self._give('check')
        self.assertEqual(
            ['nova-compute', '--config-file=/a/nova.conf',
             '--config-file=/a/nova-compute.conf',
             '--config-dir=/a/nova.conf.d'], self.parse.call_args[0][0])
        self.files.assert_called_once_with('nova', 'nova-compute')
        self.folders.assert_called_once_with('nova', 'nova-compute')
        # Directories are read beside files that were named.
        self._give('--config-file', 'a', 'check')
        self.assertEqual(
            ['nova-compute', '--config-file=a',
             '--config-dir=/a/nova.conf.d'], self.parse.call_args[0][0])

    def test_configuration_that_cannot_be_read(self):
        for error, cure in (
            (cfg.ConfigFilesPermissionDeniedError(['/x']),
             'as the user of nova-compute'),
            (cfg.ConfigFilesNotFoundError(['/x']), 'correct it'),
        ):
            self.parse.side_effect = error
            status, out = self._give('check')
            self.assertEqual((2, ''), (status, out))
            self.assertIn('/x', self.err)
            self.assertIn(cure, self.err)

    def test_value_that_is_found_wrong_when_it_is_used(self):
        self.run.side_effect = cfg.ConfigFileValueError('not a number')
        status, out = self._give('check')
        self.assertEqual((2, ''), (status, out))
        self.assertIn('not a number. To fix this, correct it', self.err)

    def test_root_goes_on_as_the_owner(self):
        self.as_owner.return_value = 3
        self.assertEqual((3, ''), self._give('check', 'x'))
        self.as_owner.assert_called_once_with(['check', 'x'])
        self.run.assert_not_called()
        # Not where it may not become another user.
        self.as_owner.side_effect = PermissionError
        self.assertEqual(0, self._give('check', 'x')[0])

    def test_no_command(self):
        self.assertEqual(2, self._give()[0])
        self.assertEqual(2, self._give('bench', 'x', '--runs', '0')[0])

    def test_help(self):
        status, out = self._give('--help')
        self.assertEqual(0, status)
        for command in ('check', 'fetch', 'precache', 'bench'):
            self.assertIn(command, out)
            self.assertEqual(0, self._give(command, '--help')[0])

    def test_complete(self):
        script = self._patch(completion, 'script', return_value='text\n')
        self.assertEqual((0, 'text\n'), self._give('complete', 'zsh'))
        script.assert_called_once_with('zsh')
        script.return_value = None
        self.assertEqual((1, ''), self._give('complete'))
        self.assertIn('To fix this, install', self.err)
        self.parse.assert_not_called()

    def test_signals(self):
        handlers = {}
        self.signals.side_effect = handlers.__setitem__
        self.run.side_effect = lambda image: handlers[signal.SIGTERM](15, 0)
        self.assertEqual(143, self._give('check')[0])
        self.assertEqual('nova-image-download: interrupted\n', self.err)
        self.run.side_effect = KeyboardInterrupt
        self.assertEqual(130, self._give('check')[0])


class CheckTestCase(CommandTestCase):

    def setUp(self):
        super().setUp()
        self.run = self._patch(check, 'run', return_value=ITEMS)

    def test_lines(self):
        status, out = self._give('check')
        self.assertEqual(0, status)
        self.assertEqual([
            'switch          ok              it is on',
            'key             warning         it is big. To fix this, '
            'use another',
            'A boot on this node reads images from RBD.'], out.splitlines())
        self.run.assert_called_once_with(None)

    def test_problem(self):
        self.run.return_value = ITEMS + [PROBLEM, PROBLEM]
        status, out = self._give('check', 'cirros')
        self.assertEqual(1, status)
        self.assertEqual('A boot on this node does not read this image from '
                         'RBD, see: disk.', out.splitlines()[-1])
        self.run.assert_called_once_with('cirros')

    def test_could_not_be_found_out(self):
        self.run.return_value = [check_item.Item('key', 'unknown', 'who?')]
        self.assertEqual(3, self._give('check')[0])
        status, out = self._give('check', '--format', 'json')
        self.assertEqual(3, status)
        self.assertIsNone(jsonutils.loads(out)['over_rbd'])

    def test_check_that_fails_is_no_answer(self):
        self.run.side_effect = ValueError('oops')
        status, out = self._give('check')
        self.assertEqual(3, status)
        self.assertIn('the check itself failed, ValueError: oops', out)

    def test_json(self):
        self.run.return_value = [PROBLEM]
        status, out = self._give('check', '--format', 'json')
        self.assertEqual(1, status)
        report = jsonutils.loads(out)
        self.assertIs(False, report['over_rbd'])
        self.assertEqual('free some', report['checks'][0]['remedy'])

    def test_does_not_wait_for_ever(self):
        self._give('check')
        self.assertEqual(cli.HTTP_TIMEOUT, CONF.glance.timeout)
        self.assertEqual(0, CONF.glance.num_retries)
        CONF.set_override('timeout', 3, 'glance')
        self._give('check')
        self.assertEqual(3, CONF.glance.timeout)


class FetchTestCase(CommandTestCase):

    def setUp(self):
        super().setUp()
        self.fetch = self._patch(download, 'fetch',
                                 return_value=OUTCOME)

    def test_fetch(self):
        status, out = self._give('fetch', 'x', '/no/file')
        self.assertEqual(0, status)
        self.assertEqual(
            '/no/file: 4.0 MiB of which 1.0 MiB are data over RBD in 2.00 s '
            '(2.0 MiB/s), 4.0 KiB on disk, verified by sha512\n', out)
        self.assertEqual(('/no/file', 'auto'),
                         self.fetch.call_args[0][2:4])

    def test_into_a_directory(self):
        self._give('fetch', 'x', '/')
        self.assertEqual('/id-of-x', self.fetch.call_args[0][2])

    def test_failures(self):
        for error, status in (
            (exception.CouldNotFetchImage(image_id='x'), 1),
            (OSError(28, 'full'), 1),
            (service_user.OperatorError('a', 'b'), 2),
            (KeyboardInterrupt(), 130),
        ):
            self.fetch.side_effect = error
            self.assertEqual((status, ''), self._give('fetch', 'x', '/y'))
            self.assertEqual(2, len(self.err.splitlines()), self.err)
            self.assertIn('This is image id-of-x', self.err)

    def test_image_that_is_not_active(self):
        self.show.side_effect = [{'id': 'x', 'status': 'queued'}]
        self.assertEqual(2, self._give('fetch', 'x', '/y')[0])
        self.assertIn('image x is queued', self.err)
        self.fetch.assert_not_called()


class PrecacheTestCase(CommandTestCase):

    def test_goes_on_after_a_failure(self):
        self._patch(download, 'precache', side_effect=[
            OUTCOME, exception.CouldNotFetchImage(image_id='b'),
            test_bench.outcome('', 0.0)])
        status, out = self._give('precache', 'a', 'missing', 'b', 'c')
        self.assertEqual(1, status)
        first, last = out.splitlines()
        self.assertIn('id-of-a: 4.0 MiB', first)
        self.assertEqual('id-of-c: is in the image cache already', last)
        self.assertEqual(['missing', 'b'], [
            line.partition(':')[0] for line in self.err.splitlines()
            if not line.startswith('This is ')])


class BenchTestCase(CommandTestCase):

    def setUp(self):
        super().setUp()
        self.run = self._patch(
            cli.bench, 'run',
            return_value=test_bench.SummaryTestCase.RUNS)

    def test_table(self):
        status, out = self._give('bench', 'x', '--runs', '4')
        self.assertEqual(0, status)
        self.assertRegex(out, r'RBD \| +1.50 \|')
        self.assertIn('RBD is 4.0 times as fast', out)
        self.assertEqual(4, self.run.call_args[0][2])

    def test_json_and_page(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'page')
        status, out = self._give('bench', 'x', '--format', 'json', '--html',
                                 path)
        self.assertEqual(0, status)
        self.assertEqual(4.0, jsonutils.loads(out)['speedup'])
        with open(path) as f:
            self.assertIn('id-of-x', f.read())

    def test_page_that_cannot_be_written(self):
        self.assertEqual(2, self._give('bench', 'x', '--html', '/no/where')[
            0])
        self.run.assert_not_called()

    def test_failure(self):
        self.run.side_effect = exception.CouldNotFetchImage(image_id='x')
        self.assertEqual((1, ''), self._give('bench', 'x'))


class LoggingTestCase(test.NoDBTestCase):

    def test_where_the_log_goes(self):
        root = logging.getLogger()
        before = root.handlers[:], root.level
        self.addCleanup(root.setLevel, before[1])
        self.addCleanup(setattr, root, 'handlers', before[0])
        self.addCleanup(logging.captureWarnings, False)
        self.addCleanup(setattr, cli, '_handler', None)
        stream = io.StringIO()
        with mock.patch('sys.stderr', stream):
            cli._set_up_logging(False, logging.WARNING)
        log = logging.getLogger('nova.image.direct_download')
        log.warning('%s is bad', 'it')
        # The summary says what a success is.
        log.info('it went well')
        self.assertEqual('WARNING: it is bad\n', stream.getvalue())
