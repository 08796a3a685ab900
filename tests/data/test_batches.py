import pytest
import torch

from convatlas.data import source
from convatlas.data.augment import Shift
from convatlas.data.batches import Batches, Preprocess
from convatlas.data.pictures import Pictures
from convatlas.mistake import Mistake
from convatlas.recipes.lenet import DIGITS

PLAIN = Preprocess(size=4, mean=(0.0,), std=(1 / 255,))  # leaves the numbers as they are


def numbered(n: int) -> Pictures:
    """Pictures that carry their own number."""
    x = torch.zeros(n, 1, 4, 4, dtype=torch.uint8)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = torch.arange(n) % 256, torch.arange(n) // 256
    return Pictures(x, torch.arange(n), tuple(map(str, range(n))))


@pytest.mark.parametrize("batch", [1, 7, 100, 5_000])
def test_every_pass_sees_every_picture_once_in_a_new_order(batch):
    n = 3_000
    batches = Batches(numbered(n), batch, seed=0, preprocess=PLAIN)
    row = torch.cat([batches[i][1] for i in range(-(-3 * n // batch))])[: 3 * n].view(3, n)
    assert all(torch.equal(pass_.sort().values, torch.arange(n)) for pass_ in row)
    assert not torch.equal(row[0], row[1])


def test_pictures_stay_with_their_classes():
    batches = Batches(numbered(3_000), 64, seed=3, preprocess=PLAIN)
    for i in (0, 31, 32, 46, 200):
        x, y = batches[i]
        assert torch.equal((x[:, 0, 0, 0] + 256 * x[:, 0, 0, 1]).round().long(), y)


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    def fresh(seed):
        return Batches(source("mnist").load("test"), 32, seed, DIGITS, (Shift(2),))

    walked, jumped = fresh(1), fresh(1)
    for i in range(400):
        x, y = walked[i]
    assert torch.equal(x, jumped[399][0])
    assert torch.equal(y, jumped[399][1])
    assert not torch.equal(x, fresh(2)[399][0])


def test_preprocessing_is_the_papers():
    x = torch.tensor([0, 255], dtype=torch.uint8).repeat(14).expand(1, 1, 28, 28)
    got = DIGITS(x)
    assert got.shape == (1, 1, 32, 32)
    assert got.unique().tolist() == pytest.approx([-0.1, 1.175])
    assert (got[0, 0, :2] == got.min()).all()
    assert (got[0, 0, -2:] == got.min()).all()


def test_the_set_stays_in_memory_as_bytes():
    batches = Batches(source("mnist").load("test"), 1, 0, DIGITS)
    assert batches.x.dtype == torch.uint8
    assert batches.x.shape == (10_000, 1, 32, 32)


def test_an_unknown_source_is_answered_with_those_there_are():
    with pytest.raises(Mistake, match="no data called 'cifar'; there are: mnist"):
        source("cifar")
