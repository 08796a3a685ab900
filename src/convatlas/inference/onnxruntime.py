"""A lean twin run by ONNX Runtime, which this file alone knows of (the extra `fast`); in float32, the only one its processor engine has.

As by OpenVINO, a batch goes through in chunks, on `streams` threads that each run one at a time.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class Session:
    """(N, C, H, W) float32 to (N, classes) float32, for any N."""

    def __init__(self, model: bytes, chunk: int, streams: int = 1, threads: int = 0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads // streams) if threads else 0
        self.net, self.chunk = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]), chunk
        self.name = self.net.get_inputs()[0].name
        self.pool = ThreadPoolExecutor(streams) if streams > 1 else None

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        x = np.ascontiguousarray(x)
        chunks = [x[start : start + self.chunk] for start in range(0, len(x), self.chunk)] or [x]
        return np.concatenate(list(self.pool.map(self.run, chunks) if self.pool else map(self.run, chunks)))

    def run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.net.run(None, {self.name: x})[0])


def convert(twin: Any, shape: Sequence[int]) -> bytes:
    """The ONNX model of a twin, for pictures (C, H, W) of this `shape` and any number of them."""
    import torch
    from torch.export import Dim

    program = torch.onnx.export(
        twin,
        (torch.zeros(2, *shape),),
        input_names=["pictures"],
        output_names=["scores"],
        dynamic_shapes=({0: Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    return program.model_proto.SerializeToString()  # pyright: ignore[reportOptionalMemberAccess]: dynamo gives one
