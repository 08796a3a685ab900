"""The application: pages and service, with what a browser and a network need to be told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ..machine import share_memory
from ..mistake import Mistake
from .batcher import Full
from .hosts import Hosts
from .pages import pages
from .service import Keys, Measures, measured, service
from .uploads import Room

HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Settings:
    """`runs` is the folder of runs; `names` by which hosts a browser may call this one, so that no other site can borrow it."""

    runs: Path = Path("runs")
    precision: str = "auto"
    budget: float = 1.0
    tried: bool = False
    calibration: Path | None = None
    keys: Path | None = None
    results: Path | None = None  # where convatlas claims --out wrote
    starts: bool = False  # whether the page Runs may start trainings and stop them
    data: Path | None = None  # whose folders it may start them on
    names: list[str] = field(default_factory=lambda: [*names_of("127.0.0.1"), "testserver"])


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104


def names_of(host: str) -> list[str]:
    """By which names a server that listens there may be called."""
    return ["*"] if host in EVERYWHERE else ["127.0.0.1", "localhost", "[::1]", host]


def create_app(settings: Settings) -> FastAPI:
    """The application, which has its process to itself: on Linux its threads share one heap from now on (machine.share_memory)."""
    share_memory()
    app = FastAPI(title="convatlas", description="Networks as published, answering.", docs_url=None, redoc_url=None)
    hosts, measures = Hosts(settings.runs, settings.precision, settings.budget, settings.tried, settings.calibration), Measures()
    app.state.hosts, app.state.room, app.state.ending = hosts, Room(), lambda: False

    @app.middleware("http")
    async def careful(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await measured(measures, request, call)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.exception_handler(Mistake)
    async def mistaken(_: Request, error: Mistake) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(Full)
    async def refused(_: Request, error: Full) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 429, {"Retry-After": str(max(1, round(error.seconds)))})

    app.include_router(service(hosts, Keys(settings.keys), measures, app.state.room))
    app.include_router(pages(settings.runs, settings.results, hosts, settings.starts, settings.data))
    app.mount("/static", StaticFiles(directory=HERE / "static"), "static")
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.names)
    app.add_exception_handler(HTTPException, told)  # pyright: ignore[reportArgumentType]
    return app


async def told(_: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
