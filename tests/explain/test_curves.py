import torch
from torch import nn

from convatlas.explain.curves import area, curve


class Left(nn.Module):
    """Sees a class by the left half."""

    def forward(self, x):
        seen = x[..., : x.shape[3] // 2].mean((1, 2, 3))
        return torch.stack([4 * seen, torch.zeros_like(seen)], 1)


def test_what_matters_first_loses_soonest_and_finds_soonest():
    x, target = torch.ones(2, 3, 32, 32), torch.tensor([0, 0])
    left = torch.zeros(2, 4, 4)
    left[:, :, :2] = 1.0
    gone = {name: curve(Left(), x, heat, target, insertion=False) for name, heat in (("right", left), ("wrong", -left))}
    assert torch.allclose(gone["right"][:, 0], gone["wrong"][:, 0])
    assert torch.allclose(gone["right"][:, -1], torch.full((2,), 0.5))
    assert (area(gone["right"]) < area(gone["wrong"])).all()
    x[..., 16:] = -1.0  # the blur leaves a mean
    found = {name: curve(Left(), x, heat, target, insertion=True) for name, heat in (("right", left), ("wrong", -left))}
    assert (area(found["right"]) > area(found["wrong"])).all()


def test_the_area_of_a_straight_line():
    assert torch.allclose(area(torch.linspace(0, 1, 11)[None]), torch.tensor([0.5]))
