"""Files from a real server that behaves, breaks off, lies, corrupts, sends elsewhere and refuses."""

import contextlib
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from convatlas import download as module
from convatlas.download import download
from convatlas.mistake import Mistake

BODY = bytes(range(256)) * 4096  # a megabyte
SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers as `behave` says; `seen` are the ranges that were asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave, self.seen = "well", []
        self.url = f"http://127.0.0.1:{self.server_port}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_GET(self):
        behave, asked = self.server.behave, self.headers.get("Range")
        self.server.seen.append(asked)
        if behave in ("missing", "busy"):
            self.send_error(404 if behave == "missing" else 503)
        elif behave == "elsewhere" and self.path == "/weights.pth":
            self.send_response(302)
            self.send_header("Location", "/moved.pth")
            self.end_headers()
        elif behave == "disk":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        else:
            self.give(behave, int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and behave != "no ranges" else 0)

    def give(self, behave, start):
        body = BODY[start:]
        if start > len(BODY) or (start and not body):
            self.send_response(416)
            self.end_headers()
            return
        if behave == "corrupts":
            body = body[:1000] + bytes([body[1000] ^ 1]) + body[1001:]
        self.send_response(206 if start and behave != "lies about ranges" else 200)
        if start and behave != "lies about ranges":
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        length = {"says too little": len(body) - 5000, "says too much": len(body) + 5000, "says absurdly much": 1 << 40}
        if behave != "says nothing":
            self.send_header("Content-Length", str(length.get(behave, len(body))))
        self.end_headers()
        once = behave == "breaks off once" and len(self.server.seen) == 1
        with contextlib.suppress(ConnectionError):  # whoever reads may have left
            self.wfile.write(body[: 100_000 if once or behave == "breaks off" else None])
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "weights.pth"


def left(path):
    return sorted(p.name for p in path.parent.iterdir())


def fetch(server, path, **more):
    download(server.url, path, SHA[:8], pause=0.0, **more)


@pytest.mark.parametrize("behave", ["well", "says nothing", "elsewhere", "no ranges", "breaks off once"])
def test_the_file_comes_whole(server, path, behave):
    server.behave = behave
    steps = []
    fetch(server, path, progress=lambda have, total: steps.append((have, total)))
    assert path.read_bytes() == BODY
    assert left(path) == ["weights.pth"]
    assert steps[-1] == (len(BODY), None if behave == "says nothing" else len(BODY))


def test_what_breaks_off_is_gone_on_with_within_one_call(server, path):
    server.behave = "breaks off once"
    fetch(server, path)
    assert server.seen == [None, "bytes=100000-"]


def test_what_breaks_off_is_gone_on_with_in_a_later_call(server, path):
    server.behave = "breaks off"
    with pytest.raises(Mistake, match=r"broke off after 400,000 bytes .*Ask again, and it goes on"):
        download(server.url, path, SHA, pause=0.0)
    assert left(path) == ["weights.pth.part"]
    server.behave, server.seen = "well", []
    fetch(server, path)
    assert server.seen == ["bytes=400000-"]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("behave", ["no ranges", "lies about ranges"])
def test_a_server_without_ranges_sends_all_anew(server, path, behave):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(BODY[:1000])
    server.behave = behave
    fetch(server, path)
    assert path.read_bytes() == BODY
    assert server.seen == (["bytes=1000-"] if behave == "no ranges" else ["bytes=1000-", None])  # the rest as if it were the whole


def test_the_beginning_of_another_file_is_not_kept(server, path):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(b"x" * 1000)
    fetch(server, path)
    assert server.seen == ["bytes=1000-", None]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("extra", [b"", b"too much"])
def test_a_part_that_is_as_long_as_the_file_or_longer(server, path, extra):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(BODY + extra)
    fetch(server, path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("behave", ["corrupts", "says too little"])
def test_a_wrong_hash_leaves_nothing(server, path, behave):
    server.behave = behave
    with pytest.raises(Mistake, match=rf"gave another file: its sha256 begins with [0-9a-f]{{12}}, not {SHA[:8]}. It was taken away"):
        fetch(server, path)
    assert left(path) == []


def test_a_server_that_says_too_much_is_asked_for_the_rest(server, path):
    server.behave = "says too much"
    fetch(server, path)
    assert path.read_bytes() == BODY
    assert server.seen == [None, f"bytes={len(BODY)}-"]


def test_an_absurd_length_is_not_fetched(server, path):
    server.behave = "says absurdly much"
    with pytest.raises(Mistake, match=r"1,099,511,627,776 bytes, more than 4 GiB"):
        fetch(server, path)


def test_a_file_without_an_end_is_not_fetched(server, path, monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 100_000)
    monkeypatch.setattr(module, "BLOCK", 50_000)
    server.behave = "says nothing"
    with pytest.raises(Mistake, match="does not end after"):
        fetch(server, path)


def test_what_the_server_refuses_is_said_at_once_and_what_may_pass_is_tried_again(server, path):
    server.behave = "missing"
    with pytest.raises(Mistake, match="the server answers 404"):
        fetch(server, path)
    assert len(server.seen) == 1
    server.behave, server.seen = "busy", []
    with pytest.raises(Mistake, match="503"):
        fetch(server, path)
    assert len(server.seen) == module.TRIES


def test_nothing_but_the_web_is_read(server, path, tmp_path):
    with pytest.raises(Mistake, match="no address of the web"):
        download((tmp_path / "x").as_uri(), path, SHA)
    server.behave = "disk"
    with pytest.raises(Mistake, match="the server answers 302"):
        fetch(server, path)
    assert not path.exists()


def test_no_server_at_all(path):
    with Server() as gone:
        url = gone.url
    with pytest.raises(Mistake, match=r"broke off after 0 bytes .*[Rr]efused"):
        download(url, path, SHA, pause=0.0)


def test_a_second_process_waits_its_turn(server, path):
    path.parent.mkdir()
    with module.alone(path.with_name("weights.pth.part")), pytest.raises(Mistake, match="being fetched by another process"):
        fetch(server, path)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match="cache"):
        fetch(server, tmp_path / "cache" / "weights.pth")
