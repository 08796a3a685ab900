"""The verbs for shipping a network: export, bench."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, complain, print_json, table

Flag = Parameter(negative=())


def export(
    what: str,
    *,
    to: Annotated[str, Parameter(help='"onnx", "torch", "openvino" (the extra `fast`) or "executorch" (the extra `mobile`).')] = "onnx",
    out: Path | None = None,
    weights: str | None = None,
    offline: Annotated[bool, Flag] = False,
    json: Json = False,
) -> None:
    """Write a trained network for another engine: `convatlas export efficientnet_lite0 --to onnx`.

    It takes any number of pictures at once. Their preparation and the classes' names are in the file's metadata. The file is run and
    compared with the network before it is called done.

    Parameters
    ----------
    what
        A network from `convatlas weights`, or a run's folder.
    out
        The file; by default the network's name with the form's ending, here.
    weights
        Other weights for the network, as `convatlas predict` takes them.
    offline
        Do not ask the network for weights that are not here. CONVATLAS_OFFLINE=1 does the same.
    """
    from ..export import FORMS
    from ..export import export as exported
    from .use import opened

    if to not in FORMS:
        raise Mistake(f"no form {to!r}; there are: {', '.join(FORMS)}.")
    folder = Path(what) if (Path(what) / "recipe.json").exists() else None
    with busy(f"{what} as {to}"):
        trained = opened(folder, None if folder else what, weights, offline)
        done = exported(trained, to, out or Path(trained.name.replace("/", "-") + FORMS[to][0]))
    if json:
        print_json({"file": str(done.file), "form": done.form, "bytes": done.bytes, "apart": done.apart})
    else:
        print(f"{done.file} is written, {done.bytes / 1e6:.1f} MB. Its scores are the network's, to {done.apart:.0e} of the largest.")


def bench(
    *models: str,
    batch: str = "1,32",
    peers: Annotated[bool, Flag] = False,
    rounds: int = 3,
    out: Path | None = None,
    json: Json = False,
) -> None:
    """How fast networks answer on this machine, beside what it can do at most: `convatlas bench resnet18 --peers`.

    Milliseconds for a batch, the median; 95 and 99 of a hundred answers take no longer than p95 and p99. Run it on an idle machine.
    Nothing is remembered, before or after.

    Parameters
    ----------
    models
        Networks from `convatlas models`.
    batch
        Pictures at once; several numbers, with commas, are measured one after another.
    peers
        Beside torchvision, timm, torch.compile, ONNX Runtime and OpenVINO, as far as they are installed, all in turns.
    rounds
        How often each takes its turn.
    out
        A folder for bench.json, roofline.svg and, of networks with published accuracies, balls.svg.
    """
    import torch

    from ..models import MODELS
    from ..speed.ceilings import ceilings
    from ..speed.measure import measure
    from ..speed.peers import OURS, SIDES, there

    if not models:
        raise Mistake("name at least one network from: convatlas models.")
    if unknown := [model for model in models if model not in MODELS]:
        raise Mistake(f"no model {unknown[0]!r}; there are: {', '.join(MODELS)}.")
    sides, sizes = [side for side in (SIDES if peers else OURS) if there(side)], numbers(batch)
    if rounds < 1:
        raise Mistake(f"--rounds is {rounds}; it must be at least 1.")
    rows: list[Any] = []
    with busy("the machine itself") as say:
        limits = ceilings()
        for model in models:
            for size in sizes:
                for found in measure(model, size, sides, rounds, torch.get_num_threads()):
                    say(found) if isinstance(found, str) else rows.append(found)
    if out:
        write(out, rows, limits)
    if json:
        print_json({"ceilings": limits, "rows": rows})
        return
    print("at most " + ", ".join(f"{name} {value:,.0f} {'GB/s' if name == 'copy' else 'GFLOP/s'}" for name, value in limits.items()))
    for row in rows:
        print_row(row, limits)


def numbers(text: str) -> list[int]:
    found = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(0 < n <= 1024 for n in found):
        raise Mistake(f"--batch takes numbers from 1 to 1024, with commas between them, not {text!r}.")
    return found


def busy(text: str) -> Any:
    """On a terminal, what is being done, with a sign of life; gives what changes the text."""
    from contextlib import contextmanager

    from rich.console import Console

    console = Console(stderr=True)

    @contextmanager
    def shown() -> Any:
        if console.is_terminal:
            with console.status(text) as status:
                yield status.update
        else:
            yield lambda _: None

    return shown()


def print_row(row: dict[str, Any], limits: dict[str, float]) -> None:
    from ..speed.peers import SIDES

    cells, about = [], f"{row['model']}, batch {row['batch']}"
    for side, found in sorted(row["sides"].items(), key=lambda item: item[1].get("ms", float("inf"))):
        if "error" in found:
            complain(f"{about}: {side} failed.")
            continue
        precision = SIDES[side][0]
        plan = " ".join(str(found[key]) for key in ("engine", "precision") if key in found)
        plan += f", {found['chunk']} x {found['streams']}" if "chunk" in found else ""
        reached = f"{100 * found['gflops'] / limits[precision]:.0f} %" if precision in limits else ""
        cells.append([
            side, precision, f"{found['ms']:.2f}", f"{found['p95']:.2f}", f"{found['p99']:.2f}", f"{found['images_per_s']:,.1f}", reached,
            f"{found['start_s']:.1f}", f"{found['mb']:.0f}" if found["mb"] else "", plan,
        ])  # fmt: skip
    print(f"\n{about}")
    table(["way", "", "ms", "p95", "p99", "images/s", "of limit", "start s", "MB", "how"], cells)
    for demand, best in row["best"].items():
        if "ratio" in best:
            print(f"{demand}: {best['ours']} is {best['ratio']:.2f} times as fast as the best peer, {best['peer']}")


def write(out: Path, rows: list[dict[str, Any]], limits: dict[str, float]) -> None:
    import json as json_

    from ..analysis import analyse
    from ..disk import whole
    from ..machine import environment
    from ..models import build
    from ..pretrained import of
    from ..speed.charts import balls, roofline

    out.mkdir(parents=True, exist_ok=True)
    with whole(out / "bench.json") as draft:
        draft.write_text(json_.dumps({"ceilings": limits, "rows": rows, "environment": environment()}, indent=1) + "\n")
    roofline(rows, limits, out / "roofline.svg")
    accurate = {
        row["model"]: max(w.top1 for w in found if w.top1) for row in rows if (found := of(row["model"])) and any(w.top1 for w in found)
    }
    if accurate:
        costs = {model: analyse(build(model)) for model in accurate}
        points = [
            {"model": model, "top1": top1, "macs": costs[model].macs, "parameters": costs[model].parameters}
            for model, top1 in accurate.items()
        ]
        balls(points, out / "balls.svg")
