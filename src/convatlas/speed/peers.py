"""The ways in which a network may answer: `fast`, and what its peers offer, each as users run it and tuned.

`eager`, `timm`, `openvino` and `onnxruntime` are a network handed over as their pages' first example has it; the others are tuned:
`channels last` with an allocator that keeps its memory, `compile` with frozen weights, `openvino streams` a picture at a time on as
many streams as there are cores. Peers run torchvision's network; where it has none of the kind, ours, as it stands. Weights are fresh, the
same for all but timm's, and pictures noise: neither changes how long an answer takes. But such weights answer next to nothing to anything,
so how exact bfloat16 and int8 are is not asked here, of nobody; tests ask that, and bench/int8.py of trained networks and real pictures.
In int8, all are set by the same noise.

Run as a module, this is one side of a measurement: python -m convatlas.speed.peers SIDE MODEL BATCH THREADS.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import torch
from torch import Tensor, nn

from ..inference.choose import BOUNDS, Fast, fast
from ..machine import give_back_memory, keep_memory
from ..models import build
from ..models.net import Net
from ..weights import TIMM, TORCHVISION, adopt
from .turns import work

SET_BY = 8  # noise pictures, in int8: how wide maps come does not change how long they take

# Each side's precision, and the package that it needs; those that are mostly fastest before others, which are then ended as soon as they
# are set up.
SIDES = {
    "fast fp32": ("fp32", "torch"), "fast bf16": ("bf16", "torch"), "fast int8": ("int8", "nncf"), "plain fp32": ("fp32", "torch"),
    "plain bf16": ("bf16", "torch"),
    "eager": ("fp32", "torchvision"), "openvino": ("fp32", "openvino"), "openvino bf16": ("bf16", "openvino"),
    "openvino int8": ("int8", "nncf"), "timm": ("fp32", "timm"), "channels last": ("fp32", "torchvision"),
    "channels last bf16": ("bf16", "torchvision"), "compile": ("fp32", "torchvision"), "compile bf16": ("bf16", "torchvision"),
    "onnxruntime": ("fp32", "onnxruntime"), "onnxruntime int8": ("int8", "onnxruntime"),
    "openvino streams": ("fp32", "openvino"), "openvino streams bf16": ("bf16", "openvino"), "openvino streams int8": ("int8", "nncf"),
}  # fmt: skip
OURS = ("fast fp32", "fast bf16", "fast int8", "plain fp32", "plain bf16")

Way = Callable[[], object]


def there(side: str) -> bool:
    """Whether what a side needs is installed."""
    return find_spec(SIDES[side][1]) is not None


def network(model: str, library: str = "torchvision") -> nn.Module:
    """torchvision's or timm's network that computes what ours does, or ours. Its weights are the same in every process."""
    torch.manual_seed(0)
    names = TIMM if library == "timm" else TORCHVISION
    if model not in names:
        return build(model).eval()
    if library == "timm":
        import timm

        return timm.create_model(names[model]).eval()
    import torchvision

    return torchvision.models.get_model(names[model], **({"init_weights": False} if model.startswith("googlenet") else {})).eval()


def ours(model: str) -> Net:
    """Ours with the weights that `network` has from torchvision: in int8, OpenVINO's choice of kernels depends on them."""
    torch.manual_seed(0)
    net = build(model).eval()
    return adopt(net, network(model).state_dict()) if model in TORCHVISION and find_spec("torchvision") else net


