"""What every network here is: named stages that see, and a head that decides. And the few parts that several papers share."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from . import backbone, checkpointing, dilation
from .backbone import Stage


class Net(nn.Module):
    """`features` holds one child per row of the paper's table, under the paper's own name for it; `head` ends in scores.

    Takes (N, C, H, W) pictures, gives (N, classes) scores of which the largest is the answer.
    Features up to the third stage are `net.features[:3](x)`; no hooks are needed.
    """

    counts: ClassVar[tuple[str, ...]] = ("parameters", "macs")  # the totals that its paper states

    head: nn.Sequential

    def __init__(self, size: int):
        super().__init__()
        self.size = size  # height and width of the pictures that its paper feeds it, or that it was built for
        self.features = nn.Sequential()
        self.frozen: tuple[str, ...] = ()  # children of the features that do not learn
        self.levels: tuple[str, ...] = ()  # the last stage at each stride, once asked for

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def after_step(self) -> None:
        """What its paper does to the weights after each training step, beyond the optimiser: mostly nothing."""

    def stages(self) -> tuple[Stage, ...]:
        """The children of the features: name, stride and receptive field in pixels, channels. Read off the network as it stands."""
        return backbone.stages(self)

    def pyramid(self, x: Tensor, stages: Iterable[str] | None = None) -> dict[str, Tensor]:
        """The maps (N, C, H, W) that these stages give, by name and in the network's order; by default the last stage at each stride.

        No stage beyond the last one asked for is run. Raises ValueError for a stage that there is not.
        """
        if stages is None:
            self.levels = self.levels or tuple({stage.stride: stage.name for stage in self.stages()}.values())
        wanted = self.levels if stages is None else tuple(stages)
        last, found = max(map(self.place, wanted), default=-1), {}
        for name, child in list(self.features.named_children())[: last + 1]:
            x = child(x)
            if name in wanted:
                found[name] = x
        return found

    def place(self, stage: str) -> int:
        names = [name for name, _ in self.features.named_children()]
        if stage not in names:
            raise ValueError(f"there is no stage {stage!r} in {type(self).__name__}; there are: {', '.join(names)}")
        return names.index(stage)

    def embed(self, x: Tensor) -> Tensor:
        """(N, width): what the classifier reads. All of the network but the last layer with weights: pooled, or fc7's units, or F6's."""
        return backbone.embed(self, x)

    def replace_head(self, num_classes: int, dropout: float | None = None) -> Self:
        """Gives the network, in place, a fresh last layer for this many classes: weights N(0, .01), biases 0. The rest keeps its weights.

        Auxiliary classifiers get theirs. LeNet-5's new codes are the paper's for ten classes, else random. `dropout` is the head's.
        """
        backbone.replace_head(self, num_classes, dropout)
        return self

    def replace_stem(self, in_channels: int) -> Self:
        """Adapts the first convolution, in place, to pictures of other channels, from the weights that it has.

        Fewer channels share the sum over colours equally. More take the colours' weights in turn, each colour's split among
        those that take it: a picture repeated over the channels gives the maps that it gave before.
        """
        backbone.replace_stem(self, in_channels)
        return self

    def freeze(self, until: str | None) -> Self:
        """Lets the stages up to this one learn no more, itself included; "head" freezes all features, None nothing.

        Their weights take no gradient and they stay in evaluation, whatever `train` says: norms keep their statistics, nothing drops out.
        """
        names = [name for name, _ in self.features.named_children()]
        self.frozen = () if until is None else tuple(names if until == "head" else names[: self.place(until) + 1])
        for name, child in self.features.named_children():
            child.requires_grad_(name not in self.frozen)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name in self.frozen:
            self.features.get_submodule(name).eval()
        return self

    def param_groups(self, lr: float, decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
        """Groups for torch.optim, from the head down: "params", "lr", "scale", "weight_decay". What is frozen is left out.

        The head has depth 0, the last child of the features that has weights 1, and so on: "scale" is layer_decay^depth, "lr" lr
        times that. Matrices and kernels decay; biases and norms do not.
        """
        return backbone.param_groups(self, lr, decay, layer_decay)

    def dilate(self, output_stride: int) -> Self:
        """Lets the features shrink pictures no further than to 1 / output_stride (8, 16 or 32): later strides become dilations, in place.

        Weights stay. With f the stride that was lost, `net.features(x)[:, :, ::f, ::f]` is what it was; but the gates of
        squeeze and excitation now average over the new units too. Raises ValueError for any other stride, and where the network
        was dilated further before.
        """
        dilation.dilate(self, output_stride)
        self.levels = ()
        return self

    def checkpointing(self, on: bool = True) -> Self:
        """Trains in less memory and more time: each block of the features is computed again on the way back. Gradients stay the same."""
        checkpointing.switch(self.features, on)
        return self


class ConvBN(nn.Sequential):
    """Convolution without bias, batch norm and, unless `act` is None, a non-linearity; "same" padding."""

    def __init__(self, cin: int, cout: int, k: int, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, k, stride, padding=k // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        if act is not None:
            self.act = act()


class SqueezeExcite(nn.Module):
    """Each map scaled by a gate in 0..1 that has seen all maps' means (Hu et al. 2017, Fig. 3)."""

    def __init__(self, c: int, squeezed: int, act: type[nn.Module] = nn.ReLU, gate: type[nn.Module] = nn.Sigmoid):
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, squeezed, 1), act(), nn.Conv2d(squeezed, c, 1), gate())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class StochasticDepth(nn.Module):
    """In training each picture skips the branch with chance `p` < 1, and the others' branches are scaled up to make up for it."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(1 - self.p)
        return x * kept / (1 - self.p)


def start(net: nn.Module, draw: Callable[[nn.Conv2d | nn.Linear], object]) -> None:
    """Fresh weights: `draw` gives a layer its own; biases are 0. Norms stay as PyTorch makes them, with weights 1."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pooled_head(cin: int, num_classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Global average pool, then one linear layer: the head of nearly everything after 2014."""
    head = nn.Sequential()
    head.pool, head.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    if dropout:
        head.dropout = nn.Dropout(dropout)
    head.output = nn.Linear(cin, num_classes)
    return head
