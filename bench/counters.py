"""What other tools count of the networks here, and how long they take for it, beside `analyse`. Writes results/bench/counters.json.

Needs tools that the project itself does not: pip install torchinfo fvcore ptflops thop. Run it on an idle machine.
"""

import contextlib
import io
import json
import logging
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import ptflops
import thop
import torch
import torchinfo
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convatlas.analysis import analyse
from convatlas.machine import environment
from convatlas.models import build

NETWORKS = [  # every kind of layer that the atlas has outside LeNet-5
    "lenet5_modern", "alexnet", "vgg16", "googlenet", "nin", "resnet20", "resnet50", "resnet50_v1_5", "densenet121", "se_resnet50",
    "squeezenet1_0", "xception", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
]  # fmt: skip
ROUNDS = 7


def counted_by_torch(net: nn.Module, x: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        net(x)
    return counter.get_total_flops()


def counted_by_fvcore(net: nn.Module, x: torch.Tensor) -> int:
    return int(FlopCountAnalysis(net, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def counted_by_ptflops(backend: str) -> Callable[[nn.Module, torch.Tensor], int]:
    def counted(net: nn.Module, x: torch.Tensor) -> int:
        with contextlib.redirect_stdout(io.StringIO()):
            options = {"as_strings": False, "print_per_layer_stat": False, "backend": backend}
            return ptflops.get_model_complexity_info(net, tuple(x.shape[1:]), **options)[0]

    return counted


TOOLS = {
    "ptflops, aten": counted_by_ptflops("aten"),
    "torchinfo": lambda net, x: torchinfo.summary(net, input_data=x, verbose=0).total_mult_adds,
    "fvcore": counted_by_fvcore,
    "ptflops, pytorch": counted_by_ptflops("pytorch"),
    "thop": lambda net, x: int(thop.profile(net, (x,), verbose=False)[0]),  # last, for it leaves buffers in the network
}


def counts(name: str) -> dict[str, int]:
    net = build(name).eval()
    x = torch.zeros(1, next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d)), net.size, net.size)
    return {"torch's FlopCounterMode": counted_by_torch(net, x)} | {tool: count(net, x) for tool, count in TOOLS.items()}


def seconds(name: str) -> dict[str, float]:
    """The median time for a summary of the network on the meta device, the two taking turns."""
    with torch.device("meta"):
        net = build(name)
    took = {"analyse": [], "torchinfo": []}
    for _ in range(ROUNDS):
        for tool, spent in took.items():
            start = time.perf_counter()
            if tool == "analyse":
                analyse(net)
            else:
                torchinfo.summary(net, input_size=(1, 3, net.size, net.size), device="meta", verbose=0)
            spent.append(time.perf_counter() - start)
    return {tool: round(median(spent), 4) for tool, spent in took.items()}


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    found = {
        "versions": {tool: version(tool) for tool in ("torch", "torchinfo", "fvcore", "ptflops", "thop")},
        "command": "python bench/counters.py",
        "counts": {name: counts(name) for name in NETWORKS},
        "rounds": ROUNDS,
        "seconds": {name: seconds(name) for name in ("vgg16", "resnet50", "efficientnet_b0")},
        "environment": environment(),
    }
    path = Path(__file__).parent.parent / "results" / "bench" / "counters.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["seconds"]))


if __name__ == "__main__":
    main()
