"""What can be explained."""

import pytest
import torch

from convatlas.explain.what import Score, Unit, given, gradient
from convatlas.mistake import Mistake
from convatlas.models import build


@pytest.fixture
def net():
    return build("resnet20").eval()


def test_a_score_is_of_the_class_or_the_best(net):
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        said = net(x)
        assert torch.equal(Score(2)(net, x), said[:, 2])
        assert torch.equal(Score()(net, x), said.amax(1))
        each = torch.tensor([0, 1, 2, 3])
        assert torch.equal(Score(each)(net, x), said.diagonal())


def test_a_unit_is_the_strongest_or_at_its_place(net):
    x = torch.randn(2, 3, 32, 32)
    first = next(name for name, _ in net.features.named_children())
    with torch.no_grad():
        maps = given(net, x, f"features.{first}")
        assert torch.equal(Unit(f"features.{first}", 3)(net, x), maps[:, 3].amax((1, 2)))
        assert torch.equal(Unit(f"features.{first}", 3, (4, 5))(net, x), maps[:, 3, 4, 5])


def test_a_gradient_is_by_differences(net):
    net, x = net.double(), torch.randn(1, 3, 32, 32, dtype=torch.float64)
    step = torch.zeros_like(x)
    step[0, 1, 7, 9] = 1e-5
    with torch.no_grad():
        slope = (Score(3)(net, x + step) - Score(3)(net, x - step)) / 2e-5
    assert float(gradient(net, x, Score(3))[0, 1, 7, 9]) == pytest.approx(float(slope), rel=1e-4)


def test_what_is_not_there(net):
    x = torch.randn(1, 3, 32, 32)
    with pytest.raises(Mistake, match="no layer 'conv99' in ResNet; there are: features"):
        given(net, x, "conv99")
    with pytest.raises(Mistake, match=r"gives 64 maps, counted from 0; there is no map 64"):
        Unit("features", 64)(net, x)
