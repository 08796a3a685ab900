"""Huang et al. 2016, section 4.3 and figure 4: with as many weights, a DenseNet's error is lower than a ResNet's.

Here a DenseNet-BC of 22 layers with growth 12 has fewer weights than ResNet-14 of the CIFAR kind, and both train as long.
"""

from ..models.densenet import DenseNet, bc
from ..models.resnet import ResNet, cifar
from . import Claim
from .finding import Budget, Finding
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 8, 4)
    from dataclasses import replace

    makes = {
        "resnet": lambda channels: ResNet(replace(cifar(2, "A"), in_channels=channels)),
        "densenet": lambda channels: DenseNet(replace(bc(40, 12), in_channels=channels)),
    }
    return contest(rivals("dense_accuracy", makes, own, seeds, budget), "resnet", "densenet", seeds)


CLAIM = Claim("A DenseNet with no more weights has a lower test error than a ResNet.", "Huang et al. 2016, section 4.3, figure 4", test)
