"""A lean twin compiled by OpenVINO, which this file alone knows of (the extra `fast`).

A batch goes through it in chunks: of a few pictures, all maps stay in the processor's cache. Chunks go to `streams`, groups of
threads that each work on one at a time: two streams of one thread do not wait for one another as two threads do after each layer.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from math import prod
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import openvino as ov
from numpy.typing import NDArray

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}  # of what is not quantised


class Compiled:
    """(N, C, H, W) float32, or what else the model takes, to (N, classes) float32, for any N."""

    def __init__(self, model: ov.Model | Path, precision: str, chunk: int, streams: int = 1, threads: int = 0, cache: Path | None = None):
        """`model` for any number of pictures, or a file of one for `chunk` of them, which `shaped` made."""
        what = model if isinstance(model, Path) else shaped(model, chunk)
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
        }
        core = ov.Core()
        if cache is not None:
            core.set_property({"CACHE_DIR": str(cache)})
        self.net, self.chunk = core.compile_model(what, "CPU", settings), chunk
        self.classes = prod(self.net.output().shape[1:])
        self.requests = [self.net.create_infer_request() for _ in range(streams)]
        self.alone = self.net.create_infer_request()

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        x = np.ascontiguousarray(x)
        if len(x) == self.chunk:  # by this thread: another one's, and tensors of its own, cost tens of microseconds
            self.alone.set_input_tensor(ov.Tensor(x, shared_memory=True))
            self.alone.infer()
            return self.alone.get_output_tensor().data.reshape(self.chunk, -1).copy()
        answers = np.empty((len(x), self.classes), np.float32)
        whole = len(x) // self.chunk * self.chunk
        self.run(x[:whole], answers[:whole])
        if rest := len(x) - whole:
            padded, said = np.zeros((self.chunk, *x.shape[1:]), x.dtype), np.empty((self.chunk, self.classes), np.float32)
            padded[:rest] = x[whole:]
            self.run(padded, said)
            answers[whole:] = said[:rest]
        return answers

    def run(self, x: NDArray[Any], answers: NDArray[np.float32]) -> None:
        """Every chunk through whichever request is free; what they say is written straight into `answers`."""
        starts = range(0, len(x), self.chunk)
        for i, start in enumerate(starts):
            request = self.requests[i % len(self.requests)]
            request.wait()
            request.set_input_tensor(ov.Tensor(x[start : start + self.chunk], shared_memory=True))
            request.set_output_tensor(ov.Tensor(answers[start : start + self.chunk], shared_memory=True))
            request.start_async()
        for request in self.requests[: len(starts)]:
            request.wait()


def shaped(model: ov.Model, chunk: int) -> ov.Model:
    """The model for so many pictures at a time."""
    copy = model.clone()
    copy.reshape([chunk, *list(copy.input().partial_shape)[1:]])
    return copy


def has_bf16() -> bool:
    """Whether the processor has instructions for bfloat16."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def convert(twin: Any, shape: Sequence[int]) -> ov.Model:
    """OpenVINO's model of a twin, for pictures (C, H, W) of this `shape` and any number of them.

    By a trace: what torch.export gives is the same model, a second later.
    """
    import torch

    with torch.no_grad(), catch_warnings(action="ignore"):  # of what a trace cannot see, as tests do
        traced = torch.jit.trace(twin, torch.zeros(2, *shape), check_trace=False)
    model = ov.convert_model(traced, input=[-1, *shape])
    model.output().set_names({"scores"})
    return model


def of_pixels(model: ov.Model, mean: Iterable[float], std: Iterable[float]) -> ov.Model:
    """The model for pictures as they come, (N, H, W, C) uint8, of which it takes (x / 255 - mean) / std itself."""
    prepared = ov.preprocess.PrePostProcessor(model.clone())
    pixels = prepared.input()
    pixels.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    pixels.model().set_layout(ov.Layout("NCHW"))
    pixels.preprocess().convert_element_type(ov.Type.f32).mean([255 * m for m in mean]).scale([255 * s for s in std])
    return prepared.build()


def quantised(model: ov.Model, pictures: NDArray[np.float32], depthwise: bool = True) -> ov.Model:
    """The model with its products in int8: weights by filter, maps as wide as they come on pictures (N, C, H, W) as it takes them.

    Without those of `depthwise` convolutions, if so asked.
    """
    import nncf

    spared = [] if depthwise else ["GroupConvolution"]
    with redirect_stdout(StringIO()):  # where it shows its progress; the output belongs to answers
        return nncf.quantize(model, nncf.Dataset(one_by_one(pictures)), subset_size=len(pictures), **how(spared))


def quantised_with_care(model: ov.Model, pictures: NDArray[np.float32], checked: NDArray[np.float32], agreement: float) -> ov.Model:
    """The same, but as many layers stay in float as it takes to name the model's class of a share of `agreement` of `checked`.

    Those that change the answers most, first.
    """
    import nncf

    named = zip(one_by_one(checked), Compiled(model, "fp32", 1)(checked).argmax(1), strict=True)

    def agree(net: ov.CompiledModel, named: Iterable[Any]) -> tuple[float, list[float]]:
        right = [float(net(picture)[0].argmax() == name) for picture, name in named]
        return sum(right) / len(right), right

    with redirect_stdout(StringIO()):
        return nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(one_by_one(pictures)),
            nncf.Dataset([*named], lambda pair: pair[0]),
            agree,
            max_drop=1 - agreement,
            subset_size=len(pictures),
            **how(),
        )


def one_by_one(pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [pictures[i : i + 1] for i in range(len(pictures))]


def how(spared: Sequence[str] = ()) -> dict[str, Any]:
    """What all calls of NNCF have in common: response normalisation stays in float, and so do layers of the types `spared`.

    NNCF's log, which it writes among a program's answers, is for errors only from now on.
    """
    import nncf

    from ..models.lean import BANDED

    nncf.set_log_level(logging.ERROR)
    scope = nncf.IgnoredScope(types=list(spared), patterns=[f".*{BANDED}[./].*"], validate=False)
    return {"preset": nncf.QuantizationPreset.MIXED, "target_device": nncf.TargetDevice.CPU, "ignored_scope": scope}
