"""The papers' tests: where the views lie, how they are joined, and that every network which can takes them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import resize, ten_crop

from convatlas.data.batches import Preprocess
from convatlas.evaluate import PIXELS, scores, scores_each
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.protocols import PROTOCOLS, Centre, Corners, Squares, join, named, scaled

GREY = {"mean": (0.5,), "std": (0.25,)}
COLOUR = {"mean": (0.5, 0.4, 0.3), "std": (0.25, 0.2, 0.3)}
VIEWS = {
    "single view": 1, "flip": 2, "shift": 3, "flip+shift": 6, "flip+shift2": 6, "centre": 1, "ten-crop": 10, "144-crop": 144, "dense": 2,
    "dense-384": 2, "multi-scale": 6, "multi-scale-256": 6, "multi-scale-384": 6, "multi-scale average": 5,
}  # fmt: skip


def drawn(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8)


def views(name: str, x: Tensor, size: int = 224) -> list[Tensor]:
    return list(PROTOCOLS[name].views(x, size, "bilinear"))


def lively(name: str, **changes: object) -> nn.Module:
    """A network whose norms know its pictures, so that its scores differ from picture to picture."""
    net = build(name, **changes)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    channels, size = changes.get("in_channels", 3), changes.get("size", 32)
    if any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()):
        with torch.no_grad():
            net.train()(torch.randn(8, channels, size, size))
    return net.eval()


@pytest.fixture(scope="module")
def photographic() -> nn.Module:
    torch.manual_seed(0)
    return lively("mobilenet_v1_025", num_classes=7, size=64)


def test_every_protocol_says_where_it_is_from_and_is_counted():
    assert {name: len(views(name, drawn(1, 3, 40, 50), 32)) for name in PROTOCOLS} == VIEWS
    assert all(protocol.source for protocol in PROTOCOLS.values())
    assert all(len(protocol.weights) in (0, VIEWS[name]) for name, protocol in PROTOCOLS.items())


@torch.no_grad()
def test_ten_crop_is_the_mean_of_the_ten(photographic):
    """AlexNet's, cut by torchvision out of the middle square."""
    x, preprocess = drawn(1, 3, 256, 300), Preprocess(size=224, **COLOUR)
    ten = ten_crop(x[..., 22:278], [224, 224])
    by_hand = torch.stack([photographic(preprocess.normalise(crop)).softmax(1) for crop in ten]).mean(0)
    assert torch.allclose(scores(photographic, x, preprocess, protocol="ten-crop").exp(), by_hand, atol=1e-6)
    assert {view.numpy().tobytes() for view in views("ten-crop", x)} == {crop.contiguous().numpy().tobytes() for crop in ten}


@torch.no_grad()
def test_ten_crop_of_a_small_picture_is_five_windows_of_it_padded_by_four():
    net, x, preprocess = lively("resnet20"), drawn(3, 3, 32, 32), Preprocess(size=32, **COLOUR)
    padded = nn.functional.pad(preprocess(x), (4, 4, 4, 4), mode="reflect")
    windows = [padded[:, :, i : i + 32, j : j + 32] for i, j in ((0, 0), (0, 8), (8, 0), (8, 8), (4, 4))]
    by_hand = torch.stack([net(w).softmax(1) for w in windows] + [net(w.flip(3)).softmax(1) for w in windows]).mean(0)
    assert torch.allclose(scores(net, x, preprocess, protocol="ten-crop").exp(), by_hand, atol=1e-6)
    assert torch.equal(views("ten-crop", x, 32)[8], x)


