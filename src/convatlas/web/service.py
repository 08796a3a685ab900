"""The HTTP service: /v1/predict, /v1/embed, /v1/explain, /v1/models, /healthz, /metrics."""

import hashlib
import hmac
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel

from .batcher import Full
from .facts import TORCH
from .hosts import Host, Hosts, normalised
from .uploads import PICTURES, asked, picture

DECODING = CapacityLimiter(os.cpu_count() or 1)  # requests at a time: more would only take memory
BY_TORCH, WAIT = CapacityLimiter(1), 16  # embeddings and explanations, and how many may wait
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
    """`heat` is a map of values, rows from the top; of methods that go back to pixels, the sum over colours, made as small."""

    model: str
    method: str
    label: str
    index: int
    probability: float
    heat: list[list[float]]


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

    def __call__(self, request: Request) -> None:
        if not self.hashes:
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip() or request.headers.get("x-api-key", "")
        hashed = hashlib.sha256(given.encode()).hexdigest()
        if not any([hmac.compare_digest(hashed, known) for known in self.hashes]):  # noqa: C419 (all are compared, so time tells nothing)
            raise HTTPException(401, "this service wants a key: Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"})


Model = Annotated[str | None, Query(max_length=100, description="a network from /v1/models")]


def service(hosts: Hosts, keys: Keys, measures: Measures) -> APIRouter:
    router = APIRouter(responses=CODES)
    guarded = [Depends(keys)]

    @router.get("/healthz", tags=["service"])
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/metrics", tags=["service"], response_class=Response)
    def metrics() -> Response:
        measures.waiting.set(sum(host.batcher.waiting for host in hosts.open.values()))
        return Response(generate_latest(measures.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/v1/models", tags=["service"], dependencies=guarded)
    def models() -> list[dict[str, Any]]:
        return list(hosts.available().values())

    @router.post("/v1/predict", tags=["service"], dependencies=guarded, openapi_extra=BODY)
    async def predict(request: Request, model: Model = None, top: Annotated[int, Query(ge=1, le=1000)] = 5) -> Predictions:
        known = hosts.open.get(model or "")
        with known.batcher.coming() if known else nullcontext():  # where there is no room, what the request has is not even read
            host, pictures = await questions(hosts, request, model)
        with host.batcher.room(len(pictures)):
            said = await host.batcher.ask(await in_place(host, pictures))
        measures.pictures.inc(len(said))
        return Predictions(model=host.trained.name, answers=[best(host, row, top) for row in said])

    @router.post("/v1/embed", tags=["service"], dependencies=guarded, openapi_extra=BODY)
    async def embed(request: Request, model: Model = None) -> Embeddings:
        host, pictures = await questions(hosts, request, model)
        return Embeddings(model=host.trained.name, embeddings=await by_torch(embedded, host, await in_place(host, pictures)))

    @router.post("/v1/explain", tags=["service"], dependencies=guarded, openapi_extra=BODY)
    async def explain(
        request: Request,
        model: Model = None,
        method: Annotated[str, Query(pattern=f"^({'|'.join(m.replace('+', '[+]') for m in METHODS)})$")] = "gradcam",
        target: Annotated[int | None, Query(ge=0, le=100_000)] = None,
    ) -> Explanation:
        host, pictures = await questions(hosts, request, model)
        return await by_torch(explained, host, await in_place(host, pictures[:1]), method, target)

    return router


async def questions(hosts: Hosts, request: Request, model: str | None) -> tuple[Host, list[bytes] | NDArray[np.uint8]]:
    """The network that the address or the body names, else the first, and the pictures of a request."""
    found = await asked(request)
    name = model or found.fields.get("model")
    if name is not None and not isinstance(name, str):
        raise HTTPException(422, '"model" must be a text.')
    return hosts.open.get(name or hosts.first) or await run_in_threadpool(hosts.get, name), found.pictures


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
        return np.stack([host.placed(data if isinstance(data, np.ndarray) else picture(data, channels)) for data in pictures])

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

    from ..models.net import Net

    if not isinstance(host.trained.net, Net):
        raise HTTPException(422, f"{host.trained.name} gives no embedding.")
    with torch.inference_mode():
        return host.trained.net.embed(normalised(host.trained, placed)).tolist()


def explained(host: Host, placed: NDArray[np.uint8], method: str, target: int | None) -> Explanation:
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    from ..explain.methods import HEAT, explainer
    from ..explain.what import Score
    from ..mistake import Mistake

    net, pictures = host.trained.net, normalised(host.trained, placed)
    with torch.inference_mode():
        share = net(pictures).softmax(1)[0]
    of = int(share.argmax()) if target is None else target
    if of >= len(share):
        raise HTTPException(422, f"{host.trained.name} has classes 0 to {len(share) - 1}.")
    try:
        if method in HEAT:
            heat = explainer(method)(net, pictures, of)[0]
        else:
            heat = adaptive_avg_pool2d(explainer(method)(net, pictures, Score(of)).abs().sum(1), 56)[0]
    except Mistake as error:
        raise HTTPException(422, str(error)) from error
    rows = [[round(value, 5) for value in row] for row in heat.tolist()]
    label = host.trained.classes[of]
    return Explanation(model=host.trained.name, method=method, label=label, index=of, probability=round(float(share[of]), 6), heat=rows)


async def measured(measures: Measures, request: Request, call: Any) -> Response:
    """Middleware: how many requests of each kind came to what end, and how long they took."""
    begun = time.perf_counter()
    response = await call(request)
    path = request.url.path if request.url.path.startswith("/v1/") else "page"
    path = path if path in ("/v1/predict", "/v1/embed", "/v1/explain", "/v1/models", "page") else "other"
    measures.requests.labels(path, response.status_code).inc()
    measures.seconds.labels(path).observe(time.perf_counter() - begun)
    return response
