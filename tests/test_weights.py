"""Files as others write them, read and taken over; and every way in which that is refused."""

import json
import os
import pickle
import sys
from collections import OrderedDict
from functools import partial

import numpy
import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import convatlas
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.weights import adopt, convert, counted, peer, read_weights, twins


@pytest.fixture(scope="module")
def theirs() -> dict[str, torch.Tensor]:
    """A small network of torchvision with batch norm and more than ten layers alike, so that sorting by name disorders it."""
    torch.manual_seed(1)
    net = torchvision.models.mobilenet_v2(num_classes=1000)
    for name, tensor in net.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    return net.state_dict()


def numbers(net: nn.Module) -> list[torch.Tensor]:
    return list(counted(net.state_dict()).values())


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def save(path, state, wrapper=None, prefix="", **more):
    state = OrderedDict((prefix + name, tensor) for name, tensor in state.items())
    if path.suffix == ".npz":
        numpy.savez(path, **{name: tensor.numpy() for name, tensor in state.items()})
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({wrapper: state, "epoch": 3, "optimizer": {"lr": 0.1}} if wrapper else state, path, **more)
    return path


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".npz", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_kind_of_file_gives_the_same_network(tmp_path, theirs, suffix, prefix):
    done = convert("mobilenet_v2", save(tmp_path / f"x{suffix}", theirs, prefix=prefix), tmp_path / "out.safetensors")
    written = build("mobilenet_v2")
    written.load_state_dict(load_file(tmp_path / "out.safetensors"))
    assert same(numbers(written), counted(theirs).values())
    assert done["tensors"] == 262
    assert done["parameters"] == 3_504_872
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata() == {"model": "mobilenet_v2"}


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
def test_wrapped_checkpoints(tmp_path, theirs, wrapper, zipped):
    path = save(tmp_path / "x.pth.tar", theirs, wrapper, "module.", _use_new_zipfile_serialization=zipped)
    state = read_weights(path)
    assert list(state) == list(theirs)
    assert same(state.values(), theirs.values())


def test_a_prefix_that_not_all_share_stays(tmp_path):
    state = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert read_weights(save(tmp_path / "x.pt", state)).keys() == state.keys()


def test_wrappers_within_wrappers_end(tmp_path):
    state = {"state_dict": {"a": torch.ones(1)}}
    assert read_weights(save(tmp_path / "x.pt", {"model": state})).keys() == {"a"}
    state["state_dict"] = state
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(Mistake, match="'state_dict' is of type dict"):
        read_weights(tmp_path / "x.pt")


def test_parameters_are_read_as_tensors(tmp_path):
    assert not read_weights(save(tmp_path / "x.pt", {"a": nn.Parameter(torch.ones(1))}))["a"].requires_grad


def test_timms_safetensors_and_what_happens_without_timm(tmp_path, monkeypatch):
    pytest.importorskip("timm")
    other = peer("timm", "mobilenetv2_100")
    path = save(tmp_path / "x.safetensors", other.state_dict())
    convert("mobilenet_v2", path, tmp_path / "out.safetensors")
    written = build("mobilenet_v2")
    written.load_state_dict(load_file(tmp_path / "out.safetensors"))
    assert same(numbers(written), numbers(other))
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        Mistake, match=r"sorted by name.* not those of mobilenet_v2, torchvision's mobilenet_v2\. .*where timm is installed"
    ):
        convert("mobilenet_v2", path, tmp_path / "again.safetensors")
    assert not (tmp_path / "again.safetensors").exists()


def test_our_own_files_are_taken_by_name(tmp_path):
    net = build("lenet5")
    state = load_file(save(tmp_path / "x.safetensors", net.state_dict()))
    assert list(state) != list(net.state_dict())
    assert same(numbers(adopt(build("lenet5"), state)), numbers(net))


def test_running_means_may_come_first_as_in_early_checkpoints(theirs):
    def old(name):
        layer, _, last = name.rpartition(".")
        return [*dict.fromkeys(n.rpartition(".")[0] for n in theirs)].index(layer), "running" not in last

    state = {name: theirs[name] for name in sorted(theirs, key=old) if "num_batches" not in name}
    assert list(state)[1] == "features.0.1.running_mean"
    assert same(numbers(adopt(build("mobilenet_v2"), state)), counted(theirs).values())


