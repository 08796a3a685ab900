"""How fast networks train here, beside the plain way: the same network of torchvision or timm in an ordinary loop, float32, on these cores.

Each side has a process of its own, for memory is set up for a whole process. One at a time takes some steps, then the other; what
counts is the median of the rounds' ratios. Pictures are random and the same in every step, so no side waits for data.
Where neither library has a network, the plain way is ours in the ordinary loop. timm's MobileNet rectifies at 6, ours as published.
Writes results/bench/train.json. Run it on an idle machine: python bench/train.py [MODEL...]
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from convatlas.data.batches import Preprocess
from convatlas.machine import environment
from convatlas.models import build
from convatlas.models.googlenet import Auxiliary
from convatlas.precision import careful, choose
from convatlas.recipes import Recipe, Steps
from convatlas.recipes.optimisers import SGD
from convatlas.speed.turns import work, worker
from convatlas.train import backward, fit, in_layout, machine

OUT = Path(__file__).parent.parent / "results" / "bench" / "train.json"
TURN = 1.0  # seconds that a turn takes at least


class Row(NamedTuple):
    batch: int
    size: int
    library: str
    name: str


ROWS = {
    "resnet50_v1_5": Row(32, 224, "torchvision", "resnet50"),
    "resnet18": Row(32, 224, "torchvision", "resnet18"),
    "resnet20": Row(128, 32, "convatlas", "resnet20"),
    "densenet121": Row(32, 224, "torchvision", "densenet121"),
    "vgg16": Row(16, 224, "torchvision", "vgg16"),
    "googlenet_bn": Row(32, 224, "torchvision", "googlenet"),
    "googlenet": Row(32, 224, "convatlas", "googlenet"),
    "mobilenet_v1": Row(32, 224, "timm", "mobilenetv1_100"),
    "mobilenet_v2": Row(32, 224, "torchvision", "mobilenet_v2"),
    "efficientnet_b0": Row(32, 224, "torchvision", "efficientnet_b0"),
    "squeezenet1_1": Row(32, 224, "torchvision", "squeezenet1_1"),
    "alexnet_owt": Row(64, 224, "torchvision", "alexnet"),
    "alexnet": Row(64, 227, "convatlas", "alexnet"),
    "lenet5_modern": Row(128, 32, "convatlas", "lenet5_modern"),
}


def peers(row: Row) -> nn.Module:
    if row.library == "torchvision":
        import torchvision

        return torchvision.models.get_model(row.name, **({"init_weights": True} if row.name == "googlenet" else {}))
    if row.library == "timm":
        import timm

        return timm.create_model(row.name)
    return build(row.name)


class Same:
    """A batch, again and again."""

    def __init__(self, net: nn.Module, row: Row):
        channels = next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))
        self.x, self.y = torch.randn(row.batch, channels, row.size, row.size), torch.randint(10, (row.batch,))

    @property
    def whole(self) -> "Same":
        return self

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        return self.x, self.y


def plain(row: Row) -> Iterator[object]:
    """The loop of every tutorial."""
    net = peers(row).train()
    x, y = Same(net, row)[0]
    opt = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4)
    yield count(net)
    while True:
        opt.zero_grad()
        scores, *others = [found] if isinstance(found := net(x), Tensor) else found
        loss = cross_entropy(scores, y) + 0.3 * sum(cross_entropy(part, y) for part in others)
        loss.backward()
        opt.step()
        yield loss


def ours(model: str, row: Row) -> Iterator[object]:
    """`fit`, by a recipe that asks for whichever precision and layout is faster."""
    recipe = Recipe(
        source="bench/train.py", model=model, data="random", steps=sys.maxsize, batch=row.batch, test=sys.maxsize,
        rate=Steps(0.001, ()), optimiser=SGD(momentum=0.9, decay=1e-4), loss=Auxiliary(),
        preprocess=Preprocess(size=row.size, mean=(0.0,), std=(1.0,)), precision="auto", layout="auto",
    )  # fmt: skip
    net = build(model).train()
    batches = Same(net, row)
    with machine(recipe):
        way, seconds = choose(net, lambda twin, way: backward(twin, replace(recipe, **way._asdict()), *batches[0]))
        recipe = replace(recipe, **way._asdict())
        tried = {" ".join(way): round(took, 4) for way, took in seconds.items()}
        yield {**count(net), **way._asdict(), "tried": tried}
        yield from fit(careful(in_layout(net, recipe)), recipe, batches)


def count(net: nn.Module) -> dict[str, object]:
    return {"parameters": sum(p.numel() for p in net.parameters())}


def side(name: str, model: str, threads: int) -> tuple[str, ...]:
    return (__file__, model, "--side", name, "--threads", str(threads))


def measure(model: str, row: Row, rounds: int, threads: int) -> dict[str, object]:
    with worker(*side("plain", model, threads)) as one:
        theirs = one(None)  # only then the other begins, for it finds out what is fastest
        with worker(*side("ours", model, threads)) as other:
            own = other(None)
            assert theirs["parameters"] == own["parameters"], f"{model} is not what {row.library} has: {theirs}, {own}"
            turns = [max(1, round(TURN / ask(1)[0])) for ask in (one, other)]
            pairs = [(mean(one(turns[0])), mean(other(turns[1]))) for _ in range(rounds)]
    ratios = [a / b for a, b in pairs]
    return {
        "model": model, **row._asdict(), **own,
        "peer_images_per_s": round(row.batch / median(a for a, _ in pairs), 1),
        "images_per_s": round(row.batch / median(b for _, b in pairs), 1),
        "ratio": {"median": round(median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)},
        "steps_in_a_turn": turns, "peer_step_s": [round(a, 4) for a, _ in pairs], "step_s": [round(b, 4) for _, b in pairs],
    }  # fmt: skip


def rows_of(names: list[str]) -> dict[str, Row]:
    return {name: ROWS.get(name) or Row(32, build(name).size, "convatlas", name) for name in names or ROWS}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("models", nargs="*", metavar="MODEL", help="default: " + ", ".join(ROWS))
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--threads", type=int, default=torch.get_num_threads())
    words.add_argument("--out", type=Path, default=OUT)
    words.add_argument("--side", choices=("plain", "ours"), help=argparse.SUPPRESS)
    given = words.parse_args()
    rows = rows_of(given.models)
    torch.set_num_threads(given.threads)
    if given.side:
        torch.manual_seed(0)
        ((model, row),) = rows.items()
        work(plain(row) if given.side == "plain" else ours(model, row))
        return
    found = []
    for model, row in rows.items():
        last = measure(model, row, given.rounds, given.threads)
        found.append(last)
        ratio = last["ratio"]
        print(
            f"{model:16} {row.batch:4} x {row.size:3} {last['peer_images_per_s']:9,.1f} {last['images_per_s']:9,.1f} images/s"
            f" {ratio['median']:6.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})  {last['precision']}, {last['layout']}",
            flush=True,
        )
    text = {
        "what": "a training step: the plain loop in float32, and ours; images per second and the ratio of each round",
        "rows": found,
        "rounds": given.rounds,
        "command": " ".join(["python bench/train.py", *sys.argv[1:]]),
        "versions": {name: version(name) for name in ("torchvision", "timm")},
        "environment": environment(),
    }
    given.out.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
