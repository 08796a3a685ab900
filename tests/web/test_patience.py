"""Clients that begin a request and do not say what they want."""

import socket
import time
from contextlib import closing
from http.client import HTTPConnection

import pytest

from convatlas.web.patience import BYTES, SECONDS


@pytest.fixture
def connected(address):
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=3 * SECONDS) as found:
        yield found


def test_headers_without_end_are_not_kept(connected):
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        connected.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(20 * BYTES // 1000):
            connected.sendall(b"X-Much: " + b"x" * 990 + b"\r\n")
            time.sleep(0.001)


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
    begun = time.monotonic()
    while connected.recv(10_000):
        pass
    assert time.monotonic() - begun < 2 * SECONDS
