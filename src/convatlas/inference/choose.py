"""The fastest way to run a network here: every engine is tried, and those that are exact enough race."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from ..machine import give_back_memory, keep_memory
from ..mistake import Mistake
from ..models.lean import lean
from .plain import Plain
from .plans import Plan, Way, finer, first_plans, installed, key, likely, race, recall, remember

if TYPE_CHECKING:
    import openvino as ov

BOUNDS = {"fp32": 1e-4, "bf16": 2e-2}  # how far a twin's answers may be from the network's, as a share of the largest score
AGREED = 0.95  # share of real pictures of which an int8 twin must say what the network says
FEW = 4  # pictures of noise
CHECKED = 0.25  # of the calibration pictures: they only check


class Fast(nn.Module):
    """A twin of a trained network, for inference: float32 pictures (N, C, H, W), normalised as the network takes them, to (N, classes).

    `plan` is how it runs, and `seconds` what each way took that was tried; nothing, where the choice was remembered. `model` is what
    OpenVINO runs, if it does. It has no weights that torch knows of: it cannot be moved, trained or saved.
    """

    def __init__(self, plan: Plan, engines: "Engines", way: Way, seconds: dict[Plan, float]):
        super().__init__()
        self.plan, self.way, self.seconds = plan, way, seconds
        self.model = engines.model_for(plan) if plan.engine == "openvino" else None

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x)


def fast(
    net: nn.Module,
    precision: str = "auto",
    batch: int = 1,
    size: int | None = None,
    pictures: Tensor | None = None,
    calibration: Tensor | None = None,
    agreement: float = AGREED,
    bounds: Mapping[str, float] = BOUNDS,
    tried: bool = True,
) -> Fast:
    """The fastest twin of `net` here for batches of `batch` pictures, found by trying and remembered for the next time.

    `precision` is "fp32", "bf16", "int8" or, for whichever is fastest, "auto". `size` is the pictures' height and width, by default the
    network's own. A network on a CUDA device has its twin there, plain or recorded as a graph. `pictures` (N, C, H, W) as the network
    takes them are what the twin is compared by, else noise: its answers must lie within `bounds` of the network's, by default 1e-4 (fp32)
    or 2e-2 (bf16), as a share of the largest. int8 (the extra `fast`) takes `calibration`, some hundred real pictures (N, C, H, W) as
    the network takes them: by most it learns how wide maps come, and of the last quarter it must name the network's class for a share
    of `agreement`, or else the layers that cost most of it stay in bfloat16; "auto" tries int8 only with these. If not `tried`,
    nothing races: the first is taken that is exact enough of those that are likely fastest, and is not remembered. Any number of
    pictures can be asked about later; `batch` of them are quickest. On Linux the process keeps its memory from now on
    (machine.keep_memory). Raises Mistake for another precision, for int8 without pictures, and where no way is exact enough.
    """
    precisions = (*BOUNDS, *(["int8"] if calibration is not None else [])) if precision == "auto" else (precision,)
    if unknown := {*precisions} - {*BOUNDS, "int8"}:
        raise Mistake(f"no precision {unknown.pop()!r}; there are: auto, {', '.join(BOUNDS)}, int8.")
    device = next(net.parameters()).device
    if device.type == "cuda":
        precisions = tuple(p for p in precisions if p != "int8" or precision == "int8")
    if "int8" in precisions and (calibration is None or device.type == "cuda" or not installed("nncf")):
        raise Mistake(
            "int8 needs `calibration`, some hundred real pictures, a processor, and the extra `fast`: pip install 'convatlas[fast]'."
        )
    keep_memory()
    net = deepcopy(net).eval() if net.training else net
    shape = (channels(net), *2 * (size or getattr(net, "size", 224),))
    engines = Engines(lean(net), shape, calibration, agreement)
    weights = [tuple(p.shape) for p in engines.twin.parameters()]
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    name = key(engines.twin.code, weights, shape, batch, *precisions, card, sorted(bounds.items()), agreement)
    noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    trust = Trust(net, noise[:FEW] if pictures is None else pictures.to(device), bounds, calibration, agreement)
    if (plan := recall(name)) and (ways := trust.of(engines.ways([plan]))):  # for other weights than these it may have been chosen
        return Fast(plan, engines, ways[plan], {})
    plans = first_plans(precisions, batch, device.type, engines.depthwise)
    found = raced(engines, plans, trust, noise, name) if tried else untried(engines, plans, trust)
    if found is None and precision == "int8":
        found = raced(engines, [Plan("openvino", "int8", batch, spared="sensitive")], trust, noise, name)
    del engines, trust
    give_back_memory()
    if found is None:
        raise Mistake(f"no way of {type(net).__name__} in {' or '.join(precisions)} is exact enough: try precision fp32.")
    return found


def untried(engines: "Engines", plans: list[Plan], trust: "Trust") -> Fast | None:
    """The first that is exact enough, of those that are likely fastest; None if none is."""
    for plan in likely(plans, engines.bf16):
        if ways := trust.of(engines.ways([plan])):
            return Fast(plan, engines, ways[plan], {})
    return None


def raced(engines: "Engines", plans: list[Plan], trust: "Trust", noise: Tensor, name: str) -> Fast | None:
    """The fastest of those that are exact enough, with the batch as a whole and then in chunks; it is remembered. None if none is."""
    ways = trust.of(engines.ways(plans))
    if not ways:
        return None
    seconds = race(ways, noise)
    best = min(seconds, key=seconds.__getitem__)
    if closer := finer(best, len(noise), torch.get_num_threads()):
        ways |= engines.ways(closer)
        seconds |= race({plan: ways[plan] for plan in (best, *closer)}, noise)
        best = min((best, *closer), key=seconds.__getitem__)
    remember(name, best, seconds)
    return Fast(best, engines, ways[best], seconds)


def channels(net: nn.Module) -> int:
    return next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))


class Trust:
    """What ways have to agree with: what `net` says of `pictures`, and in int8 of those kept back from `calibration`."""

    @torch.inference_mode()
    def __init__(self, net: nn.Module, pictures: Tensor, bounds: Mapping[str, float], calibration: Tensor | None, agreement: float):
        self.pictures, self.wanted, self.bounds, self.agreement = pictures, net(pictures), bounds, agreement
        if calibration is not None:
            self.real = divided(calibration)[1]
            self.named = torch.cat([net(part) for part in self.real.split(32)]).argmax(1)

    def of(self, ways: dict[Plan, Way]) -> dict[Plan, Way]:
        """Those that are exact enough."""
        return {plan: way for plan, way in ways.items() if (self.agrees(way) if plan.precision == "int8" else self.near(plan, way))}

    def near(self, plan: Plan, way: Way) -> bool:
        return bool((way(self.pictures) - self.wanted).abs().max() <= self.bounds[plan.precision] * self.wanted.abs().max())

    def agrees(self, way: Way) -> bool:
        return float((way(self.real).argmax(1) == self.named).float().mean()) >= self.agreement


def divided(calibration: Tensor) -> tuple[Tensor, Tensor]:
    """The pictures by which int8 is set, and those by which it is checked; of a single one, that one for both."""
    checked = max(1, round(CHECKED * len(calibration)))
    return calibration[:-checked] if len(calibration) > 1 else calibration, calibration[-checked:]


class Engines:
    """Makes ways of one twin, for pictures (C, H, W) of one `shape`."""

    def __init__(self, twin: fx.GraphModule, shape: tuple[int, ...], calibration: Tensor | None = None, agreement: float = AGREED):
        self.twin, self.shape, self.calibration, self.agreement = twin, shape, calibration, agreement
        self.quantised: dict[str, ov.Model] = {}  # by what they spare

    @property
    def bf16(self) -> bool:
        """Whether an engine says that the processor has instructions for it."""
        if not installed("openvino"):
            return False
        from .openvino import has_bf16

        return has_bf16()

    @property
    def depthwise(self) -> bool:
        return any(layer.groups == layer.in_channels > 1 for layer in self.twin.modules() if isinstance(layer, nn.Conv2d))

    def ways(self, plans: list[Plan]) -> dict[Plan, Way]:
        return {plan: self.way(plan) for plan in plans}

    def way(self, plan: Plan) -> Way:
        threads = torch.get_num_threads()
        if plan.engine == "plain":
            return Plain(deepcopy(self.twin), plan.precision)
        if plan.engine == "graph":
            from .cuda import Graphed

            return Graphed(deepcopy(self.twin), plan.precision, plan.chunk, self.shape)
        if plan.engine == "onnxruntime":
            from .onnxruntime import Session

            run = Session(self.onnx, plan.chunk, plan.streams, threads)
        else:
            from .openvino import Compiled

            run = Compiled(self.model_for(plan), plan.precision, plan.chunk, plan.streams, threads)
        return lambda x: torch.from_numpy(run(x.numpy()))

    @cached_property
    def model(self) -> "ov.Model":
        from .openvino import convert

        return convert(self.twin, self.shape)

    def model_for(self, plan: Plan) -> "ov.Model":
        """OpenVINO's, as this plan runs it."""
        if plan.precision != "int8":
            return self.model
        if plan.spared not in self.quantised:
            from .openvino import quantised, quantised_with_care

            if self.calibration is None:
                raise ValueError("int8 without pictures")
            setting, checking = (part.numpy() for part in divided(self.calibration))
            if plan.spared == "sensitive":
                self.quantised[plan.spared] = quantised_with_care(self.model, setting, checking, self.agreement)
            else:
                self.quantised[plan.spared] = quantised(self.model, setting, depthwise=not plan.spared)
        return self.quantised[plan.spared]

    @cached_property
    def onnx(self) -> bytes:
        from .onnxruntime import convert

        return convert(self.twin, self.shape)
