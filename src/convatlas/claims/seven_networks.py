"""Krizhevsky et al. 2012, section 6, Table 2: the mean of networks' answers errs less than one of them (top-5 18.2 %, five 16.4 %)."""

import torch

from ..intervals import over_seeds, wilson
from . import Claim
from .finding import FAILS, HOLDS, OPEN, Budget, Finding, signed
from .small import small
from .trial import PREPROCESS, learn, part, plan

NETWORKS = 7


def test(budget: Budget) -> Finding:
    own, said, singles, took = plan(budget, 10, 20, rate=0.02), [], [], 0.0
    how, seeds = PREPROCESS[own.data], range(budget.of(3, NETWORKS))
    pictures = part(own.data, "test", own.tested)

    def answers(net: torch.nn.Module) -> list[list[float]]:
        from ..evaluate import scores

        return scores(net, pictures.x, how).softmax(1).mul(1e4).round().int().tolist()

    for seed in seeds:
        course = learn("seven_networks", small, own, seed, budget, tell=lambda net: {"answers": answers(net)})
        said.append(torch.tensor(course.told["answers"]) / 1e4)
        singles.append(course.test_error)
        took += course.seconds
    wrong = [(one.argmax(1) != pictures.y).double() for one in said]
    together = (torch.stack(said).mean(0).argmax(1) != pictures.y).double()
    gain = torch.stack(wrong).mean(0) - together  # of each picture
    middle, half = 100 * float(gain.mean()), 196 * float(gain.std()) / len(gain) ** 0.5
    verdict = HOLDS if middle > half else FAILS if middle < -half else OPEN
    _, (low, high) = over_seeds(singles)
    error = 100 * float(together.mean())
    bars = {"one": [sum(singles) / len(singles), low, high], f"{len(said)} together": [error, *wilson(int(together.sum()), len(together))]}
    figures = {"errors": singles, "together": error, "gain": [middle, middle - half, middle + half]}
    gained = signed(-middle, -middle - half, -middle + half)
    says = f"{len(said)} networks err {bars['one'][0]:.2f} % each and {error:.2f} % together, {gained} over {len(together):,} pictures"
    picture = {"kind": "bars", "y": "test error, % (95 % over seeds; over pictures)", "bars": bars}
    return Finding(verdict, says, figures, picture, tuple(seeds), took)


CLAIM = Claim("The mean of seven networks errs less than a single one.", "Krizhevsky et al. 2012, section 6, Table 2", test)
