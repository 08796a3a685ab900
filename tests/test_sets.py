from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.data.crops import RandomResizedCrop
from convatlas.recipes import RECIPES, View
from convatlas.sets import class_weights, deal, evened, load_sets, share

Y = torch.tensor([0] * 30 + [1] * 7 + [2] * 3 + [3])


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_are_even_in_size_and_in_each_class(folds):
    part = deal(Y, folds, seed=0)
    for rows in (torch.ones_like(Y, dtype=torch.bool), *(c == Y for c in range(4))):
        counts = part[rows].bincount(minlength=folds)
        assert counts.max() - counts.min() <= 1
    assert torch.equal(part, deal(Y, folds, seed=0))
    assert not torch.equal(part, deal(Y, folds, seed=1))


def test_a_share_of_each_class_and_never_all_of_one():
    chosen = share(Y, 0.3, seed=0)
    assert [int(chosen[c == Y].sum()) for c in range(4)] == [9, 2, 1, 0]
    assert [int(share(Y, 0.99, seed=0)[c == Y].sum()) for c in range(4)] == [29, 6, 2, 0]


def test_sampling_makes_classes_equally_frequent_and_leaves_nobody_out():
    rows = torch.arange(len(Y))[5:]
    found = evened(Y, rows)
    assert Y[found].bincount().tolist() == [25, 25, 25, 25]
    assert set(found.tolist()) == set(rows.tolist())


def test_weights_make_classes_count_the_same():
    weights = class_weights(Y, 5)
    assert weights[4] == 0
    assert (weights[:4] * Y.bincount()).tolist() == pytest.approx([len(Y) / 4] * 4)
    assert float(weights[Y].mean()) == pytest.approx(1.0)


@pytest.mark.parametrize("parts", [("train", "val"), ("train", "val", "test")])
def test_all_pictures_on_the_disk_but_those_that_judge_are_learned_from(tmp_path, parts):
    """A place with train and val has the latter as its test; what is then drawn as val, a published recipe learns from as well."""
    for part in parts:
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for i in range(10):
                Image.fromarray(np.full((20, 24, 3), 25 * i, np.uint8)).save(tmp_path / part / label / f"{i}.png")
    recipe = replace(RECIPES["resnet20-cifar10"], data=str(tmp_path), crop=RandomResizedCrop(size=16), view=View(resize=16, crop=12))
    sets = load_sets(recipe)
    assert (sets.judged, len(sets.train), tuple(sets.test.x.shape)) == ("test", 0, (20, 3, 12, 12))
    assert sets.disk is not None
    places = (f"{part}/{label}/{i}.png" for part in parts[:-1] for label in "ab" for i in range(10))
    assert sorted(sets.disk.names) == sorted(places)
    for i, name in enumerate(sets.disk.names):
        assert sets.disk.classes[sets.disk.y[i]] == name.split("/")[1]
        assert int(sets.disk.read(i)[0, 0, 0]) == 25 * int(name.split("/")[2][0])
