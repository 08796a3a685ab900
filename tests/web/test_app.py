"""The start, and how much a page weighs."""

import asyncio
from pathlib import Path

from fastapi.testclient import TestClient
from serving import running

from convatlas.web.app import Settings, create_app
from convatlas.web.facts import claims, networks, of_paper
from convatlas.web.pages import lines_of

PAGES = ("/", "/network/resnet152", "/compare", "/calculator", "/try", "/runs", "/claims")


def test_the_first_page_is_there_without_torch_and_no_page_is_heavy(tmp_path):
    import httpx

    with running(tmp_path, "page") as (where, process):
        assert httpx.get(where).status_code == 200
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "libtorch" not in maps
        shared = sum(len(httpx.get(f"{where}/static/{name}").content) for name in ("atlas.css", "atlas.js"))
        for path in PAGES:
            assert len(httpx.get(where + path, timeout=60).content) + shared < 500_000, path


def test_what_is_followed_ends_when_nobody_trains_it_and_when_the_server_ends(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')

    async def said(ending):
        return [text async for text in lines_of(tmp_path, lambda: ending)]

    assert asyncio.run(said(ending=False)) == ['data: {"step": 1, "loss": 2.5}\n\n', "event: end\ndata: {}\n\n"]
    assert asyncio.run(said(ending=True)) == []


def test_every_claim_stands_with_the_paper_that_makes_it():
    families = {row["family"] for row in networks().values()}
    for row in claims():
        assert [family for family in families if of_paper(row, family)] in ([family] for family in families), row["place"]


def test_verdicts_and_their_pictures_are_shown(tmp_path):
    (tmp_path / "vgg_weights.json").write_text('{"verdict": "holds", "says": "138 million", "budget": "full"}')
    (tmp_path / "vgg_weights.svg").write_text("<svg/>")
    with TestClient(create_app(Settings(runs=tmp_path, results=tmp_path))) as client:
        network, claims = client.get("/network/vgg16").text, client.get("/claims").text
        picture = client.get("/claims/vgg_weights.svg")
    assert 'href="/claims#vgg_weights"' in network
    assert 'class="verdict holds"' in network
    assert 'src="/claims/vgg_weights.svg"' in claims
    assert "sandbox" in picture.headers["content-security-policy"]


def test_what_is_not_there_is_said(client):
    for path in ("/network/nothing", "/nowhere", "/runs/..%2f..%2fetc/events", "/claims/x.svg", "/network/x/drawing.svg"):
        assert client.get(path).status_code == 404
    assert client.get("/network/lenet5/layers.json?size=5").status_code == 422
    assert client.get("/network/alexnet/layers.json?size=9").json()["detail"]
    assert client.get("/network/vgg16/drawing.svg").text.lstrip().startswith("<?xml")


def test_only_what_stands_in_the_folder_of_data_is_taught(tmp_path):
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    app = create_app(Settings(runs=tmp_path / "runs", data=tmp_path / "data", starts=True))
    with TestClient(app) as client:
        for data in ("../other", str(tmp_path / "other"), "", "mine/..", "theirs"):
            answer = client.post("/runs", params={"model": "efficientnet_lite0", "data": data}, headers={"X-Requested-With": "convatlas"})
            assert answer.status_code == 422, data
        assert (
            client.post("/runs", params={"model": "no such", "data": "mine"}, headers={"X-Requested-With": "convatlas"}).status_code == 422
        )
    assert not (tmp_path / "runs").exists()
