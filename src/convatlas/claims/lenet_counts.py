"""LeCun et al. 1998, section II-B: LeNet-5 has some 340,000 connections and only 60,000 weights, for its weights are shared."""

from ..analysis import analyse
from ..models import build
from . import Claim
from .finding import Budget, Finding, counted


def test(_: Budget) -> Finding:
    found = analyse(build("lenet5"))
    convolutions = [layer for layer in found.layers if layer.name.startswith("features")]
    figures = {"connections": found.total("connections"), "parameters": found.parameters,
               "connections of the features": sum(layer.connections for layer in convolutions),
               "parameters of the features": sum(layer.parameters for layer in convolutions)}  # fmt: skip
    right = (figures["connections"], figures["parameters"]) == (340_908, 60_000)  # as printed
    says = f"{figures['connections']:,} connections, {figures['parameters']:,} weights that learn"
    return counted(right, says, figures, {"connections": figures["connections"], "weights": figures["parameters"]}, "number")


CLAIM = Claim("By sharing weights, LeNet-5 has several times as many connections as numbers to learn.", "LeCun et al. 1998, section II-B",
              test, trained=False)  # fmt: skip
