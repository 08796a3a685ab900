"""Other libraries' weights, taken over by position and shape.

Layers stand here in the order in which a picture meets them, and so they do elsewhere: two networks that are equal list their
tensors alike, whatever they call them. Two things spoil that order, and both are mended here:
  a layer's own tensors may come in another (running_mean first, in checkpoints of early PyTorch, from memory): they are known by name;
  a safetensors file holds all its tensors sorted by name: the order is that of a network which has the same names.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib import import_module
from itertools import groupby
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from .disk import whole
from .mistake import Mistake
from .models import MODELS, build
from .models.net import Net

WRAPPERS = ("state_dict", "model", "model_state_dict")  # where a checkpoint of a training keeps the network
KINDS = ("weight", "bias", "running_mean", "running_var")  # a layer's own tensors, in PyTorch's order

# The networks that compute the same, by their names in torchvision and timm. tests/test_parity.py proves each.
TORCHVISION = {
    name: name
    for name in (
        *(f"vgg{n}{bn}" for n in (11, 13, 16, 19) for bn in ("", "_bn")),
        *("resnet18", "resnet34", "wide_resnet50_2", "wide_resnet101_2"),
        *("resnext50_32x4d", "resnext101_64x4d", "resnext101_32x8d"),
        *(f"densenet{n}" for n in (121, 161, 169, 201)),
        *("squeezenet1_0", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
        *(f"efficientnet_b{n}" for n in range(8)),
    )
} | {"alexnet_owt": "alexnet", "googlenet_bn": "googlenet", **{f"resnet{n}_v1_5": f"resnet{n}" for n in (50, 101, 152)}}
TIMM = {
    **{f"se_resnet{n}_timm": f"legacy_seresnet{n}" for n in (18, 34)},
    **{f"se_resnet{n}": f"legacy_seresnet{n}" for n in (50, 101, 152)},
    **{f"se_resnext{n}_32x4d": f"legacy_seresnext{n}_32x4d" for n in (50, 101)},
    "senet154": "legacy_senet154",
    "resnext101_32x4d": "resnext101_32x4d",
    "xception": "legacy_xception",
    "mobilenet_v1_relu6": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v2_140": "mobilenetv2_140",
    **{f"efficientnet_lite{n}": f"tf_efficientnet_lite{n}" for n in range(5)},
    "efficientnet_lite0_timm": "efficientnet_lite0",
    **{f"efficientnet_b{n}": f"efficientnet_b{n}" for n in range(5)},  # from b5 on its norms have another eps
    **{f"vgg{n}{bn}": f"vgg{n}{bn}" for n in (11, 13, 16, 19) for bn in ("", "_bn")},
}


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name: .safetensors, .npz, and anything else as what torch.save wrote. Runs no code from it.

    Takes them out of {"state_dict": ...}, {"model": ...} or {"model_state_dict": ...}, and "module." off their names if all have it.
    They come in the file's order, which in a .safetensors is that of their names.
    Raises Mistake, which names the file, if it cannot be read, is damaged, or holds anything but plain tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise Mistake(f"{path} is empty.")
        state = READERS.get(path.suffix.lower(), read_torch)(path)
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror or error}.") from error
    for _ in WRAPPERS:  # one inside another, but not for ever
        if isinstance(state, Mapping):
            state = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), state)
    found = plain(path, state)
    shared = all(name.startswith("module.") for name in found)
    return {name.removeprefix("module.") if shared else name: tensor for name, tensor in found.items()}


def read_torch(path: Path) -> object:
    try:
        if zipped := is_zipfile(path):
            check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Mistake:
        raise
    except Exception as error:  # there is nearly nothing that a damaged pickle does not raise
        if isinstance(error, UnpicklingError) and (wanted := re.search(r"GLOBAL (\S+)", str(error))):
            raise Mistake(f"{path} holds more than tensors: {wanted[1]}, which was not run. Save the state_dict alone.") from error
        if "TorchScript" in str(error):
            raise Mistake(f"{path} is a TorchScript program, which is not run. Save its state_dict by torch.save.") from error
        raise Mistake(f"{path} is damaged, or no checkpoint of PyTorch.") from error


def check_sums(path: Path) -> None:
    """torch.load does not look at the sums that it writes. Raises Mistake."""
    with ZipFile(path) as parts:
        if bad := parts.testzip():
            raise Mistake(f"{path} is damaged: {bad} in it is not what was written.")


def read_safetensors(path: Path) -> object:
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise Mistake(f"{path} is damaged, or no safetensors file: {error}.") from error


def read_npz(path: Path) -> object:
    try:
        with ZipFile(path), numpy.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays}
    except (OSError, ValueError, TypeError, EOFError, KeyError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise Mistake(f"{path} is damaged, or no .npz file of plain arrays.") from error


READERS = {".safetensors": read_safetensors, ".npz": read_npz}


def plain(path: Path, state: object) -> dict[str, Tensor]:
    """`state`, which must be dense tensors by name; raises Mistake."""
    if not isinstance(state, Mapping):
        raise Mistake(f"{path} holds something of type {type(state).__name__}, not tensors by name. Save the network's state_dict.")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise Mistake(f"{path} holds more than tensors: {name!r} is of type {type(tensor).__name__}. Save the state_dict alone.")
        if not isinstance(name, str) or tensor.layout != torch.strided or tensor.is_quantized:
            raise Mistake(f"{path}: {name!r} is no dense tensor under a name, but {tensor.dtype}, {tensor.layout}.")
    if not state:
        raise Mistake(f"{path} holds no tensors.")
    return {name: tensor.detach() for name, tensor in state.items()}


def adopt(net: Net, state: Mapping[str, Tensor]) -> Net:
    """`net` itself, its tensors now those of `state`: the first takes the first, and so on; by name where all names are its own.

    Shapes must be equal, place by place; only (n, c, k, k) may stand for (n, c*k*k), a convolution that sees the whole map for a
    fully connected layer, or the reverse. A weight never takes a bias or a running mean. num_batches_tracked does not count.
    Values are copied into the dtype and device of `net`. Raises Mistake, which names the first tensor that differs, has nothing
    to take, or is left over; `net` is then as it was.

    Equal shapes do not prove equal networks: `resnet50` and `resnet50_v1_5` differ in a stride, `vgg11` and `vgg11_lrn` in a layer
    without weights. Whoever calls this must choose the network by its name.
    """
    ours, theirs = counted(net.state_dict()), counted(state)
    if any(tensor.is_meta for tensor in (*ours.values(), *theirs.values())):
        raise Mistake("tensors on the meta device have no values, neither to take nor to give; build the network on another.")
    if ours.keys() == theirs.keys():
        theirs = {name: theirs[name] for name in ours}
    pairs = list(zip(ours.items(), theirs.items(), strict=False))
    n, sizes = len(pairs), f"the checkpoint has {len(theirs)} tensors, the network {len(ours)}"
    for i, ((name, mine), (other, its)) in enumerate(pairs, 1):
        if not fits(mine, its) or clash(name, other):
            text = f"tensor {i}: {name} is {said(mine)} here, but {other} is {said(its)} in the checkpoint."
            raise Mistake(text + (auxiliary(ours, theirs, name + other) or by_name(state)))
    for name, mine in list(ours.items())[n:]:
        raise Mistake(f"tensor {n + 1}: nothing is there for {name}, {said(mine)}: {sizes}." + auxiliary(ours, theirs, name))
    for name, its in list(theirs.items())[n:]:
        raise Mistake(f"tensor {n + 1}: {name}, {said(its)}, is left over: {sizes}." + auxiliary(ours, theirs, name))
    with torch.no_grad():
        for (_, mine), (_, its) in pairs:
            mine.copy_(its.reshape(mine.shape))
    return net


def counted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that are adopted, those of one layer in PyTorch's order."""
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    layers = groupby(names, key=lambda name: name.rpartition(".")[0])
    return {name: state[name] for _, layer in layers for name in sorted(layer, key=kind)}


