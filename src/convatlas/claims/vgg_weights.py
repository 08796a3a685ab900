"""Simonyan & Zisserman 2014, Table 2: VGG-16 has 138 million weights; most stand in its first linear layer."""

from ..analysis import analyse
from ..models import build
from . import Claim
from .finding import Budget, Finding, counted


def test(_: Budget) -> Finding:
    found = analyse(build("vgg16"))
    linear = [layer.parameters for layer in found.layers if layer.kind == "Linear"]
    figures = {"parameters": found.parameters, "first linear layer": linear[0], "other linear layers": sum(linear[1:]),
               "convolutions": found.parameters - sum(linear), "share of macs in convolutions":
               round(sum(layer.macs for layer in found.layers if layer.kind != "Linear") / found.macs, 4)}  # fmt: skip
    elsewhere = 100 * figures["share of macs in convolutions"]
    right = round(found.parameters / 1e6) == 138 and linear[0] > found.parameters / 2
    share = 100 * linear[0] / found.parameters
    says = f"{found.parameters:,} weights, {share:.0f} % of them in one layer; {elsewhere:.0f} % of the work is in convolutions"
    bars = {name: value / 1e6 for name, value in figures.items() if name not in ("parameters", "share of macs in convolutions")}
    return counted(right, says, figures, bars, "million weights")


CLAIM = Claim(
    "VGG-16 has 138 million weights, and the linear layers hold most of them.", "Simonyan & Zisserman 2014, Table 2", test, trained=False
)
