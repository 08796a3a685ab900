from itertools import pairwise

import pytest
import torch
from torch.nn.functional import pad
from torchvision.transforms import RandomErasing

from convatlas.data.augment import Affine, AlternatingFlip, Crop, Cutout, Erase, Flip, Shift
from convatlas.data.batches import generator
from convatlas.data.sound import SpecAugment
from convatlas.mistake import Mistake

FILL = (125.3, 122.9, 113.8)
EVERY = (
    Shift(2, fill=FILL), Shift(2, reflect=True), Flip(), AlternatingFlip(), Cutout(5), Erase(chance=0.9), Erase(chance=0.9, fill=FILL),
    Crop(7), Affine(translate=2, scale=0.1, squeeze=0.1, shear=0.2, rotate=0.1), SpecAugment(),
)  # fmt: skip


@pytest.mark.parametrize("augment", EVERY, ids=str)
def test_the_same_generator_gives_the_same_pictures_and_leaves_those_it_was_given(augment):
    x = torch.rand(40, 3, 16, 12) * 255
    before, at = x.clone(), torch.stack([torch.arange(40), torch.zeros(40, dtype=torch.int64)])
    found = augment(x, generator(7), at)
    assert torch.equal(found, augment(x.clone(), generator(7), at))
    assert not torch.equal(found, augment(x, generator(8), at + 1))
    assert torch.equal(x, before)


@pytest.mark.parametrize("augment", EVERY, ids=str)
def test_the_layout_of_memory_changes_nothing(augment):
    x, at = torch.rand(40, 3, 16, 12) * 255, torch.zeros(2, 40, dtype=torch.int64)
    torch.testing.assert_close(augment(x.to(memory_format=torch.channels_last), generator(7), at), augment(x, generator(7), at))


def test_a_shift_moves_each_picture_by_whole_pixels_and_brings_in_black():
    x = torch.zeros(200, 1, 9, 9)
    x[:, 0, 4, 4] = 255
    at = Shift(2)(x, generator(0)).flatten(1).argmax(1)
    rows, columns = at // 9 - 4, at % 9 - 4
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == 25


@pytest.mark.parametrize("shift", [Shift(3), Shift(3, fill=FILL), Shift(3, reflect=True)], ids=str)
def test_a_shift_is_the_plain_loop_to_the_bit(shift):
    x = torch.rand(20, 3, 6, 5) * 255
    down, right = torch.randint(7, (2, 20), generator=generator(5))
    edge = torch.tensor(shift.fill or (0.0,)).view(-1, 1, 1)
    padded = pad(x, (3, 3, 3, 3), mode="reflect") if shift.reflect else pad(x - edge, (3, 3, 3, 3)) + edge
    loop = torch.stack([padded[i, :, down[i] : down[i] + 6, right[i] : right[i] + 5] for i in range(20)])
    assert torch.equal(shift(x, generator(5)), loop)


def test_a_crop_is_the_plain_loop_and_leaves_a_side_that_is_small():
    x = torch.rand(20, 3, 9, 5)
    down = torch.randint(4, (20,), generator=generator(5))
    assert torch.equal(Crop(6)(x, generator(5)), torch.stack([x[i, :, down[i] : down[i] + 6] for i in range(20)]))


def test_a_flip_turns_its_share_of_the_pictures_and_no_other():
    x = torch.rand(1_000, 1, 4, 6) * 255
    found = Flip(0.3)(x, generator(3))
    turned = torch.rand(1_000, generator=generator(3)) < 0.3
    assert torch.equal(found, torch.where(turned.view(-1, 1, 1, 1), x.flip(3), x))
    assert 0.25 < turned.float().mean() < 0.35


def test_an_alternating_flip_turns_a_picture_every_other_time_that_it_is_seen():
    places = torch.arange(50_000)
    x = torch.tensor([0.0, 1.0]).expand(50_000, 1, 1, 2)
    turned = [AlternatingFlip()(x, generator(n), torch.stack([places, torch.full_like(places, n)]))[:, 0, 0, 0] == 1 for n in range(4)]
    assert all(torch.equal(a, ~b) for a, b in pairwise(turned))
    shares = turned[0].view(50, 1000).float().mean(1)
    assert abs(shares.mean() - 0.5) < 0.01
    assert 0.4 < shares.min() < shares.max() < 0.6
    neighbours = (turned[0][1:] == turned[0][:-1]).float().mean()
    assert abs(neighbours - 0.5) < 0.01
    with pytest.raises(Mistake, match="how often a picture was seen"):
        AlternatingFlip()(x, generator(0))


