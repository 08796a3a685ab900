import pytest
import torch

from convatlas.data.batches import Order
from convatlas.data.rest import Rest, Resting
from convatlas.mistake import Mistake

COUNT, SHARE, FIRST = 50, 0.4, 2


def walked(order: Resting, start: int, places: int, batch: int = 7) -> torch.Tensor:
    """(2, N): the row from `start` on, where a picture's loss is its number, plus a hundred whenever it has been seen."""
    taken = []
    for at in range(start, start + places, batch):
        taken.append(order.rows(at, batch))
        rows, seen = taken[-1]
        order.heard(rows, rows + 100.0 * seen)
    return torch.cat(taken, 1)


def test_until_the_first_it_is_the_plain_order():
    assert torch.equal(walked(Resting(COUNT, 3, SHARE, FIRST), 0, FIRST * COUNT, 10), Order(COUNT, 3).rows(0, FIRST * COUNT))


def test_the_easiest_sit_out_every_other_pass_and_are_there_in_the_next():
    rows, _ = walked(Resting(COUNT, 3, SHARE, FIRST), 0, FIRST * COUNT + 2 * (30 + COUNT), 10)
    for begin in (FIRST * COUNT, FIRST * COUNT + 30 + COUNT):
        short, whole = rows[begin : begin + 30], rows[begin + 30 : begin + 30 + COUNT]
        assert short.sort().values.tolist() == list(range(20, COUNT))
        assert whole.sort().values.tolist() == list(range(COUNT))


@pytest.mark.parametrize("batch", [1, 7, 10, 80])
def test_it_counts_how_often_each_was_seen(batch):
    rows, seen = walked(Resting(COUNT, 3, SHARE, FIRST), 0, 400, batch)
    before = [0] * COUNT
    for row, said in zip(rows.tolist(), seen.tolist(), strict=True):
        assert said == before[row]
        before[row] += 1


def test_from_its_state_it_goes_on_as_if_nothing_had_happened():
    whole = walked(Resting(COUNT, 3, SHARE, FIRST), 0, 700)
    for at in range(7, 700, 7):
        order = Resting(COUNT, 3, SHARE, FIRST)
        walked(order, 0, at)
        resumed = Resting(COUNT, 3, SHARE, FIRST)
        resumed.restore(order.state())
        assert torch.equal(walked(resumed, at, 700 - at), whole[:, at:])


@pytest.mark.parametrize("wrong", [{"share": 1.0, "start": 0.0}, {"share": 0.4, "start": -0.1}])
def test_shares_are_shares(wrong):
    with pytest.raises(Mistake, match=r"rest\.(share|start) is"):
        Rest(**wrong)
