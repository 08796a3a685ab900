"""A lean twin on an NVIDIA card: the plain one, recorded as a CUDA graph and played for each chunk, so that no kernel waits for Python."""

import torch
from torch import Tensor, fx

from .plain import Plain

WARM = 3  # runs before the recording, in which libraries choose their kernels


class Graphed:
    """(N, C, H, W) float32 on the card to (N, classes) float32 there, for any N, `chunk` at a time."""

    def __init__(self, twin: fx.GraphModule, precision: str, chunk: int, shape: tuple[int, ...]):
        device = next(twin.parameters()).device
        run, self.chunk = Plain(twin, precision), chunk
        self.given = torch.zeros(chunk, *shape, device=device)
        beside = torch.cuda.Stream(device)
        beside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(beside):
            for _ in range(WARM):
                run(self.given)
        torch.cuda.current_stream(device).wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.said = run(self.given)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        answers = []
        for part in x.split(self.chunk):
            self.given[: len(part)].copy_(part)
            self.graph.replay()
            answers.append(self.said[: len(part)].clone())
        return torch.cat(answers) if answers else self.said[:0].clone()
