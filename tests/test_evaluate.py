import torch

from convatlas.evaluate import evaluate


def test_errors_are_counted_by_the_first_and_by_the_first_five():
    scores = torch.eye(10).repeat(2, 1) - 0.01 * torch.arange(10.0)
    y = torch.arange(10).repeat(2)
    y[0], y[1] = 1, 9  # wrong but among the first five; wrong altogether
    found = evaluate(scores, y)
    assert (found.top1_error, found.top5_error, found.n) == (10.0, 5.0, 20)
