"""The start, and how much a page weighs."""

from pathlib import Path

from serving import running

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


def test_what_is_not_there_is_said(client):
    for path in ("/network/nothing", "/nowhere", "/runs/..%2f..%2fetc/events", "/claims/x.svg", "/network/x/drawing.svg"):
        assert client.get(path).status_code == 404
    assert client.get("/network/lenet5/layers.json?size=5").status_code == 422
    assert client.get("/network/alexnet/layers.json?size=9").json()["detail"]
    assert client.get("/network/vgg16/drawing.svg").text.lstrip().startswith("<?xml")
