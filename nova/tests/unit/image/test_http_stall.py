# SPDX-License-Identifier: Apache-2.0

"""Tests of the end of downloads over HTTP, with a server that falls silent."""

import logging
import os
import socketserver
import threading

import fixtures
from keystoneauth1 import session
from keystoneauth1 import token_endpoint
from oslo_utils.fixture import uuidsentinel as uuids

from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova.image import http_stall
from nova import test

SHOWN = (b'{"id": "%s", "status": "active"}' % uuids.image.encode())


class SilentGlance(socketserver.ThreadingTCPServer):
    """Answers questions, and of the data sends a part.

    :param part: what it sends of the answer with the data
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, part):
        super().__init__(('127.0.0.1', 0), SilentHandler)
        self.part = part
        self.asked = 0
        self.ended = threading.Event()


class SilentHandler(socketserver.StreamRequestHandler):

    def handle(self):
        while True:
            line = self.rfile.readline()
            if not line:
                return
            while self.rfile.readline().strip():
                pass
            if b'/file' not in line:
                self.wfile.write(
                    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
                    b'Content-Length: %d\r\n\r\n' % len(SHOWN) + SHOWN)
                continue
            self.server.asked += 1
            self.wfile.write(self.server.part)
            self.server.ended.wait()
            return


class LimitTest(test.NoDBTestCase):

    HEADERS = (b'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n'
               b'Content-Length: 1000\r\n\r\n')

    def setUp(self):
        super().setUp()
        self.flags(enable_rbd_download=True, num_retries=2, group='glance')
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.ERROR))
        self.path = os.path.join(self.useFixture(fixtures.TempDir()).path,
                                 'image')
        self.useFixture(fixtures.MockPatchObject(http_stall, '_seconds',
                                                 return_value=1.0))
        self.context = nova_context.RequestContext('user', 'project')

    def _service(self, part, timeout=None):
        server = SilentGlance(part)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.addCleanup(server.ended.set)
        url = 'http://127.0.0.1:%d' % server.server_address[1]
        self.flags(api_servers=[url], group='glance')
        self.session = session.Session(timeout=timeout)
        self.useFixture(fixtures.MonkeyPatch(
            'nova.image.glance._session_and_auth',
            lambda context: (self.session,
                             token_endpoint.Token(url, 'token'))))
        return server, glance.GlanceImageServiceV2()

    def _assert_gives_up(self, part):
        server, service = self._service(part)
        error = self.assertRaises(exception.CouldNotFetchImage,
                                  self._download, service)
        self.assertIn(uuids.image, str(error))
        # Another server of Glance would read from the same store.
        self.assertEqual(1, server.asked)
        self.assertIn('Image %s did not come over HTTP: Glance sent nothing '
                      'for 1 s. To fix this' % uuids.image, self.log.output)
        # The session is that of other requests, too.
        self.assertIsNone(self.session.timeout)

    def _download(self, service):
        with http_stall.limit(service, uuids.image) as limited:
            # Without the attempt to read from RBD first.
            type(limited).download.__wrapped__(
                limited, self.context, uuids.image, dst_path=self.path)

    def test_silent_from_the_start(self):
        self._assert_gives_up(b'')

    def test_silent_after_the_headers(self):
        self._assert_gives_up(self.HEADERS)

    def test_silent_in_the_middle(self):
        self._assert_gives_up(self.HEADERS + b'x' * 500)

    def test_what_comes_is_taken(self):
        _server, service = self._service(self.HEADERS + b'x' * 1000)
        self._download(service)
        self.assertEqual(1000, os.path.getsize(self.path))

    def test_a_limit_of_the_operator(self):
        _server, service = self._service(b'', timeout=7)
        with http_stall.limit(service, uuids.image) as limited:
            client = limited._client._create_onetime_client(self.context, 2)
        self.assertEqual(7, client.http_client.session.timeout)

    def test_another_error_is_passed_on(self):
        _server, service = self._service(b'')
        error = OSError(28, 'No space left on device')

        def fail():
            with http_stall.limit(service, uuids.image):
                raise error

        self.assertIs(error, self.assertRaises(OSError, fail))