def kind(name: str) -> int:
    last = name.rpartition(".")[2]
    return KINDS.index(last) if last in KINDS else len(KINDS)


def clash(name: str, other: str) -> bool:
    """Whether both names say what they are, and not the same; arrays of other frameworks may say nothing."""
    kinds = {kind(name), kind(other)}
    return len(kinds) > 1 and len(KINDS) not in kinds


def fits(mine: Tensor, its: Tensor) -> bool:
    if mine.is_floating_point() != its.is_floating_point() or its.is_complex():
        return False
    folds = {mine.dim(), its.dim()} == {2, 4} and mine.flatten(1).shape == its.flatten(1).shape
    return mine.shape == its.shape or folds


def said(tensor: Tensor) -> str:
    shape = " x ".join(map(str, tensor.shape)) or "a single number"
    return shape if tensor.is_floating_point() else f"{shape} of {str(tensor.dtype).removeprefix('torch.')}"


def auxiliary(ours: Iterable[str], theirs: Iterable[str], place: str) -> str:
    """What to say of a difference at `place` where only one side has auxiliary classifiers."""
    mine, its = (sorted({found[0] for name in names if (found := re.match(r"[^.]*aux[^.]*", name))}) for names in (ours, theirs))
    if "aux" not in place or (mine and its):
        return ""
    if mine:
        return f" The network has auxiliary classifiers ({', '.join(mine)}), the checkpoint has none; in Python, build(..., aux=False) too."
    return f" The checkpoint has auxiliary classifiers ({', '.join(its)}), the network has none."


