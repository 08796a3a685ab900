import pytest
import torch

from convatlas.sets import class_weights, deal, evened, share

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
