"""Every way that is installed answers."""

import pytest
import torch

from convatlas.speed.peers import OURS, SIDES, network, ours, there, way

SLOW = ("compile", "compile bf16")


@torch.inference_mode()
@pytest.mark.parametrize("side", [pytest.param(side, marks=pytest.mark.slow) if side in SLOW else side for side in SIDES])
def test_a_way_answers(side, alone):
    if not there(side):
        pytest.skip(f"{SIDES[side][1]} is not installed")
    ask, about = way(side, "resnet20", 3)
    said = ask()
    assert about == {} or side in OURS
    if isinstance(said, torch.Tensor):
        assert said.shape == (3, 10)


@torch.inference_mode()
def test_both_have_the_same_weights():
    x = torch.randn(1, 3, 224, 224)
    for model in ("mobilenet_v2", "mobilenet_v1"):
        torch.testing.assert_close(ours(model)(x), network(model)(x), rtol=1e-4, atol=1e-6)


def test_peers_run_their_own_network_where_they_have_one():
    assert type(network("resnet18")).__module__.startswith("torchvision")
    assert type(network("xception", "timm")).__module__.startswith("timm")
    assert type(network("resnet20")).__module__.startswith("convatlas")
