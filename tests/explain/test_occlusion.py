import pytest
import torch
from torch import nn

from convatlas.explain.occlusion import occlusion


class Corner(nn.Module):
    """Sees a class by the brightness of one pixel."""

    def forward(self, x):
        bright = x[:, 0, 5, 20]
        return torch.stack([bright, torch.zeros_like(bright)], 1)


@pytest.mark.parametrize("target", [None, 0])
def test_probability_falls_where_the_pixel_is_covered(target):
    x = torch.full((2, 3, 32, 24), 3.0)
    found = occlusion(Corner(), x, target, window=4, stride=2)
    assert found.shape == (2, 15, 11)
    fall = float(torch.tensor(3.0).sigmoid()) - 0.5
    for row in range(15):
        for column in range(11):
            covered = 2 * row <= 5 < 2 * row + 4 and 2 * column <= 20 < 2 * column + 4
            assert float(found[0, row, column]) == pytest.approx(fall if covered else 0.0, abs=1e-6)


def test_a_window_is_never_larger_than_the_picture():
    assert occlusion(Corner(), torch.zeros(1, 3, 32, 24), window=99, stride=1).shape == (1, 9, 1)
