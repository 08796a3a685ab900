"""Convolutions of a twin together with what follows them: an activation, or a sum with other maps and its ReLU (oneDNN, on processors).

Each is one pass over the maps less. torch.compile calls the same operations; eager code knows them by their internal names only, so
`there` asks for these first.
"""

from operator import add, iadd
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..models.lean import after, layer_of, steps

ACTS: dict[type[nn.Module] | type[None], tuple[str, list[float], str]] = {
    nn.ReLU: ("relu", [], ""),
    nn.ReLU6: ("hardtanh", [0.0, 6.0], ""),
    nn.SiLU: ("swish", [], ""),
    nn.Hardswish: ("hardswish", [], ""),
}
NOTHING = ("none", [], "")


def there(dtype: torch.dtype) -> bool:
    """Whether this processor and this torch have these operations for `dtype`."""
    ops = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and hasattr(ops, "_convolution_pointwise")):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(ops._is_mkldnn_bf16_supported()))


def fused(twin: fx.GraphModule) -> fx.GraphModule:
    """`twin`, its convolutions joined with what follows them, in place."""
    for node, conv in steps(twin, nn.Conv2d):
        if type(conv) is not nn.Conv2d or conv.padding_mode != "zeros" or (padding := margins(conv)) is None:
            continue
        done, read = [node], [node.args[0]]
        step = after(node)
        if step is not None and step.target in (add, iadd) and len(others := [n for n in step.all_input_nodes if n is not node]) == 1:
            read += others
            done.append(step)
            step = after(step)
        act = ACTS.get(type(layer_of(twin, step)), NOTHING)
        if act is not NOTHING and (len(read) == 1 or act[0] == "relu"):
            done.append(step)  # pyright: ignore[reportArgumentType]: it has a layer
        else:
            act = NOTHING
        name = f"{node}_fused"
        twin.add_submodule(name, Fused(conv, padding, act))
        with twin.graph.inserting_before(done[-1]):
            whole = twin.graph.call_module(name, tuple(read))
        done[-1].replace_all_uses_with(whole)
        for old in reversed(done):
            twin.graph.erase_node(old)
    twin.delete_all_unused_submodules()
    twin.recompile()
    return twin


def margins(conv: nn.Conv2d) -> list[int] | None:
    """The zeros on each side; None where they are not the same on both."""
    if conv.padding == "valid":
        return [0, 0]
    if isinstance(conv.padding, str):
        both = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return None if any(n % 2 for n in both) else [n // 2 for n in both]
    return list(conv.padding)


class Fused(nn.Module):
    """act(conv(x)), or act(conv(x) + other). Weights lie as oneDNN wants them for maps as large and as many as came so far."""

    def __init__(self, conv: nn.Conv2d, padding: list[int], act: tuple[str, list[float], str]):
        super().__init__()
        self.where: Any = (padding, list(conv.stride), list(conv.dilation), conv.groups)
        self.dense, self.bias, self.act = conv.weight.detach(), conv.bias, act
        self.laid: tuple[torch.Size, Tensor] = torch.Size([0]), self.dense

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        shape, weight = self.laid
        if shape[1:] != x.shape[1:] or shape[0] < x.shape[0]:
            weight = torch.ops.mkldnn._reorder_convolution_weight(self.dense, *self.where, list(x.shape))
            self.laid = x.shape, weight
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *self.where, *self.act)
        act, scalars, how = self.act
        if other.shape != self.gives(x):
            found = torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *self.where, *NOTHING) + other
            return found.relu_() if act == "relu" else found
        unary = (None, [], None) if act == "none" else (act, scalars, how)
        return torch.ops.mkldnn._convolution_pointwise.binary(x, other, weight, self.bias, *self.where, "add", None, *unary)

    def gives(self, x: Tensor) -> torch.Size:
        """The shape of conv(x)."""
        padding, stride, dilation, _ = self.where
        along = zip(x.shape[2:], self.dense.shape[2:], padding, stride, dilation, strict=True)
        return torch.Size((len(x), len(self.dense), *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, p, s, d in along)))
