from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from convatlas.explain.occlusion import occlusion, spans


class Corner(nn.Module):
    """Sees a class by the brightness of one pixel."""

    def forward(self, x):
        bright = x[:, 0, 5, 20]
        return torch.stack([bright, torch.zeros_like(bright)], 1)


@pytest.mark.parametrize("target", [None, 0])
def test_probability_falls_where_the_pixel_is_covered(target):
    x = torch.full((2, 3, 32, 24), 3.0)
    found = occlusion(Corner(), x, target, window=4, stride=2)
    assert found.shape == (2, 16, 12)
    fall = float(torch.tensor(3.0).sigmoid()) - 0.5
    for row in range(16):
        for column in range(12):
            covered = 2 * row - 1 <= 5 < 2 * row + 3 and 2 * column - 1 <= 20 < 2 * column + 3
            assert float(found[0, row, column]) == pytest.approx(fall if covered else 0.0, abs=1e-6)


def test_a_window_is_never_larger_than_the_picture():
    assert spans(24, 24, 24) == [slice(0, 24)]
    assert occlusion(Corner(), torch.zeros(1, 3, 32, 24), window=99, stride=32).shape == (1, 1, 1)


@pytest.mark.parametrize(("side", "window", "stride"), [(224, 45, 15), (224, 48, 25), (32, 6, 2), (33, 7, 3)])
def test_cells_tile_the_picture_and_each_square_lies_around_its_own(side, window, stride):
    found = spans(side, window, stride)
    assert found[0].start == 0
    assert found[-1].stop == side
    assert all(b.start <= a.stop for a, b in pairwise(found))
    for n, span in enumerate(found):
        if span.stop - span.start == window:
            assert abs((span.start + span.stop) / 2 - (n + 0.5) * side / len(found)) <= 0.5


def test_drawn_as_large_as_the_picture_it_is_largest_where_the_pixel_is():
    (found,) = occlusion(Corner(), torch.full((1, 3, 32, 24), 3.0), 0, window=3, stride=1)
    large = interpolate(found[None, None], (32, 24), mode="bilinear", align_corners=False)[0, 0]
    rows, columns = (large == large.max()).nonzero().T
    assert (float(rows.double().mean()), float(columns.double().mean())) == (5.0, 20.0)
