import torch

from convatlas.explain.invariance import SCALES, SHIFTS, TURNS, invariance
from convatlas.models import build


def test_nothing_moves_where_nothing_is_done():
    net = build("resnet20").eval()
    x = torch.randn(3, 3, 32, 32)
    shift, scale, turn = invariance(net, x, ["features.conv1", "features"])
    with torch.no_grad():
        whole = float(net(x).softmax(1).amax(1).mean())
    for curve, amounts, still in ((shift, SHIFTS, 0), (scale, SCALES, 1.0), (turn, TURNS, 0), (turn, TURNS, 360)):
        at = amounts.index(still)
        assert curve.probability[at] == torch.tensor(whole).item() or abs(curve.probability[at] - whole) < 1e-4
        assert all(row[at] < 1e-2 for row in curve.distances.values())
        assert all(max(row) > 0.1 for row in curve.distances.values())
        assert len(curve.probability) == len(amounts)
    assert shift.amounts[-1] == 60 * 32 / 224


def test_a_shift_goes_down_by_its_pixels():
    from convatlas.explain.invariance import matrix

    x = torch.zeros(1, 1, 224, 224)
    x[0, 0, 100, 50] = 1.0
    grid = torch.nn.functional.affine_grid(matrix(down=2 * 20 / 224)[None], [1, 1, 224, 224], align_corners=False)
    moved = torch.nn.functional.grid_sample(x, grid, align_corners=False)
    assert divmod(int(moved.flatten().argmax()), 224) == (120, 50)
