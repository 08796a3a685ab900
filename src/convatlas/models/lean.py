"""A trained network rewritten for inference: the same function of its pictures, in fewer and cheaper steps.

Each rule is an identity, up to rounding, that holds because of what these networks are made of:
  what only learns is gone: dropout, auxiliary classifiers, stochastic depth;
  LeNet-5's subsampling and its third layer, which has a kernel for some pairs of maps only, are convolutions;
  a norm behind a convolution, or behind the pool that follows one, becomes part of its weights;
  an average pool moves before the 1x1 convolution that it followed, which then has a fraction of the places to compute: both are
  linear, one within maps, the other across them (DenseNet's transitions);
  1x1 convolutions that read the same maps, each with a ReLU behind it, become one (Inception's branches, but not a residual block's
  first layer and its projection: engines put the one's ReLU and the other's sum into the product itself, which is worth more);
  local response normalisation, which engines compute slowly, becomes a convolution by a band and what is left of it.
"""

from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from operator import getitem
from typing import TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from .lenet import Subsample, TableConv2d
from .response_norm import Banded

Layer = TypeVar("Layer", bound=nn.Module)
KEEPING = (nn.LocalResponseNorm, nn.ReLU, nn.MaxPool2d)  # as many maps as they are given
BANDED = "_banded"  # ends the name of a normalisation that was rewritten


def lean(net: nn.Module) -> fx.GraphModule:
    """A twin of `net` for inference alone: (N, C, H, W) to (N, classes), as `net` answers in evaluation. `net` stays as it is."""
    copy = convolutional(deepcopy(net).eval()).requires_grad_(False)
    twin = fx.GraphModule(copy, Tracer().trace(copy))
    for rule in (drop, fold, pool_first, join, band):
        rule(twin)
    twin.delete_all_unused_submodules()
    twin.recompile()
    return twin


def convolutional(net: nn.Module) -> nn.Module:
    """`net`, its layers that are convolutions by another name exchanged for these, in place."""
    for name, layer in list(net.named_modules()):
        if isinstance(layer, Subsample):
            maps = len(layer.coefficient)
            net.set_submodule(name, convolution(layer.coefficient.view(-1, 1, 1, 1).expand(maps, 1, 2, 2), layer.bias, 2, maps))
        elif isinstance(layer, TableConv2d):
            net.set_submodule(name, convolution(layer.full(), layer.bias))
    return net


def convolution(weight: Tensor, bias: Tensor, stride: int | tuple[int, ...] = 1, groups: int = 1) -> nn.Conv2d:
    """One with these weights, without padding, that does not learn."""
    cout, cin, *k = weight.shape
    layer = nn.Conv2d(cin * groups, cout, (k[0], k[1]), stride, groups=groups, device="meta")  # pyright: ignore[reportArgumentType]
    layer.weight, layer.bias = (nn.Parameter(part.detach().contiguous(), requires_grad=False) for part in (weight, bias.flatten()))
    return layer


class Tracer(fx.Tracer):
    """Takes every convolution as one step, also those of ours that pad in their own way."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


def steps(twin: fx.GraphModule, kind: type[Layer]) -> Iterator[tuple[fx.Node, Layer]]:
    """The steps that are layers of this kind, first to last."""
    for node in list(twin.graph.nodes):
        layer = layer_of(twin, node)
        if isinstance(layer, kind):
            yield node, layer


def layer_of(twin: fx.GraphModule, node: fx.Node | None) -> nn.Module | None:
    return twin.get_submodule(str(node.target)) if node is not None and node.op == "call_module" else None


def before(node: fx.Node) -> fx.Node | None:
    """The step whose answer this one reads, if nobody else does."""
    source = node.all_input_nodes[0]
    return source if len(source.users) == 1 else None


def after(node: fx.Node) -> fx.Node | None:
    """The step that reads what this one gives, if there is only one."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def bypass(twin: fx.GraphModule, node: fx.Node) -> None:
    node.replace_all_uses_with(node.all_input_nodes[0])
    twin.graph.erase_node(node)