def test_144_crop_lies_where_the_paper_says():
    x = drawn(1, 3, 256, 320)
    seen = views("144-crop", x)
    assert len(seen) == 4 * 3 * 6 * 2
    assert {view.shape for view in seen} == {(1, 3, 224, 224)}
    assert all(torch.equal(view.flip(3), mirrored) for view, mirrored in zip(seen[::2], seen[1::2], strict=True))
    for number, left in enumerate((0, 32, 64)):  # left, middle, right; the shorter side is 256 as it comes
        square, crops = x[..., left : left + 256], seen[12 * number : 12 * number + 12 : 2]
        corners = [square[:, :, i : i + 224, j : j + 224] for i, j in ((0, 0), (0, 32), (32, 0), (32, 32), (16, 16))]
        assert all(torch.equal(a, b) for a, b in zip(crops, corners, strict=False))
        assert near(crops[5], resize(square, [224, 224], antialias=True))
    larger = resize(x, [288, 360], antialias=True)
    assert near(seen[36], larger[:, :, :224, :224])
    assert near(seen[36 + 24], larger[:, :, :224, 72 : 72 + 224])
    upright = views("144-crop", x.transpose(2, 3))  # of a portrait: top, middle, bottom
    assert torch.equal(upright[24], x.transpose(2, 3)[:, :, 64 : 64 + 224, :224])


def near(a: Tensor, b: Tensor) -> bool:
    return int((a.int() - b.int()).abs().max()) <= 1


def test_dense_and_multi_scale_views_are_the_whole_picture():
    x = drawn(1, 3, 300, 400)
    assert [tuple(view.shape[2:]) for view in views("dense", x)] == [(256, 341)] * 2
    assert [view.shape[2] for view in views("multi-scale", x)] == [256, 256, 384, 384, 512, 512]
    assert [view.shape[2] for view in views("multi-scale-256", x)][::2] == [224, 256, 288]
    assert [tuple(view.shape[2:]) for view in views("multi-scale average", x.transpose(2, 3))][-1] == (853, 640)
    assert [tuple(view.shape[2:]) for view in views("dense", drawn(1, 3, 10, 999))] == [(256, 8 * 256)] * 2  # a strip has a bound


@torch.no_grad()
def test_flip_and_shift_by_hand():
    net, x, preprocess = lively("resnet20"), drawn(3, 3, 32, 32), Preprocess(size=32, **COLOUR)

    def mirrored(z: Tensor) -> Tensor:
        return 0.5 * net(z) + 0.5 * net(z.flip(3))

    for name, by, seen in (("shift", 1, net), ("flip+shift", 1, mirrored), ("flip+shift2", 2, mirrored)):
        z = preprocess(x)
        padded = nn.functional.pad(z, (by,) * 4, mode="reflect")
        moved = 0.5 * seen(padded[:, :, :32, :32]) + 0.5 * seen(padded[:, :, 2 * by :, 2 * by :])
        assert torch.allclose(scores(net, x, preprocess, protocol=name), 0.5 * seen(z) + 0.5 * moved, atol=1e-5)


def test_a_networks_own_size_sets_the_scale():
    assert (scaled(256, 224), scaled(224, 224), scaled(256, 299), scaled(224, 299)) == (256, 224, 342, 299)
    assert (scaled(256, 227), scaled(224, 227)) == (256, 227)  # AlexNet's
    x = drawn(1, 3, 300, 400)
    assert [tuple(view.shape[2:]) for view in views("centre", x, 227)] == [(227, 227)]
    (larger,) = Centre(resize=288, crop=256)(x, 224, "bilinear")
    assert larger.shape[2:] == (256, 256)
    (small,) = views("centre", drawn(1, 3, 40, 50), 32)
    assert small.shape[2:] == (32, 32)


def test_the_centre_is_that_of_pretrained_weights(photographic):
    x = drawn(1, 3, 300, 400)
    (centre,) = views("centre", x)
    assert near(centre, resize(x, [256, 341], antialias=True)[:, :, 16:240, 58:282])
    preprocess = Preprocess(size=224, **COLOUR)
    assert torch.equal(scores(photographic, x, preprocess, protocol="centre"), scores(photographic, centre, preprocess))
    sharper = replace(PROTOCOLS["centre"], interpolation="bicubic")
    assert not torch.equal(scores(photographic, x, preprocess, protocol=sharper), scores(photographic, centre, preprocess))


