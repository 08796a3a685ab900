"""The classifier as convolutions: what a network says of whole pictures (VGG 2014, section 3.2)."""

import pytest
import torch
from networks import shell
from torch import Tensor, nn

from convatlas.models import FAMILIES, build
from convatlas.models.alexnet import fully_connected
from convatlas.models.backbone import stem
from convatlas.models.dense import Dense, convolutional
from convatlas.models.net import Net
from convatlas.models.vgg import TABLE_1, stage


class NarrowVGG(Net):
    """Column A with an eighth of its maps."""

    def __init__(self):
        super().__init__(224)
        c = 3
        for i, (width, kernels) in enumerate(zip((8, 16, 32, 64, 64), TABLE_1["A"], strict=True), 1):
            self.features.add_module(f"stage{i}", stage(c, width, kernels, bn=False, lrn=False))
            c = width
        self.head = fully_connected(c, 7, 10, 0.5)


def lively(net: Net) -> Net:
    """With weights that keep the logits as large as a trained network's; fresh ones of AlexNet are near 0, where all is equal to 1e-4."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return net.eval()


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@torch.no_grad()
def test_on_a_picture_of_the_networks_size_it_says_what_the_network_says():
    net, x = lively(NarrowVGG()), torch.randn(2, 3, 224, 224)
    dense = convolutional(net)
    assert isinstance(dense, Dense)
    assert dense.map(x).shape == (2, 10, 1, 1)
    assert apart(net(x), net(x.flip(3))) > 1e-3
    assert apart(dense(x), net(x)) < 1e-4


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "vgg11_bn", "alexnet", "alexnet_owt", "zfnet", "zfnet_b"])
def test_the_published_networks_say_the_same_as_convolutions(name):
    net = lively(build(name))
    x = torch.randn(1, 3, net.size, net.size)
    plain = net(x)
    assert 0.5 < float(plain.std()) < 20
    assert apart(convolutional(net)(x), plain) < 1e-4


@torch.no_grad()
def test_each_place_of_the_map_is_what_the_network_says_of_that_part_of_the_picture():
    """Of a network without padding, to the last place: LeNet, which moves on by four pixels."""
    net, x = build("lenet5_modern").eval(), torch.randn(2, 1, 40, 48)
    dense = convolutional(net)
    found = dense.map(x)
    assert found.shape == (2, 10, 3, 5)
    for i in range(3):
        for j in range(5):
            assert apart(found[:, :, i, j], net(x[:, :, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32])) < 1e-5
    assert apart(dense(x), found.mean((2, 3))) == 0


@torch.no_grad()
def test_the_weights_are_the_networks_own():
    net = build("lenet5_modern")
    dense, x = convolutional(net.train()), torch.randn(1, 1, 32, 32)
    assert dense.training
    before = dense(x)
    net.head.output.weight.mul_(2)
    net.head.F6[0].weight.mul_(3)
    assert apart(dense(x), before) > 1e-2
    assert apart(dense(x), net(x)) < 1e-5


@torch.no_grad()
def test_maps_too_small_for_the_classifier_are_stretched_as_in_the_plain_network():
    net, x = lively(NarrowVGG()), torch.randn(1, 3, 64, 96)
    assert apart(convolutional(net)(x), net(x)) < 1e-5


def test_every_family_takes_whole_pictures_but_for_lenet5():
    converted = set()
    for name in (*(next(iter(family.VARIANTS)) for family in FAMILIES), "lenet5_modern", "alexnet_owt"):
        net = shell(name, num_classes=7).eval()
        if name == "lenet5":
            with pytest.raises(ValueError, match="LeNet5 ends in a RBF layer, which is no convolution"):
                convolutional(net)
            continue
        dense = convolutional(net)
        if dense is not net:
            converted.add(name)
        with torch.no_grad():
            assert dense(torch.empty(2, stem(net).in_channels, 257, 389, device="meta")).shape == (2, 7)
    assert converted == {"lenet5_modern", "alexnet", "alexnet_owt", "zfnet", "vgg11"}
