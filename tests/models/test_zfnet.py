from dataclasses import replace

import torch
from networks import shell, sides
from torch import nn

from convatlas.data.batches import Batches
from convatlas.data.pictures import Pictures
from convatlas.models import build
from convatlas.recipes import RECIPES
from convatlas.train import fit


def test_maps_are_as_wide_as_drawn_in_fig_3():
    assert sides("zfnet") == [110, 55, 55, 26, 13, 13, 13, 13, 13, 6]


def test_maps_are_pooled_before_they_are_normalised():
    assert [name for name, _ in shell("zfnet").features.named_children()] == [
        "conv1",
        "pool1",
        "norm1",
        "conv2",
        "pool2",
        "norm2",
        "conv3",
        "conv4",
        "conv5",
        "pool5",
    ]


def rms(conv: nn.Conv2d) -> torch.Tensor:
    return conv.weight.detach().pow(2).mean((1, 2, 3)).sqrt()


def test_a_filter_that_has_grown_is_scaled_back_and_no_other():
    net = build("zfnet")
    conv = net.features.conv2.conv
    with torch.no_grad():
        conv.weight[3] *= 30
    before = conv.weight.detach().clone()
    net.after_step()
    assert torch.allclose(rms(conv)[3], torch.tensor(0.1))
    assert torch.allclose(conv.weight[3] * (before[3, 0, 0, 0] / conv.weight[3, 0, 0, 0]), before[3])
    assert torch.equal(conv.weight[:3], before[:3])
    assert torch.equal(conv.weight[4:], before[4:])


def test_training_scales_them_back_after_each_step():
    net = build("zfnet", num_classes=10)
    with torch.no_grad():
        net.features.conv1.conv.weight *= 30
    recipe = replace(RECIPES["zfnet-imagenet"], steps=1, batch=1, crop=None, augment=())
    picture = Pictures(torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8), torch.tensor([0]), ("only",))
    list(fit(net, recipe, Batches(picture, 1, 0, recipe.preprocess)))
    assert rms(net.features.conv1.conv).max() < 0.1001
