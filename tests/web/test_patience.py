"""Clients that begin a request and do not say what they want."""

import socket
import time
from contextlib import closing, suppress
from http.client import HTTPConnection

import pytest

from convatlas.web.patience import BYTES, SECONDS


@pytest.fixture
def connected(address):
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=3 * SECONDS) as found:
        yield found


def left(connection):
    """Waits until the server has closed it; the seconds that took."""
    begun = time.monotonic()
    with suppress(ConnectionError):
        while connection.recv(10_000):
            pass
    return time.monotonic() - begun


def test_headers_without_end_are_not_kept(connected):
    with suppress(ConnectionError):
        connected.sendall(b"GET / HTTP/1.1\r\n" + (b"X-Much: " + b"x" * 990 + b"\r\n") * (2 * BYTES // 1000))
    assert left(connected) < SECONDS / 2


def test_one_request_after_another_however_large_is_answered(address):
    with closing(HTTPConnection(address.removeprefix("http://"))) as connection:
        for _ in range(3):
            connection.request("POST", "/v1/predict", b"x" * (3 * BYTES), {"Content-Type": "text/html"})
            answer = connection.getresponse()
            assert answer.status == 415
            assert answer.read()


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: local", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"])
def test_a_client_that_falls_silent_is_left(connected, said):
    connected.sendall(said)
    assert SECONDS / 2 < left(connected) < 2 * SECONDS
