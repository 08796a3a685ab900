"""The HTTP service: /v1/predict, /v1/embed, /v1/explain, /v1/maps, /v1/models, /healthz, /metrics."""

import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from numpy.typing import NDArray
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel

from ..mistake import Mistake
from .batcher import Full
from .facts import TORCH
from .hosts import Host, Hosts, normalised
from .uploads import PICTURES, Room, asked, decoded

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.net import Net

DECODING = CapacityLimiter(os.cpu_count() or 1)  # requests at a time: more would only take memory
BY_TORCH, OPENING, WAIT = CapacityLimiter(1), CapacityLimiter(1), 16  # embeddings and explanations; networks; how many of each may wait
PIECE = 8  # pictures that are embedded at a time
STRONGEST, SMALL = 16, 28  # maps of a stage that are shown, and their side at most
METHODS = ("gradcam", "gradcam++", "layercam", "occlusion", "deconvnet", "guided", "integrated")
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["pictures"],
                    "properties": {"pictures": {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": PICTURES}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["pictures"],
                    "properties": {
                        "pictures": {"type": "array", "items": {"type": "string", "format": "byte"}, "minItems": 1, "maxItems": PICTURES}
                    },
                }
            },
        },
    }
}
CODES: dict[int | str, dict[str, Any]] = {
    code: {"description": text}
    for code, text in (
        (400, "a damaged body"), (401, "no key, or a wrong one"), (404, "no such network"), (408, "too slow"), (413, "too large"),
        (415, "no picture"), (422, "a damaged picture or a wrong value"), (429, "busy: come again after Retry-After seconds"),
    )
}  # fmt: skip


Answered = TypeVar("Answered")


class Prediction(BaseModel):
    index: int
    label: str
    probability: float


class Answer(BaseModel):
    predictions: list[Prediction]


class Predictions(BaseModel):
    model: str
    answers: list[Answer]


class Embeddings(BaseModel):
    model: str
    embeddings: list[list[float]]


class Explanation(BaseModel):
    """Of a class, with its probability, or of a map of a stage, with none: `index` counts either.

    `heat` is a map of values, rows from the top; of methods that go back to pixels, the sum over colours, made as small. It lies on the
    middle square of the picture, of which the network sees this `part` of the shorter side.
    """

    model: str
    method: str
    label: str
    index: int
    probability: float | None
    part: float
    heat: list[list[float]]


class Map(BaseModel):
    index: int
    heat: list[list[float]]


class Maps(BaseModel):
    """Of a stage's maps, `shape` (maps, height, width), those that answer a picture most strongly; as small as 28 x 28 where larger."""

    model: str
    stages: list[str]
    stage: str
    shape: list[int]
    maps: list[Map]