def by_name(state: Iterable[str]) -> str:
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    if len(names) < 2 or names != sorted(names):
        return ""
    return " The checkpoint is sorted by name, not in the order of its layers; save it anew from the network."


def convert(model: str, file: Path, out: Path | None = None) -> dict[str, Any]:
    """Writes the weights in `file` for `model`, as safetensors under its own names; says what was done, twins among it.

    `out` is by default FILE's stem with .safetensors, in the current folder. Raises Mistake if it is there already, ValueError for
    a model that does not exist, and what `read_weights` and `adopt` raise.
    """
    out = out or Path(f"{file.stem}.safetensors")
    if out.exists():
        raise Mistake(f"{out} is there already and is not overwritten; choose another name by --out FILE.")
    net = network_of(model, file)
    with whole(out) as draft:
        draft.write_bytes(safetensors.torch.save(net.state_dict(), {"model": model}))
    parameters = sum(p.numel() for p in net.parameters())
    tensors = len(counted(net.state_dict()))
    return {"model": model, "file": str(file), "out": str(out), "tensors": tensors, "parameters": parameters, "twins": twins(model)}


def network_of(model: str, file: Path) -> Net:
    """The network `model` with the weights in `file`. Raises ValueError for a model that does not exist, else as `convert`."""
    state, net = read_weights(file), build(model)
    if file.suffix.lower() == ".safetensors":
        state = in_order(model, net, state, file)
    try:
        return adopt(net, state)
    except Mistake as error:
        raise Mistake(f"{file} does not fit {model}: {error}") from error


def in_order(model: str, net: Net, state: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file in the order of the network that has most of their names: this one, torchvision's or timm's."""
    looked, found, most = [], [], len(state) / 2  # not all, for one may lack a classifier, which `adopt` explains better
    for who, names in orders(model, net):
        looked.append(who)
        if (shared := len(state.keys() & set(names))) > most:
            found, most = names, shared
        if shared == len(state):
            break
    if found:
        return {name: state[name] for name in (*(n for n in found if n in state), *(n for n in state if n not in found))}
    raise Mistake(
        f"{file} keeps its tensors sorted by name, not in the order of its layers, and its names are not those of {', '.join(looked)}. "
        "Save the state_dict by torch.save or numpy.savez, from the network itself, which keep the order; "
        "names of timm are known where timm is installed."
    )


def orders(model: str, net: Net) -> Iterator[tuple[str, list[str]]]:
    yield model, list(net.state_dict())
    for library, names in (("torchvision", TORCHVISION), ("timm", TIMM)):
        try:
            if model in names:
                with torch.device("meta"):
                    yield f"{library}'s {names[model]}", list(peer(library, names[model]).state_dict())
        except ImportError:  # timm is for those who have it
            continue


def peer(library: str, name: str) -> nn.Module:
    """A network of torchvision or timm with fresh weights. Raises ImportError if the library is not there."""
    if library == "timm":
        return import_module("timm").create_model(name)
    import torchvision

    return torchvision.models.get_model(name, **({"init_weights": False} if name == "googlenet" else {}))


def twins(model: str) -> list[str]:
    """Other networks of the family whose tensors have the same shapes; those that differ only in the size of pictures are the same."""

    def tensors(name: str) -> list[torch.Size]:
        with torch.device("meta"):
            return [tensor.shape for tensor in counted(build(name).state_dict()).values()]

    family, config = MODELS[model]
    others = [n for n, (home, its) in MODELS.items() if home is family and asdict(its) | {"size": 0} != asdict(config) | {"size": 0}]
    shapes = tensors(model)
    return [name for name in others if tensors(name) == shapes]
