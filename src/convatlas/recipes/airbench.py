"""Jordan 2024: CIFAR-10 to 94 % in eight passes. And ours, for two cores of a processor."""

from dataclasses import dataclass, replace

import torch

from ..data.augment import Affine, AlternatingFlip, Shift
from ..data.batches import Batches, Preprocess
from ..data.crops import Crops
from ..data.rest import Rest
from ..mistake import Mistake
from ..models.airbench import Airbench
from ..models.net import Net
from . import CrossEntropy, Knots, Recipe
from .cifar import CIFAR
from .optimisers import SGD, Muon


@dataclass(frozen=True)
class Whitening:
    """The first layer's filters become the directions in which patches of the pictures vary, divided by how much, and their opposites.

    Jordan 2024, section 3.2. Measured on `samples` pictures as they are learned from; `eps` is added to each variance.
    """

    samples: int = 5000
    eps: float = 5e-4

    @torch.no_grad()
    def __call__(self, net: Net, batches: Batches | Crops) -> None:
        if not isinstance(net, Airbench):
            raise Mistake(f"whitening is for networks that begin with a layer for it, such as airbench94, not for {type(net).__name__}.")
        x = torch.cat([batches[n][0] for n in range(-(-self.samples // batches.batch))])[: self.samples]
        weight = net.get_buffer("features.whiten.weight")
        patches = x.unfold(2, weight.shape[2], 1).unfold(3, weight.shape[3], 1).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        variance, direction = torch.linalg.eigh(patches.T @ patches / len(patches))
        strongest = (direction / (variance + self.eps).sqrt()).T[-len(weight) // 2 :]
        filters = strongest.reshape(-1, *weight.shape[1:])
        weight.copy_(torch.cat([filters, -filters]))


# The published run's rates, decays and momenta are of a loss summed over 2,000 pictures and scores divided by 256; here it is their mean,
# and the head's weights are that much smaller: .67 * 2000 / 256^2 for the head, .053 * 2000 for biases, .24 for filters.
# Where it differs: no bias in the whitening layer; whitening sees shifted pictures.
AIRBENCH94 = Recipe(
    source="Jordan 2024, KellerJordan/cifar10-airbench, README.md and its description of airbench94_muon; arXiv:2404.00498, section 3",
    model="airbench94",
    data="cifar10",
    steps=200,
    batch=2000,
    rate=Knots(((0.0, 0.24), (1.0, 0.0))),
    optimiser=Muon(
        rest=SGD(momentum=0.85, decay=2e-6 * 2000 / 0.24, nesterov=True, bias_rate=0.053 * 256**2 / 0.67),
        rest_rate=0.67 * 2000 / 256**2 / 0.24,
    ),
    loss=CrossEntropy(smoothing=0.2),
    augment=(Shift(2, reflect=True), AlternatingFlip()),
    preprocess=CIFAR,
    prepare=Whitening(),
    test=25,
    published=5.99,
    precision="bfloat16",
    layout="channels_last",
    protocol="flip+shift",
    remembered=("batch", "rate", "optimiser", "loss", "augment"),
)

PASS = 60_000


def descent(rate: float) -> Muon:
    """For filters that learn at `rate` at first; the rest's rates do not change with it."""
    return Muon(rest=SGD(momentum=0.85, decay=1e-3 / rate, nesterov=True, bias_rate=5000.0), rest_rate=0.02 / rate)


# Small pictures first, and from two fifths of the run on the two fifths that are known best sit out every other pass.
CIFAR10 = replace(
    AIRBENCH94,
    source="ours: airbench94_muon with less work, found by trial (docs/log.md)",
    model="speedrun_cifar10",
    steps=1040,
    batch=500,
    rate=Knots(((0.0, 0.12), (1.0, 0.0))),
    optimiser=descent(0.12),
    sizes=((0.0, 20), (0.25, 24), (0.5, 28), (0.75, 32)),
    rest=Rest(share=0.4, start=0.4),
    test=1040,
    published=None,
    remembered=(),
)
MNIST = Recipe(
    source="ours: the same for digits, found by trial (docs/log.md)",
    model="speedrun_mnist",
    data="mnist",
    steps=2 * PASS // 500,
    batch=500,
    rate=Knots(((0.0, 0.085), (1.0, 0.0))),
    optimiser=descent(0.085),
    loss=CrossEntropy(smoothing=0.1),
    augment=(Affine(translate=1.5, scale=0.1, squeeze=0.1, shear=0.2),),
    preprocess=Preprocess(size=28, mean=(0.1307,), std=(0.3081,)),
    prepare=Whitening(eps=0.01),
    test=2 * PASS // 500,
    precision="bfloat16",
    layout="channels_last",
    protocol="shift",
)
FASHION = replace(
    MNIST,
    source="ours: the same for clothes, found by trial (docs/log.md)",
    model="speedrun_fashion",
    data="fashion-mnist",
    steps=10 * PASS // 500,
    rate=Knots(((0.0, 0.12), (1.0, 0.0))),
    optimiser=descent(0.12),
    augment=(Shift(2), AlternatingFlip()),
    preprocess=Preprocess(size=28, mean=(0.2860,), std=(0.3530,)),
    test=10 * PASS // 500,
    protocol="flip+shift",
)

RECIPES = {"airbench94-cifar10": AIRBENCH94, "speedrun-cifar10": CIFAR10, "speedrun-mnist": MNIST, "speedrun-fashion": FASHION}