def way(side: str, model: str, batch: int) -> tuple[Way, dict[str, Any]]:
    """What answers one batch, set up, and what there is to say of it."""
    precision, net = SIDES[side][0], ours(model)
    size, colours = net.size, next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))
    torch.manual_seed(1)
    x, noise = torch.randn(batch, colours, size, size), torch.randn(SET_BY, colours, size, size)
    if side in OURS:
        return by_us(side, net, x, noise)
    net = network(model, "timm" if side == "timm" else "torchvision")
    if side in ("eager", "timm"):
        return lambda: net(x), {}
    if side.startswith("openvino"):
        return by_openvino(net, x, precision, noise, "streams" in side), {}
    if side.startswith("onnxruntime"):
        return by_onnxruntime(net, x, noise if precision == "int8" else None), {}
    keep_memory()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    net, x = net.to(dtype=dtype, memory_format=torch.channels_last), x.to(dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if side.startswith("compile"):
        import torch._inductor.config as inductor

        inductor.freezing = True
        net = torch.compile(net)
    return lambda: net(x), {}


def by_us(side: str, net: nn.Module, x: Tensor, noise: Tensor) -> tuple[Way, dict[str, Any]]:
    precision = SIDES[side][0]
    if side.startswith("plain"):  # what there is without the extra
        from ..inference.plain import Plain
        from ..models.lean import lean

        keep_memory()
        plain = Plain(lean(net), precision)
        return lambda: plain(x), {}
    calibration = noise if precision == "int8" else None
    twin: Fast = fast(net, precision, len(x), x.shape[2], calibration=calibration, agreement=0.0, bounds=BOUNDS | {"bf16": inf})
    return lambda: twin(x), asdict(twin.plan)


def by_openvino(net: nn.Module, x: Tensor, precision: str, noise: Tensor, streams: bool) -> Way:
    import openvino as ov

    pictures = x.numpy()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
        "PERFORMANCE_HINT": "THROUGHPUT" if streams else "LATENCY",
    }
    shown = x[:1] if streams else x
    with catch_warnings(action="ignore", category=FutureWarning):  # of torch, at how OpenVINO reads its networks
        model = ov.convert_model(net, example_input=shown, input=[-1, *x.shape[1:]])
    if precision == "int8":
        from ..inference.openvino import quantised

        model = quantised(model, noise.numpy())
    model.reshape(list(shown.shape))
    compiled = ov.compile_model(model, "CPU", settings)
    if not streams:
        return lambda: compiled(pictures)
    queue, said = ov.AsyncInferQueue(compiled), [None] * len(pictures)

    def keep(request: Any, i: int) -> None:
        said[i] = request.get_output_tensor().data.copy()

    queue.set_callback(keep)

    def run() -> None:
        for i in range(len(pictures)):
            queue.start_async([pictures[i : i + 1]], i)
        queue.wait_all()

    return run


def by_onnxruntime(net: nn.Module, x: Tensor, noise: Tensor | None) -> Way:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        torch.onnx.export(net, (x,), path, dynamo=True, external_data=False, verbose=False)
        if noise is not None:
            path = quantised_by_onnxruntime(path, x, noise)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    pictures, name = np.ascontiguousarray(x.numpy()), session.get_inputs()[0].name
    return lambda: session.run(None, {name: pictures})


def quantised_by_onnxruntime(path: Path, x: Tensor, noise: Tensor) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [noise.repeat(-(-len(x) // len(noise)), 1, 1, 1)[: len(x)].numpy()]

        def get_next(self) -> dict[str, Any] | None:  # pyright: ignore[reportIncompatibleMethodOverride]: None ends it
            return {name: self.left.pop()} if self.left else None

    import onnx

    name = onnx.load(path).graph.input[0].name
    whole, done = path.with_name("prepared.onnx"), path.with_name("int8.onnx")
    quant_pre_process(path, whole)
    quantize_static(whole, done, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, weight_type=QuantType.QInt8)
    return done


def resident() -> float | None:
    """Megabytes of memory that this process holds; None where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
    except OSError:
        return None


def answers(side: str, model: str, batch: int) -> Iterator[object]:
    with torch.inference_mode():
        ask, about = way(side, model, batch)
        give_back_memory()  # of what only setting up took
        ask()
        yield {**about, "mb": resident()}
        while True:
            yield ask()


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[4]))
    with tempfile.TemporaryDirectory() as nothing:
        os.environ["XDG_CACHE_HOME"] = nothing  # so that all are set up anew
        work(answers(sys.argv[1], sys.argv[2], int(sys.argv[3])))