def test_adopt_is_public_and_gives_the_network_back_in_its_own_dtype(theirs):
    net = build("mobilenet_v2").half()
    assert convatlas.adopt(net, theirs) is net
    assert same(numbers(net), [tensor.half() for tensor in counted(theirs).values()])


def test_a_convolution_that_sees_the_whole_map_is_a_fully_connected_layer():
    net = build("alexnet_owt", num_classes=3)
    state = {f"{i}.weight" if t.dim() > 1 else f"{i}.bias": t for i, t in enumerate(numbers(build("alexnet_owt", num_classes=3)))}
    dense = [name for name, tensor in state.items() if tensor.dim() == 2]
    folded = state | {dense[0]: state[dense[0]].unflatten(1, (256, 6, 6)), dense[2]: state[dense[2]][..., None, None]}
    assert same(numbers(adopt(net, folded)), state.values())
    with pytest.raises(Mistake, match=r"head.fc6.linear.weight is 4096 x 9216 here, but \w+.weight is 4096 x 96 x 96 in"):
        adopt(net, state | {dense[0]: state[dense[0]].unflatten(1, (96, 96))})


def changed(kind: str) -> dict[str, torch.Tensor]:
    """A state of resnet20 that does not fit."""
    state = {f"x{name}": tensor for name, tensor in build("resnet20").state_dict().items()}
    last = next(reversed(state))
    match kind:
        case "shape":
            state[last] = torch.ones(9)
        case "missing":
            del state[last]
        case "left over":
            state["extra"] = torch.ones(2, 3)
        case "integers":
            state[last] = torch.ones(10, dtype=torch.int64)
        case "kind":
            state = {name.replace("output.bias", "output.running_mean"): tensor for name, tensor in state.items()}
        case "sorted":
            state = dict(sorted(state.items()))
        case "meta":
            state[last] = torch.empty(10, device="meta")
    return state


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("shape", r"^tensor 97: head.output.bias is 10 here, but xhead.output.bias is 9 in the checkpoint\.$"),
        ("missing", r"^tensor 97: nothing is there for head.output.bias, 10: the checkpoint has 96 tensors, the network 97\.$"),
        ("left over", r"^tensor 98: extra, 2 x 3, is left over: the checkpoint has 98 tensors, the network 97\.$"),
        ("integers", r"^tensor 97: head.output.bias is 10 here, but xhead.output.bias is 10 of int64 in the checkpoint\.$"),
        ("kind", r"^tensor 97: head.output.bias is 10 here, but xhead.output.running_mean is 10 in the checkpoint\.$"),
        ("sorted", r"^tensor 1: .*sorted by name, not in the order of its layers; save it anew from the network\.$"),
        ("meta", r"^tensors on the meta device have no values"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(kind, message):
    net = build("resnet20")
    before = [tensor.clone() for tensor in numbers(net)]
    with pytest.raises(Mistake, match=message):
        adopt(net, changed(kind))
    assert same(numbers(net), before)


def test_auxiliary_classifiers_on_one_side_are_named():
    with torch.device("meta"):
        shapes = {aux: build("googlenet_bn", aux=aux).state_dict() for aux in (True, False)}
    given = {aux: {name: torch.zeros(t.shape, dtype=t.dtype) for name, t in state.items()} for aux, state in shapes.items()}
    with pytest.raises(Mistake, match=r"aux1.reduce.conv.weight .* auxiliary classifiers \(aux1, aux2\), the checkpoint has none"):
        adopt(build("googlenet_bn"), given[False])
    with pytest.raises(Mistake, match=r"head.output.weight .* auxiliary classifiers \(aux1, aux2\), the network has none"):
        adopt(build("googlenet_bn", aux=False), given[True])


def test_a_network_without_memory_cannot_adopt(theirs):
    with torch.device("meta"):
        net = build("mobilenet_v2")
    with pytest.raises(Mistake, match="on the meta device have no values"):
        adopt(net, theirs)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, zipped):
    mark, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({"w": Evil(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(Mistake, match=r"evil.pth holds more than tensors: \w+.system, which was not run"):
        read_weights(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # it would have
    assert mark.exists()


def test_code_in_plain_pickles_and_arrays_is_not_run(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil(mark)))
    numpy.savez(tmp_path / "evil.npz", w=numpy.array([Evil(mark)], dtype=object))
    for name in ("evil.pt", "evil.npz"):
        with pytest.raises(Mistake, match=name):
            read_weights(tmp_path / name)
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_whole_networks_and_other_things_are_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(Mistake, match=r"net.pt holds more than tensors: torch.nn.modules.linear.Linear, which was not run"):
        read_weights(tmp_path / "net.pt")
    for name, thing, message in (
        ("list", [torch.ones(1)], "holds something of type list, not tensors by name"),
        ("number", {"w": torch.ones(1), "epoch": 3}, "'epoch' is of type int"),
        ("nothing", {}, "holds no tensors"),
        ("sparse", {"w": torch.ones(2, 2).to_sparse()}, "'w' is no dense tensor"),
        ("unnamed", {7: torch.ones(1)}, "7 is no dense tensor under a name"),
    ):
        torch.save(thing, tmp_path / f"{name}.pt")
        with pytest.raises(Mistake, match=f"{name}.pt.*{message}"):
            read_weights(tmp_path / f"{name}.pt")


@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors"])
def test_damaged_empty_and_missing_files_are_named(tmp_path, theirs, suffix):
    path = save(tmp_path / f"x{suffix}", theirs)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[1:], b"hello, I am no checkpoint", bytes(100)):
        path.write_bytes(damaged)
        with pytest.raises(Mistake, match=rf"x{suffix} is damaged, or no"):
            read_weights(path)
    if suffix != ".safetensors":  # it has no sums
        path.write_bytes(content[: len(content) // 2] + bytes(64) + content[len(content) // 2 + 64 :])
        with pytest.raises(Mistake, match=rf"x{suffix} is damaged"):
            read_weights(path)
    path.write_bytes(b"")
    with pytest.raises(Mistake, match=rf"x{suffix} is empty"):
        read_weights(path)
    path.unlink()
    with pytest.raises(Mistake, match=rf"x{suffix} cannot be read: No such file"):
        read_weights(path)
    path.mkdir()
    with pytest.raises(Mistake, match=rf"x{suffix} cannot be read: Is a directory"):
        read_weights(path)


@pytest.mark.filterwarnings("ignore")  # torch deprecates what it is still given
def test_programs_are_refused(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "x.pt")
    with pytest.raises(Mistake, match=r"x.pt is a TorchScript program"):
        read_weights(tmp_path / "x.pt")


def test_an_npy_file_under_another_name_is_refused(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        numpy.save(file, numpy.ones(3))
    with pytest.raises(Mistake, match=r"x.npz is damaged, or no .npz file"):
        read_weights(tmp_path / "x.npz")


def test_twins():
    assert twins("vgg11") == ["vgg11_lrn"]
    assert twins("mobilenet_v1_relu6") == [f"mobilenet_v1{size}" for size in ("", "_192", "_160", "_128")]
    assert twins("mobilenet_v1") == ["mobilenet_v1_relu6"]  # the others are the same network, for smaller pictures
    assert twins("densenet121") == []
    assert twins("resnet50") == ["resnet50_v1_5"]


def test_the_command(convatlas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = partial(convatlas, "adopt")
    save(tmp_path / "x.pth", build("plain20").state_dict())
    done = run("resnet20", "x.pth", "--json")
    assert done.returncode == 0, done.stderr
    about = {"model": "resnet20", "file": "x.pth", "out": "x.safetensors", "tensors": 97, "parameters": 269_722, "twins": ["plain20"]}
    assert json.loads(done.stdout) == about
    assert done.stderr.startswith("convatlas: plain20 would have taken them as well")
    assert {path.name for path in tmp_path.iterdir()} == {"x.pth", "x.safetensors"}
    again = run("resnet20", "x.pth")
    assert again.returncode == 2
    assert "x.safetensors is there already and is not overwritten" in again.stderr
    wrong = run("resnet32", "x.pth", "--out", "y.safetensors")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("convatlas: x.pth does not fit resnet32: tensor ")
    assert {path.name for path in tmp_path.iterdir()} == {"x.pth", "x.safetensors"}