SMALL = ("lenet5", "lenet5_modern", "nin_cifar10", "resnet20", "densenet_40_12", "preresnet110")
QUICK = ("lenet5", "lenet5_modern", "resnet20", "mobilenet_v1_025", "squeezenet1_1")
SLOW = ("nin_cifar10", "densenet_40_12", "preresnet110", "googlenet", "efficientnet_lite0", "se_resnet18", "mobilenet_v3_small", "xception")


@torch.no_grad()
@pytest.mark.parametrize("model", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_every_protocol_takes_every_kind_of_network(model):
    channels, size = 1 if "lenet" in model else 3, 32 if model in SMALL else 64
    net, preprocess = (
        lively(model, num_classes=7, in_channels=channels, size=size),
        Preprocess(size=size, **(GREY if channels == 1 else COLOUR)),
    )
    whole = drawn(2, channels, 28, 28) if size == 32 else drawn(2, channels, 80, 70)
    placed = preprocess.place(whole) if size == 32 else whole[:, :, 8:72, 3:67]
    for name, how in PROTOCOLS.items():
        x = whole if how.whole(size) else placed
        if model == "lenet5" and how.dense:
            with pytest.raises(Mistake, match="a test on whole pictures does not go: LeNet5 ends in a RBF layer"):
                scores(net, x, preprocess, protocol=name)
            continue
        found = scores(net, x, preprocess, protocol=name)
        each = [how.through(net)(preprocess.normalise(view)) for view in how.views(x, size, "bilinear")]
        assert found.shape == (2, 7)
        assert torch.allclose(found, join(torch.stack(each), how.weights, how.scores), rtol=1e-3, atol=1e-4), name
        if not how.scores:
            assert found.exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_no_more_than_a_batch_of_views_is_ever_there():
    class Watching(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen: list[torch.Size] = []

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append(x.shape)
            return x.mean((2, 3))

    net, preprocess = Watching(), Preprocess(size=64, **COLOUR)
    many = drawn(300, 3, 80, 90)
    together = scores(net, many, preprocess, protocol="144-crop")
    assert sum(n for n, *_ in net.seen) == 300 * 144
    assert max(n * h * w for n, _, h, w in net.seen) <= PIXELS
    net.seen.clear()
    alone = scores(net, many[7:8], preprocess, protocol="144-crop")
    assert [n for n, *_ in net.seen] == [144]  # of one picture they go together
    assert torch.allclose(alone, together[7:8], atol=1e-5)
    net.seen.clear()
    scores(net, drawn(1, 3, 100, 150), Preprocess(size=600, **COLOUR), protocol="multi-scale average")
    assert [n for n, *_ in net.seen] == [1] * 5  # larger than a batch should be, one at a time


def test_pictures_of_any_sizes_keep_their_order(photographic):
    pictures = [drawn(3, 90, 80), drawn(3, 90, 80), drawn(3, 70, 100), drawn(3, 90, 80)]
    preprocess = Preprocess(size=64, **COLOUR)
    found = scores_each(photographic, pictures, preprocess, "ten-crop")
    alone = torch.cat([scores(photographic, picture[None], preprocess, protocol="ten-crop") for picture in pictures])
    assert torch.allclose(found, alone, atol=1e-4)


def test_probabilities_too_small_to_be_written_are_still_told_apart():
    assert join(torch.tensor([[[0.0, -300.0, -200.0]], [[0.0, -300.0, -200.0]]])).tolist() == [[0.0, -300.0, -200.0]]


def test_what_there_is_not_is_a_mistake(photographic):
    with pytest.raises(Mistake, match="no protocol 'eleven-crop'; there are: single view, flip, "):
        named("eleven-crop")
    with pytest.raises(Mistake, match="no protocol 'eleven-crop'"):
        scores(photographic, drawn(1, 3, 80, 80), Preprocess(size=64, **COLOUR), protocol="eleven-crop")
    for too_much in (Centre(200, 224), Corners(200, 224), Squares((200,), 224)):
        with pytest.raises(Mistake, match="a part of 224 x 224 pixels does not fit into 200 x "):
            list(too_much(drawn(1, 3, 300, 400), 224, "bilinear"))