@pytest.mark.parametrize("size", [4, 5])
def test_cutout_covers_a_square_whose_middle_is_anywhere_in_the_picture(size):
    hole = Cutout(size, fill=(1.0,))(torch.zeros(20_000, 1, 8, 9), generator(0))[:, 0]
    rows, columns = (hole.amax(dim).sum(1) for dim in (2, 1))
    assert torch.equal(rows * columns, hole.sum((1, 2)))  # no holes but rectangles
    for length, side in ((rows, 8), (columns, 9)):
        whole = (length == size).float().mean().item()
        assert whole == pytest.approx((side - size + 1) / side, abs=0.02)  # the others reach over the edge
        assert length.min() == size // 2 + size % 2
    assert Cutout(size, fill=FILL)(torch.zeros(9, 3, 8, 8), generator(0)).amax((0, 2, 3)).tolist() == pytest.approx(FILL)


def test_what_is_erased_is_distributed_as_torchvisions():
    n, blank = 3_000, torch.empty(1, 32, 40)
    hole = Erase(chance=1.0, fill=(1.0,))(torch.zeros(n, 1, 32, 40), generator(0))[:, 0]
    rows, columns = hole.amax(2), hole.amax(1)
    ours = torch.stack([rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)], 1)
    theirs = torch.tensor([RandomErasing.get_params(blank, (0.02, 0.33), (0.3, 3.3), [1.0])[:4] for _ in range(n)])
    places = torch.arange(41)
    for side in range(4):
        apart = ((ours[:, side, None] <= places).float().mean(0) - (theirs[:, side, None] <= places).float().mean(0)).abs().max()
        assert apart < 1.95 * (2 / n) ** 0.5, side  # Kolmogorov and Smirnov's bound at 0.1 %


def test_erasing_covers_its_share_with_noise_and_leaves_what_does_not_fit():
    x = torch.full((4_000, 2, 8, 8), -1.0)
    noise = Erase(chance=0.3)(x, generator(1))
    erased = noise.amax((1, 2, 3)) >= 0
    assert 0.27 < erased.float().mean() < 0.33
    values = noise[noise >= 0]
    assert (values.min() < 5, values.max() > 250, values.max() <= 255) == (True, True, True)
    assert values.mean().item() == pytest.approx(127.5, abs=3)
    assert torch.equal(Erase(chance=1.0, scale=(1.0, 1.0))(x, generator(1)), x)


def test_no_distortion_is_no_change():
    x = torch.rand(4, 1, 32, 32) * 255
    torch.testing.assert_close(Affine()(x, generator(1)), x, atol=1e-3, rtol=0)


def test_chance_leaves_the_rest_as_they_were():
    x = torch.rand(2_000, 1, 8, 8) * 255
    same = (Affine(scale=0.5, chance=0.9)(x, generator(2)) - x).abs().flatten(1).amax(1) < 0.01
    assert 0.07 < same.float().mean() < 0.13


def test_each_kind_of_distortion_keeps_to_its_bound():
    blob = torch.zeros(500, 1, 32, 32)
    blob[:, 0, 12:20, 12:20] = 255
    ys, xs = torch.meshgrid(torch.arange(32.0) - 15.5, torch.arange(32.0) - 15.5, indexing="ij")

    def moments(x):
        mass = x.sum((1, 2, 3))
        return [(x[:, 0] * v).sum((1, 2)) / mass for v in (xs, ys, xs**2, ys**2, xs * ys)] + [mass]

    x, y, *_, mass = moments(Affine(translate=3)(blob, generator(3)))
    assert 2.5 < x.abs().max() < 3.01
    assert 2.5 < y.abs().max() < 3.01
    assert (mass / mass[0] - 1).abs().max() < 0.01
    _, _, xx, yy, _, mass = moments(Affine(squeeze=0.3)(blob, generator(4)))
    assert (xx * yy / (xx * yy).mean() - 1).abs().max() < 0.1  # what one side loses the other gains
    assert (xx / yy).max() > 2.5
    *_, mass = moments(Affine(scale=0.3)(blob, generator(5)))
    assert 1.5 < mass.max() / mass.min() < 3.4  # e^(4 * 0.3) at most
    *_, xy, _ = moments(Affine(shear=0.5)(blob, generator(6)))
    assert xy.max() > 1
    assert xy.min() < -1
