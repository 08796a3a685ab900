from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop as Torchvisions

from convatlas.data.augment import Erase, Shift
from convatlas.data.batches import Batches, Preprocess
from convatlas.data.crops import Crops, RandomResizedCrop, start
from convatlas.data.listed import open_data
from convatlas.data.pictures import Pictures
from convatlas.mistake import Mistake

PREPROCESS = Preprocess(size=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))


@pytest.fixture
def listed(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(5):
            pixels = np.random.default_rng(i).integers(0, 255, (40 + i, 50, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{i}.{'jpg' if i % 2 else 'png'}")
    return open_data(tmp_path)


def crops(listed, **changes):
    return Crops(listed, **{"batch": 4, "seed": 3, "preprocess": PREPROCESS, "crop": RandomResizedCrop(size=16)} | changes)


def test_a_batch_follows_from_seed_and_number_alone(listed):
    one, other = crops(listed), crops(listed, threads=0)
    batches = [one[n] for n in range(6)]
    for n in (5, 0, 3):
        assert all(map(torch.equal, batches[n], other[n]))
        assert all(map(torch.equal, batches[n], one[n]))
    assert not torch.equal(batches[0][0], crops(listed, seed=4)[0][0])


def test_a_crop_follows_from_seed_pass_and_row_whatever_the_batch(listed):
    by_four, by_one = crops(listed, threads=0), crops(listed, batch=1, threads=0)
    for k in range(20):
        assert torch.equal(by_four[k // 4][0][k % 4], by_one[k][0][0])


def test_a_generator_begins_anew_as_if_it_were_made_anew():
    used = np.random.Generator(np.random.Philox(0))
    for key, counter in [((3, 1), (0, 0, 17, 0)), ((2**63, 5), (1, 2, 3, 4))]:
        used.random(3), used.integers(9, dtype=np.uint32)
        start(used, key, counter)
        fresh = np.random.Generator(np.random.Philox(key=key, counter=counter))
        assert used.random(50).tolist() == fresh.random(50).tolist()
        assert used.integers(9, size=3, dtype=np.uint32).tolist() == fresh.integers(9, size=3, dtype=np.uint32).tolist()


def test_the_order_is_that_of_batches(listed):
    pictures = Pictures(torch.zeros(len(listed), 3, 16, 16, dtype=torch.uint8), listed.y, listed.classes)
    theirs = Batches(pictures, 4, 3, PREPROCESS)
    ours = crops(listed, threads=0)
    assert all(torch.equal(ours[n][1], theirs[n][1]) for n in range(6))


def test_a_picture_comes_several_times_in_a_row_each_time_cut_anew(listed):
    y = torch.arange(len(listed))  # each its own class
    own = replace(listed, y=y, classes=tuple(map(str, y.tolist())))
    for found in (crops(own, threads=0, repeats=4), crops(own, threads=1, repeats=4)):
        batches = [found[n] for n in range(len(own) + 2)]
        assert all(len(y.unique()) == 1 and len(x.flatten(1).unique(dim=0)) == 4 for x, y in batches)
        assert sorted(int(y[0]) for _, y in batches[: len(own)]) == y.tolist()
        again = next(x for x, y in batches[:-2] if torch.equal(y, batches[-1][1]))
        assert len(torch.cat([again, batches[-1][0]]).flatten(1).unique(dim=0)) == 8  # nor in the next pass as in this


def test_shares_and_threads_change_no_picture(listed):
    augment = (Shift(8), Erase(chance=0.7))
    whole = crops(listed, threads=0, batch=6, augment=augment)
    shares = [crops(listed, threads=rank, batch=6, augment=augment, rank=rank, ranks=3) for rank in range(3)]
    for n in (0, 1, 5):
        for parts, of in zip(zip(*(share[n] for share in shares), strict=True), whole[n], strict=True):
            assert torch.equal(torch.cat(parts), of)
    x = whole[0][0]
    assert torch.equal(shares[2].whole[0][0], x)
    later = crops(listed, threads=0, batch=1, augment=augment)  # a picture's changes do not depend on whose batch it is in
    assert torch.equal(later[4][0], x[4:5])


def test_augmentation_is_told_each_pictures_place_and_how_often_it_was_seen(listed):
    told = []

    class Listen:
        def __call__(self, x, generator, at=None):
            told.append(at)
            return x

    found = crops(listed, threads=0, batch=6, repeats=2, augment=(Listen(),))
    rows, seen = torch.cat([found[n] and torch.cat(told[-6:], 1) for n in range(5)], 1)
    assert torch.equal(rows[::2], rows[1::2])
    assert seen.tolist() == [0, 1] * 6 + [2, 3] * 6 + [4, 5] * 3  # six pictures


def test_batches_are_normalised_to_the_bit_and_augmented_before(listed):
    found = crops(listed, threads=0)
    x, _ = found[0]
    raw = (x * torch.tensor(PREPROCESS.std).view(3, 1, 1) + torch.tensor(PREPROCESS.mean).view(3, 1, 1)) * 255
    assert torch.equal(PREPROCESS.normalise(raw.round().to(torch.uint8)), x)
    still, _ = crops(listed, threads=0, augment=(Shift(0),))[0]
    assert torch.equal(still, x)
    black = (0 - torch.tensor(PREPROCESS.mean)) / torch.tensor(PREPROCESS.std)
    moved, _ = crops(listed, threads=0, augment=(Shift(8),))[0]
    assert torch.isclose(moved, black.view(3, 1, 1), atol=1e-5).all(1).any()


def test_memory_is_used_again_only_when_nobody_looks(listed):
    found = crops(listed, threads=0)
    kept = [found[n][0] for n in range(5)]
    copies = [x.clone() for x in kept]
    views = kept[2][0]
    del kept[2]
    first = views.clone()
    for n in range(5, 12):
        found[n]
    assert all(map(torch.equal, kept, [copies[i] for i in (0, 1, 3, 4)]))
    assert torch.equal(views, first)
    address = found[12][0].data_ptr()
    assert found[13][0].data_ptr() == address


def test_another_picture_stands_in_for_a_broken_one(listed, tmp_path):
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(b"")
    found = crops(listed, threads=2)
    assert all(found[n][1].eq(1).all() for n in range(8))
    assert set(listed.problems) == {name for name in listed.names if name.startswith("a/")}
    for path in (tmp_path / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(Mistake, match=r"none of the 6 pictures can be read"):
        crops(listed, threads=0)[0]


@pytest.mark.parametrize(("height", "width"), [(375, 500), (60, 900)])
def test_crops_are_distributed_as_torchvisions(height, width):
    n = 3000
    draw = np.random.Generator(np.random.Philox(key=[0, 0]))
    blank = torch.empty(3, height, width)
    theirs = torch.tensor([Torchvisions.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(n)])
    ours = torch.tensor([RandomResizedCrop().box(height, width, draw) for _ in range(n)])
    at = torch.arange(901)
    for side in range(4):
        apart = ((ours[:, side, None] <= at).float().mean(0) - (theirs[:, side, None] <= at).float().mean(0)).abs().max()
        assert apart < 1.95 * (2 / n) ** 0.5, side  # Kolmogorov and Smirnov's bound at 0.1 %


def test_half_of_the_crops_are_mirrored(listed):
    straight, mirrored = (crops(listed, threads=0, crop=RandomResizedCrop(size=16, flip=flip)) for flip in (0, 1))
    assert torch.equal(straight[0][0].flip(3), mirrored[0][0])
    mixed = crops(listed, threads=0, batch=400)[0][0]
    share = (mixed == crops(listed, threads=0, batch=400, crop=RandomResizedCrop(size=16, flip=0))[0][0]).flatten(1).all(1).float().mean()
    assert 0.4 < share < 0.6


def test_no_pictures_are_a_mistake(listed):
    with pytest.raises(Mistake, match="no pictures"):
        crops(listed.subset([]))
