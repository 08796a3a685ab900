"""The networks that answer: which there are on this machine, opened when first asked for, each with its fast twin."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from .batcher import Batcher
from .facts import TORCH

if TYPE_CHECKING:
    from torch import Tensor

    from ..inference.choose import Fast
    from ..trained import Trained

OPEN = 4  # networks at a time
BATCH = 32


@dataclass
class Host:
    """A network in use. Its `batcher` takes pictures in place (N, size, size, channels) uint8."""

    trained: "Trained"
    batcher: Batcher

    def placed(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (H, W, channels) in place, (size, size, channels)."""
        if picture.shape[2] != self.trained.channels:
            raise HTTPException(422, f"{self.trained.name} takes pictures of {self.trained.channels} channels.")
        if self.trained.photo is not None:
            return self.trained.photo.placed(picture)
        import torch

        placed = self.trained.place(torch.from_numpy(picture).permute(2, 0, 1).contiguous())
        return self.trained.preprocess.place(placed[None])[0].permute(1, 2, 0).numpy()


def normalised(trained: "Trained", placed: NDArray[np.uint8]) -> "Tensor":
    """Pictures in place (N, size, size, channels) as the network takes them."""
    import torch

    return trained.preprocess(torch.from_numpy(placed).permute(0, 3, 1, 2).contiguous())


def answering(trained: "Trained", twin: "Fast") -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Scores of pictures in place; OpenVINO takes a photo's pixels as they are."""
    if twin.model is not None and trained.photo is not None:
        import torch

        from ..inference.openvino import Compiled, of_pixels

        plan, model = twin.plan, of_pixels(twin.model, trained.photo.mean, trained.photo.std)
        return Compiled(model, plan.precision, plan.chunk, plan.streams, torch.get_num_threads())

    def answer(placed: NDArray[np.uint8]) -> NDArray[np.float32]:
        with TORCH if twin.plan.engine == "plain" else nullcontext():
            return twin.way(normalised(trained, placed)).numpy()

    return answer


class Hosts:
    """`runs` is the folder whose finished runs answer as well, by their names; `precision` as in convatlas.fast."""

    def __init__(self, runs: Path, precision: str = "auto", budget: float = 1.0, tried: bool = False, calibration: Path | None = None):
        self.runs, self.precision, self.budget, self.tried, self.calibration = runs, precision, budget, tried, calibration
        self.open: OrderedDict[str, Host] = OrderedDict()
        self.first = ""  # whom those ask who name nobody, once that is known
        self.lock = threading.Lock()

    def available(self) -> dict[str, dict[str, Any]]:
        """Names of what can be asked, and what each is: weights that are on this machine, and runs that are finished."""
        from ..pretrained import here, table

        found = {
            w.model: {"model": w.model, "weights": name, "top1": w.top1, "size": w.photo.size}
            for name, w in reversed(table().items())
            if here(w)
        }
        for folder in sorted(self.runs.iterdir()) if self.runs.is_dir() else ():
            if (folder / "result.json").exists():
                found[folder.name] = {"model": folder.name, "run": True}
        return found

    def used(self, name: str) -> Host | None:
        """The network of this name if it is open: of those, the one that was not used for longest makes room for another."""
        try:
            self.open.move_to_end(name)
            return self.open[name]
        except KeyError:
            return None

    def get(self, name: str | None) -> Host:
        """The network of this name, by default the first there is. Raises HTTPException 404. Takes seconds where it is not open yet."""
        if name and (host := self.used(name)):
            return host
        known = self.available()
        if not known:
            raise HTTPException(404, "no network has weights on this machine: see convatlas weights.")
        if not name:
            name = self.first = "efficientnet_lite0" if "efficientnet_lite0" in known else next(iter(known))
        if name not in known:
            raise HTTPException(404, f"no network {name!r} here; there are: {', '.join(known)}.")
        with self.lock:
            if name not in self.open:
                self.open[name] = self.made(name, known[name])
                while len(self.open) > OPEN:
                    self.open.popitem(last=False)[1].batcher.close()
            return self.open[name]

    def made(self, name: str, what: dict[str, Any]) -> Host:
        from ..inference.choose import fast
        from ..machine import give_back_memory
        from ..trained import of_run, of_weights

        with TORCH:
            trained = of_run(self.runs / name) if what.get("run") else of_weights(name, offline=True)
            pictures = self.real(trained) if self.precision == "int8" else None
            twin = fast(trained.net, self.precision, BATCH, trained.preprocess.size, calibration=pictures, tried=self.tried)

        answer = answering(trained, twin)
        del twin
        give_back_memory()
        return Host(trained, Batcher(answer, BATCH, budget=self.budget))

    def real(self, trained: "Trained") -> Any:
        """Pictures for int8, from the folder that the service was given."""
        import torch

        from ..data.pictures import read_picture
        from ..mistake import Mistake
        from ..pixels import expanded

        if self.calibration is None:
            raise Mistake("int8 needs real pictures: name a folder of some hundred by --calibration.")
        files = expanded([str(self.calibration)])[:512]
        return torch.cat([trained.preprocess(trained.place(read_picture(file, trained.channels))[None]) for file in files])