class Measures:
    """What /metrics tells."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("convatlas_requests", "Requests answered", ["path", "code"], registry=self.registry)
        self.seconds = Histogram("convatlas_seconds", "Seconds to an answer", ["path"], registry=self.registry)
        self.pictures = Counter("convatlas_pictures", "Pictures answered", registry=self.registry)
        self.waiting = Gauge("convatlas_waiting", "Pictures that wait for an answer", registry=self.registry)


class Keys:
    """API keys, of which only sha256 hashes are kept, a line each in a file; none means that all may ask."""

    def __init__(self, file: Path | None):
        self.hashes = [line.strip() for line in file.read_text().splitlines() if line.strip()] if file else []
        if file and not (self.hashes and all(re.fullmatch("[0-9a-f]{64}", line) for line in self.hashes)):
            raise Mistake(f"{file} has to hold sha256 hashes, a line each; make one with: convatlas serve --keys {file} --new-key")

    def __call__(self, request: Request) -> None:
        if not self.hashes:
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip() or request.headers.get("x-api-key", "")
        hashed = hashlib.sha256(given.encode()).hexdigest()
        if not any([hmac.compare_digest(hashed, known) for known in self.hashes]):  # noqa: C419 (all are compared, so time tells nothing)
            raise HTTPException(401, "this service wants a key: Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"})


Model = Annotated[str | None, Query(max_length=100, description="a network from /v1/models")]
Stage = Annotated[str | None, Query(max_length=100, description="of the network's features: /v1/maps says which there are")]


def service(hosts: Hosts, keys: Keys, measures: Measures, room: Room) -> APIRouter:
    router = APIRouter(responses=CODES)
    guarded = [Depends(keys)]
    asking = [*guarded, Depends(room)]

    @router.get("/healthz", tags=["service"])
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/metrics", tags=["service"], response_class=Response)
    def metrics() -> Response:
        measures.waiting.set(sum(host.batcher.waiting for host in list(hosts.open.values())))
        return Response(generate_latest(measures.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/v1/models", tags=["service"], dependencies=guarded)
    def models() -> list[dict[str, Any]]:
        return list(hosts.available().values())

    @router.post("/v1/predict", tags=["service"], dependencies=asking, openapi_extra=BODY)
    async def predict(request: Request, model: Model = None, top: Annotated[int, Query(ge=1, le=1000)] = 5) -> Predictions:
        known = hosts.used(model or hosts.first)
        with known.batcher.coming() if known else nullcontext():  # where there is no room, what the request has is not even read
            host, pictures = await questions(hosts, request, model)
        with host.batcher.room(len(pictures)):
            said = await host.batcher.ask(await in_place(host, pictures))
        measures.pictures.inc(len(said))
        return Predictions(model=host.trained.name, answers=[best(host, row, top) for row in said])

    @router.post("/v1/embed", tags=["service"], dependencies=asking, openapi_extra=BODY)
    async def embed(request: Request, model: Model = None) -> Embeddings:
        host, pictures = await questions(hosts, request, model)
        return Embeddings(model=host.trained.name, embeddings=await by_torch(embedded, host, await in_place(host, pictures)))

    @router.post("/v1/explain", tags=["service"], dependencies=asking, openapi_extra=BODY)
    async def explain(
        request: Request,
        model: Model = None,
        method: Annotated[str, Query(pattern=f"^({'|'.join(m.replace('+', '[+]') for m in METHODS)})$")] = "gradcam",
        target: Annotated[int | None, Query(ge=0, le=100_000)] = None,
        stage: Stage = None,
        map: Annotated[int, Query(ge=0, le=100_000, description="of the stage, instead of a class")] = 0,  # noqa: A002
    ) -> Explanation:
        host, pictures = await questions(hosts, request, model, 1)
        return await by_torch(explained, host, await in_place(host, pictures), method, target, stage, map)

    @router.post("/v1/maps", tags=["service"], dependencies=asking, openapi_extra=BODY)
    async def maps(request: Request, model: Model = None, stage: Stage = None) -> Maps:
        host, pictures = await questions(hosts, request, model, 1)
        return await by_torch(seen, host, await in_place(host, pictures), stage)

    return router


async def questions(
    hosts: Hosts, request: Request, model: str | None, most: int = PICTURES
) -> tuple[Host, list[bytes] | NDArray[np.uint8]]:
    """The network that the address or the body names, else the first, and the pictures of a request."""
    found = await asked(request, most)
    name = model or found.fields.get("model")
    if name is not None and not isinstance(name, str):
        raise HTTPException(422, '"model" must be a text.')
    return hosts.used(name or hosts.first) or await opened(hosts, name), found.pictures


async def opened(hosts: Hosts, name: str | None) -> Host:
    """A network that was not in use: one is opened at a time, which takes seconds. Raises Full for more than a few who wait for theirs."""
    if OPENING.statistics().tasks_waiting >= WAIT:
        raise Full(1.0)
    return await to_thread.run_sync(hosts.get, name, limiter=OPENING)


async def by_torch(run: Callable[..., Answered], *words: Any) -> Answered:
    """What takes a while and one at a time. Raises Full for more than a few that wait."""

    def alone() -> Answered:
        with TORCH:
            return run(*words)

    if BY_TORCH.statistics().tasks_waiting >= WAIT:
        raise Full(1.0)
    return await to_thread.run_sync(alone, limiter=BY_TORCH)


async def in_place(host: Host, pictures: list[bytes] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, size, size, channels); pixels of the network's own size are taken to be in place already."""
    size, channels = host.trained.preprocess.size, host.trained.channels
    if isinstance(pictures, np.ndarray) and pictures.shape[1:] == (size, size, channels):
        return pictures

    def placed() -> NDArray[np.uint8]:
        found = pictures if isinstance(pictures, np.ndarray) else decoded(pictures, channels)
        return np.stack([host.placed(one) for one in found])

    return await to_thread.run_sync(placed, limiter=DECODING)


def shares(scores: Any) -> Any:
    share = np.exp(scores - scores.max())
    return share / share.sum()


