"""Table 1 of Xie et al. 2016, and the equality of Fig. 3(a) and (c)."""

import pytest
import torch
from networks import shell

from convatlas.models import build


@pytest.mark.parametrize(("name", "paths", "width"), [("resnext50_32x4d", 32, 4), ("resnext101_64x4d", 64, 4), ("resnext101_32x8d", 32, 8)])
def test_paths_and_their_width(name, paths, width):
    for i, stage in enumerate(shell(name).features[2:]):
        for block in stage:
            grouped = block.f[1].conv
            assert (grouped.groups, grouped.out_channels // grouped.groups) == (paths, width * 2**i)


def test_a_block_is_a_sum_over_its_paths():
    f = build("resnext50_32x4d").features.conv2[1].f.eval()
    x = torch.randn(1, 256, 4, 4)
    narrow = f[1](f[0](x))
    scale = f[2].bn.weight / (f[2].bn.running_var + f[2].bn.eps).sqrt()
    paths = zip(narrow.split(4, 1), f[2].conv.weight.split(4, 1), strict=True)
    total = sum(torch.nn.functional.conv2d(path, weight) for path, weight in paths)
    torch.testing.assert_close(f(x), total * scale[:, None, None], rtol=1e-4, atol=1e-5)