def drop(twin: fx.GraphModule) -> None:
    for kind in (nn.Dropout, nn.Identity):
        for node, _ in steps(twin, kind):
            bypass(twin, node)


def fold(twin: fx.GraphModule) -> None:
    for node, norm in steps(twin, nn.BatchNorm2d):
        source = before(node)
        if source is not None and isinstance(layer_of(twin, source), nn.MaxPool2d) and rising(norm):
            source = before(source)
        layer = layer_of(twin, source)
        if isinstance(layer, nn.Conv2d):
            twin.set_submodule(str(source), fuse_conv_bn_eval(layer, norm))
        elif isinstance(layer, nn.Linear):
            twin.set_submodule(str(source), fuse_linear_bn_eval(layer, norm))
        else:
            continue
        source.target = str(source)  # pyright: ignore[reportOptionalMemberAccess]: a layer has a step
        bypass(twin, node)


def rising(norm: nn.BatchNorm2d) -> bool:
    """Whether what is greatest before the norm is greatest behind it."""
    return norm.weight is None or bool((norm.weight > 0).all())


def pool_first(twin: fx.GraphModule) -> None:
    for node, pool in steps(twin, nn.AvgPool2d):
        conv = before(node)
        if conv is None or not across(layer_of(twin, conv), (1, 1)) or pool.padding not in (0, (0, 0)):
            continue
        node.replace_all_uses_with(conv)
        node.args, conv.args = conv.args, (node,)
        conv.prepend(node)


def across(layer: nn.Module | None, stride: tuple[int, ...]) -> bool:
    """Whether this is a 1x1 convolution of all maps, with this stride."""
    if not isinstance(layer, nn.Conv2d) or layer.groups > 1:
        return False
    return layer.kernel_size == (1, 1) and layer.stride == stride and layer.padding in ("same", "valid", (0, 0))


def join(twin: fx.GraphModule) -> None:
    readers: defaultdict[tuple[fx.Node, tuple[int, ...]], list[tuple[fx.Node, fx.Node, nn.Conv2d]]] = defaultdict(list)
    for node, conv in steps(twin, nn.Conv2d):
        relu = after(node)
        if across(conv, conv.stride) and relu is not None and isinstance(layer_of(twin, relu), nn.ReLU):
            readers[node.all_input_nodes[0], conv.stride].append((node, relu, conv))
    for together in readers.values():
        if len(together) > 1:
            join_all(twin, *zip(*together, strict=True))


def join_all(twin: fx.GraphModule, nodes: tuple[fx.Node, ...], relus: tuple[fx.Node, ...], convs: tuple[nn.Conv2d, ...]) -> None:
    widths, name = [conv.out_channels for conv in convs], f"{nodes[0]}_joined"
    biases = [conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias for conv in convs]
    twin.add_submodule(name, convolution(torch.cat([conv.weight for conv in convs]), torch.cat(biases), convs[0].stride))
    with twin.graph.inserting_before(min(nodes)):
        whole = twin.graph.call_module(str(relus[0].target), (twin.graph.call_module(name, nodes[0].args),))
        parts = twin.graph.call_function(torch.split, (whole, widths, 1))
        answers = [twin.graph.call_function(getitem, (parts, i)) for i in range(len(convs))]
    for relu, answer in zip(relus, answers, strict=True):
        relu.replace_all_uses_with(answer)
    for node in (*relus, *nodes):
        twin.graph.erase_node(node)


def band(twin: fx.GraphModule) -> None:
    for node, norm in steps(twin, nn.LocalResponseNorm):
        source: fx.Node | None = node
        while isinstance(layer_of(twin, source), KEEPING):
            source = source.all_input_nodes[0]  # pyright: ignore[reportOptionalMemberAccess]: a layer has a step
        if isinstance(conv := layer_of(twin, source), nn.Conv2d):
            twin.add_submodule(f"{node}{BANDED}", Banded(norm, conv.out_channels).to(conv.weight))
            node.target = f"{node}{BANDED}"