def best(host: Host, scores: Any, top: int) -> Answer:
    share, labels = shares(scores), host.trained.classes
    order = np.argsort(-share, kind="stable")[:top].tolist()
    return Answer(predictions=[Prediction(index=i, label=labels[i], probability=round(float(share[i]), 6)) for i in order])


def embedded(host: Host, placed: NDArray[np.uint8]) -> list[list[float]]:
    import torch

    with torch.inference_mode():
        pieces = np.split(placed, range(PIECE, len(placed), PIECE))
        return torch.cat([staged(host).embed(normalised(host.trained, piece)) for piece in pieces]).tolist()


def staged(host: Host, stage: str | None = None) -> "Net":
    """The network, if it is of stages and has this one."""
    from ..models.net import Net

    net = host.trained.net
    if not isinstance(net, Net):
        raise HTTPException(422, f"{host.trained.name} has no stages and gives no embedding.")
    if stage is not None and stage not in (names := [s.name for s in net.stages()]):
        raise HTTPException(422, f"{host.trained.name} has no stage {stage!r}; there are: {', '.join(names)}.")
    return net


def seen(host: Host, placed: NDArray[np.uint8], stage: str | None) -> Maps:
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    net = staged(host, stage)
    stages = [s.name for s in net.stages()]
    stage = stage or stages[0]
    with torch.inference_mode():
        (maps,) = net.pyramid(normalised(host.trained, placed), [stage])[stage]
        order = maps.flatten(1).amax(1).argsort(descending=True)[:STRONGEST].tolist()
        small = adaptive_avg_pool2d(maps, (min(SMALL, maps.shape[1]), min(SMALL, maps.shape[2])))
    found = [Map(index=i, heat=rounded(small[i])) for i in order]
    return Maps(model=host.trained.name, stages=stages, stage=stage, shape=list(maps.shape), maps=found)


def rounded(heat: "Tensor") -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in heat.tolist()]


def explained(host: Host, placed: NDArray[np.uint8], method: str, target: int | None, stage: str | None, map_: int) -> Explanation:
    import torch

    from ..explain.methods import HEAT, explainer
    from ..explain.what import Score, Unit

    net, pictures = host.trained.net, normalised(host.trained, placed)
    told: dict[str, Any] = {"model": host.trained.name, "method": method}
    told["part"] = photo.size / photo.resize if (photo := host.trained.photo) else 1.0
    if stage is not None:
        if method in HEAT:
            raise HTTPException(422, f"{method} explains classes; of a map: {', '.join(m for m in METHODS if m not in HEAT)}.")
        heat = back(method, staged(host, stage), pictures, Unit(f"features.{stage}", map_))
        return Explanation(**told, label=f"{stage}, {map_}", index=map_, probability=None, heat=rounded(heat))
    with torch.inference_mode():
        share = net(pictures).softmax(1)[0]
    of = int(share.argmax()) if target is None else target
    if of >= len(share):
        raise HTTPException(422, f"{host.trained.name} has classes 0 to {len(share) - 1}.")
    heat = explainer(method)(net, pictures, of)[0] if method in HEAT else back(method, net, pictures, Score(of))
    label, probability = host.trained.classes[of], round(float(share[of]), 6)
    return Explanation(**told, label=label, index=of, probability=probability, heat=rounded(heat))


def back(method: str, net: Any, pictures: "Tensor", what: Any) -> "Tensor":
    """How strongly `what` goes back to the pixels of a picture, made as small as a heat map."""
    from torch.nn.functional import adaptive_avg_pool2d

    from ..explain.methods import explainer

    return adaptive_avg_pool2d(explainer(method)(net, pictures, what).abs().sum(1), 2 * SMALL)[0]


async def measured(measures: Measures, request: Request, call: Any) -> Response:
    """Middleware: how many requests of each kind came to what end, and how long they took."""
    begun = time.perf_counter()
    code = 500
    try:
        response = await call(request)
        code = response.status_code
        return response
    finally:
        noted(measures, request, code, time.perf_counter() - begun)


def noted(measures: Measures, request: Request, code: int, seconds: float) -> None:
    path = request.url.path if request.url.path.startswith("/v1/") else "page"
    path = path if path in ("/v1/predict", "/v1/embed", "/v1/explain", "/v1/maps", "/v1/models", "page") else "other"
    measures.requests.labels(path, code).inc()
    measures.seconds.labels(path).observe(seconds)
