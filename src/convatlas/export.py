"""A trained network as a file for another engine, which runs it and is compared with the network before the file counts as done.

Every file takes "pictures", float32 (N, C, H, W), and gives "scores", (N, classes). What a picture goes through before, and what the
classes are called, is in the file: entry "convatlas" of ONNX's metadata, of OpenVINO's runtime information, and of the extra
files of PyTorch's archive. ExecuTorch's form has no place for it, so it is in a file beside, and takes up to `MOST` pictures at once.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import torch
from torch import Tensor, fx
from torch.export import Dim

from .disk import named, whole
from .mistake import Mistake
from .models.lean import lean
from .trained import Trained

BOUND = 1e-4  # how far the scores may be apart, as a share of the largest
MOST = 64
COUNTS = (1, 3)  # pictures that each file is asked about


@dataclass(frozen=True)
class Exported:
    """`apart`: the largest difference of its scores from the network's, as a share of the largest score."""

    file: Path
    form: str
    bytes: int
    apart: float


Write = Callable[[fx.GraphModule, Tensor, str, Path], None]
Run = Callable[[Path, Tensor], Tensor]


def export(trained: Trained, form: str, file: Path) -> Exported:
    """Writes a network into `file`, as "onnx", "torch", "openvino" or "executorch".

    It is the lean twin, its norms folded (models/lean.py). Raises Mistake for another form, a package that is not installed, a name
    with another ending, and scores that are not the network's; then there is no file.
    """
    if form not in FORMS:
        raise Mistake(f"no form {form!r}; there are: {', '.join(FORMS)}.")
    ending, write, run = FORMS[form]
    if file.suffix != ending:
        raise Mistake(f"{file} must end in {ending}.")
    if not file.parent.is_dir():
        raise Mistake(f"{file.parent} is not a folder.")
    shape = (trained.channels, trained.preprocess.size, trained.preprocess.size)
    draft = Path(tempfile.mkdtemp(dir=file.parent, prefix=".draft"))
    try:
        write(lean(trained.net), torch.zeros(2, *shape), json.dumps(about(trained), ensure_ascii=False), draft / file.name)
        apart = max(distance(trained, lambda x: run(draft / file.name, x), torch.randn(n, *shape)) for n in COUNTS)
        if not apart <= BOUND:
            raise Mistake(f"{trained.name} as {form} gives other scores: {apart:.1e} of the largest apart. No file was written.")
        parts = sorted(draft.iterdir(), key=lambda part: part.name == file.name)  # itself last: who sees it finds all of it
        for part in parts:
            with named(file.parent / part.name):
                part.replace(file.parent / part.name)
    except ImportError as error:
        raise Mistake(f"{form} needs a package that is not here ({error.name}): pip install 'convatlas[{EXTRAS[form]}]'.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Exported(file, form, sum((file.parent / part.name).stat().st_size for part in parts), apart)


@torch.inference_mode()
def distance(trained: Trained, run: Callable[[Tensor], Tensor], x: Tensor) -> float:
    wanted = trained.net(x)
    return float((run(x) - wanted).abs().max() / wanted.abs().max())


def about(trained: Trained) -> dict[str, Any]:
    """What one has to know to use the scores, as plain values."""
    return {
        "convatlas": version("convatlas"),
        "name": trained.name,
        "classes": trained.classes,
        "channels": trained.channels,
        "preprocess": asdict(trained.preprocess),
        "photo": asdict(trained.photo) if trained.photo else None,
        "protocol": trained.protocol,
    }


def program(twin: fx.GraphModule, example: Tensor, most: int | None = None) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(twin, (example,), dynamic_shapes=({0: Dim("batch", max=most)},))


def write_onnx(twin: fx.GraphModule, example: Tensor, told: str, file: Path) -> None:
    import onnx

    from .inference.onnxruntime import convert

    model = onnx.load_from_string(convert(twin, example.shape[1:]))
    onnx.helper.set_model_props(model, {"convatlas": told})
    onnx.checker.check_model(model)
    onnx.save(model, file)


def run_onnx(file: Path, x: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(["scores"], {"pictures": x.numpy()})[0]))


def write_torch(twin: fx.GraphModule, example: Tensor, told: str, file: Path) -> None:
    torch.export.save(program(twin, example), file, extra_files={"convatlas": told})


def run_torch(file: Path, x: Tensor) -> Tensor:
    return torch.export.load(file).module()(x)


def write_openvino(twin: fx.GraphModule, example: Tensor, told: str, file: Path) -> None:
    import openvino as ov

    from .inference.openvino import convert

    model = convert(twin, example.shape[1:])
    model.input().set_names({"pictures"})
    model.output().set_names({"scores"})
    model.set_rt_info(told, "convatlas")
    ov.save_model(model, file, compress_to_fp16=False)


def run_openvino(file: Path, x: Tensor) -> Tensor:
    import openvino as ov

    compiled = ov.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(compiled({"pictures": x.numpy()})["scores"])


def write_executorch(twin: fx.GraphModule, example: Tensor, told: str, file: Path) -> None:
    with catch_warnings(action="ignore", category=DeprecationWarning):  # of the packages that it needs
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # pyright: ignore[reportMissingImports]
        from executorch.exir import to_edge_transform_and_lower  # pyright: ignore[reportMissingImports]

        lowered = to_edge_transform_and_lower(program(twin, example, MOST), partitioner=[XnnpackPartitioner()]).to_executorch()
    file.write_bytes(lowered.buffer)
    with whole(file.with_suffix(".json")) as draft:
        draft.write_text(told + "\n", encoding="utf-8")


def run_executorch(file: Path, x: Tensor) -> Tensor:
    with catch_warnings(action="ignore"):  # that it is experimental
        from executorch.runtime import Runtime  # pyright: ignore[reportMissingImports]

        return Runtime.get().load_program(file).load_method("forward").execute([x])[0]  # pyright: ignore[reportOptionalMemberAccess]


FORMS: dict[str, tuple[str, Write, Run]] = {
    "onnx": (".onnx", write_onnx, run_onnx),
    "torch": (".pt2", write_torch, run_torch),
    "openvino": (".xml", write_openvino, run_openvino),
    "executorch": (".pte", write_executorch, run_executorch),
}
EXTRAS = {"onnx": "fast", "torch": "", "openvino": "fast", "executorch": "mobile"}
