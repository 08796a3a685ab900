"""Huang et al. 2016, section 4.3 and figure 4: with as many weights, a DenseNet's error is lower than a ResNet's.

Here a DenseNet-BC of 40 layers with growth 12, 176,122 weights, and a ResNet of 14 layers of the CIFAR kind, 172,506, train as long.
"""

from dataclasses import replace

from ..models.densenet import DenseNet, bc
from ..models.resnet import ResNet, cifar
from . import Claim
from .finding import Budget, Finding
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 8, 4, decay=1e-4)
    makes = {
        "resnet": lambda channels: ResNet(replace(cifar(2, "A"), in_channels=channels)),
        "densenet": lambda channels: DenseNet(replace(bc(40, 12), in_channels=channels)),
    }
    return contest(rivals("dense_accuracy", makes, own, seeds, budget), "resnet", "densenet", seeds)


CLAIM = Claim(
    "A DenseNet with about as many weights has a lower test error than a ResNet.", "Huang et al. 2016, section 4.3, figure 4", test
)
