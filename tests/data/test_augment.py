import torch

from convatlas.data.augment import Affine, Shift
from convatlas.data.batches import generator


def test_a_shift_moves_each_picture_by_whole_pixels_and_brings_in_black():
    x = torch.zeros(200, 1, 9, 9)
    x[:, 0, 4, 4] = 255
    at = Shift(2)(x, generator(0)).flatten(1).argmax(1)
    rows, columns = at // 9 - 4, at % 9 - 4
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == 25


def test_a_shift_is_the_plain_loop():
    x = torch.rand(20, 2, 6, 5)
    down, right = torch.randint(3, (2, 20), generator=generator(5))
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    loop = torch.stack([padded[i, :, down[i] : down[i] + 6, right[i] : right[i] + 5] for i in range(20)])
    assert torch.equal(Shift(1)(x, generator(5)), loop)


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


def test_the_same_generator_gives_the_same_pictures():
    x = torch.rand(8, 1, 16, 16)
    distort = Affine(translate=2, scale=0.1, squeeze=0.1, shear=0.2, rotate=0.1)
    assert torch.equal(distort(x, generator(7)), distort(x, generator(7)))
    assert not torch.equal(distort(x, generator(7)), distort(x, generator(8)))
