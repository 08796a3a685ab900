import pytest
import torch
from torchvision.transforms import v2

from convatlas.data.batches import Order, generator
from convatlas.data.mix import CutMix, Mixup, OneOf, beta, shares
from convatlas.mistake import Mistake
from convatlas.recipes.text import decode, encode

X, Y = torch.randn(12, 3, 10, 14, generator=generator(0)), torch.arange(12) % 5
BOTH = OneOf((Mixup(0.2), CutMix(1.0)))
EVERY = (Mixup(0.2), CutMix(1.0), BOTH, OneOf((Mixup(0.1), CutMix(1.0)), (0.3, 0.3)))


@pytest.mark.parametrize("mix", EVERY, ids=str)
def test_the_same_generator_gives_the_same_batch_and_leaves_the_one_it_was_given(mix):
    torch.manual_seed(0)
    before, (x, y) = X.clone(), mix(X, Y, 5, generator(4))
    torch.manual_seed(1)
    assert all(map(torch.equal, (x, y), mix(X, Y, 5, generator(4))))
    assert torch.equal(X, before)
    assert (x.shape, y.shape, y.dtype) == (X.shape, (12, 5), torch.float32)
    torch.testing.assert_close(y.sum(1), torch.ones(12))
    assert len({mix(X, Y, 5, generator(n))[0].numpy().tobytes() for n in range(6)}) > 2


def torchvisions(oracle, **params):
    """What its transform makes of each picture and the one half a batch away; it blends neighbours. X and Y, blended."""
    made = []
    for pair in ([i, i + 6] for i in range(6)):
        given = params | {"labels": Y[pair], "batch_size": 2}
        made.append((oracle.transform(X[pair], given), oracle.transform(given["labels"], given)))
    return [torch.stack(parts, 1).flatten(0, 1) for parts in zip(*made, strict=True)]


def test_mixup_is_torchvisions_with_the_same_share():
    own, oracle = beta(0.4, generator(7)), v2.MixUp(alpha=0.4, num_classes=5)
    x, y = Mixup(0.4)(X, Y, 5, generator(7))
    for ours, theirs in zip((x, y), torchvisions(oracle, lam=own), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_is_torchvisions_with_the_same_box(seed):
    oracle, draws = v2.CutMix(alpha=1.0, num_classes=5), generator(seed)
    reach = 0.5 * (1 - beta(1.0, draws)) ** 0.5
    (top, bottom), (left, right) = (
        (max(0, middle - int(reach * side)), min(side, middle + int(reach * side)))
        for side in (10, 14)
        for middle in [int(torch.randint(side, (), generator=draws))]
    )
    own = 1 - (bottom - top) * (right - left) / 140
    x, y = CutMix(1.0)(X, Y, 5, generator(seed))
    for ours, theirs in zip((x, y), torchvisions(oracle, box=(left, top, right, bottom), lam_adjusted=own), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("batch", "repeats"), [(16, 4), (15, 3), (64, 4)])
def test_no_picture_is_blended_with_itself_where_they_come_several_times_in_a_row(batch, repeats):
    rows = Order(64, 0, repeats).rows(5 * batch, batch)[0]
    assert (rows == rows.roll(1)).any()
    _, y = Mixup(1.0)(torch.zeros(batch, 3, 2, 2), rows, 64, generator(0))
    assert ((y > 0).sum(1) == 2).all()


def test_shares_of_cutmix_are_those_of_the_pixels():
    x, y = CutMix(1.0)(torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 20, 20), torch.arange(3), 3, generator(1))
    for k in range(3):
        torch.testing.assert_close(y[:, k], (x == k).float().mean((1, 2, 3)))
    assert 0.01 < y[0, 2] < 0.99


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_drawn_from_beta(alpha):
    draws = generator(0)
    found = torch.tensor([beta(alpha, draws) for _ in range(4_000)])
    assert found.mean().item() == pytest.approx(0.5, abs=0.03)
    assert found.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_one_of_draws_by_its_chances_and_mixes_nothing_in_the_rest():
    mix, counts = OneOf((Mixup(8.0), CutMix(8.0)), (0.5, 0.2)), [0, 0, 0]
    for n in range(400):
        x, y = mix(X, Y, 5, generator(n))
        if torch.equal(x, X):
            assert torch.equal(y, shares(Y, 5, 1.0))
        counts[2 if torch.equal(x, X) else 1 if ((x == X) | (x == X.roll(6, 0))).all() else 0] += 1
    assert counts == [pytest.approx(200, abs=40), pytest.approx(80, abs=32), pytest.approx(120, abs=36)]
    with pytest.raises(Mistake, match="one for each of 2 values"):
        OneOf((Mixup(1.0), CutMix(1.0)), (0.5,))


def test_it_is_a_value_that_a_recipe_can_be_made_of():
    assert decode(encode(BOTH)) == BOTH
