"""The pages: timeline, networks, comparison, calculator, trying, runs, claims; in two languages."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from . import facts
from .hosts import Hosts
from .words import IDEAS, LANGUAGES, say

COOKIE = "language"
MANY = 12  # networks in a comparison
# What was drawn or written by others of our programs, looked at by itself: it may have its own colours, and do nothing.
ALONE = {"Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"}
Language = Annotated[str | None, Query(max_length=5)]
Names = Annotated[list[str] | None, Query(max_length=MANY)]
Name = Annotated[str, Query(max_length=100)]
Seed = Annotated[int, Query(ge=0, le=10_000)]
# Recipes on data that is at hand or fetched by itself: the small ones.
STARTABLE = ("lenet5_modern-mnist", "lenet5-mnist", "speedrun-mnist", "speedrun-fashion", "speedrun-cifar10", "resnet20-cifar10")


def environment() -> Environment:
    found = Environment(
        loader=PackageLoader("convatlas", "web/templates"), autoescape=select_autoescape(), trim_blocks=True, lstrip_blocks=True
    )
    found.filters["thousands"] = lambda value: f"{value:,}"
    found.filters["short"] = short
    return found


def short(value: float) -> str:
    """1,582,671,872 as 1.58 G."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:g}"


class Site:
    """Renders pages. `link` turns a page's path into an address: the same on a server, a file's name in the static form."""

    def __init__(self, results: Path | None = None, link: Callable[[str], str] = lambda path: path, served: bool = True):
        self.templates, self.results, self.link, self.served = environment(), results, link, served

    def page(self, template: str, language: str, path: str, **what: Any) -> str:
        def t(key: str) -> str:
            return say(key, language)

        def idea(family: str) -> str:
            return IDEAS.get(family, "") if language == "ko" else facts.paper(family)["idea"]

        other = LANGUAGES[1 - LANGUAGES.index(language)]
        known = {"t": t, "idea": idea, "link": self.link, "language": language, "other": other, "path": path, "served": self.served}
        known["asked"] = urlencode([("names", name) for name in what.get("names", ())] + [("lang", other)])
        return self.templates.get_template(template).render(**known, **what)

    def timeline(self, language: str) -> str:
        families: dict[str, list[dict[str, Any]]] = {}
        for row in facts.networks().values():
            families.setdefault(row["family"], []).append(row)
        return self.page("timeline.html", language, "/", winners=facts.winners(), families=families, chart=timeline_chart(facts.winners()))

    def network(self, language: str, name: str, size: int | None) -> str:
        row = facts.network(name)
        variants = [other["name"] for other in facts.networks().values() if other["family"] == row["family"]]
        return self.page(
            "network.html", language, f"/network/{name}", row=row, paper=facts.paper(row["family"]), variants=variants,
            found=facts.layers(name, size), figures=facts.figures(name), errors=facts.errors(name), recipes=facts.recipes(name),
            sides=facts.SIDES,
            claims=[claim for claim in facts.tried(self.results) if facts.of_paper(claim, row["family"])],
        )  # fmt: skip

    def compare(self, language: str, names: list[str]) -> str:
        rows = [facts.network(name) for name in names]
        known = facts.accuracies()
        points = [row | known[row["name"]] for row in (rows or facts.networks().values()) if row["name"] in known]
        return self.page("compare.html", language, "/compare", rows=rows, names=names, all=list(facts.networks()), chart=ball_chart(points),
                         accuracies=known)  # fmt: skip

    def plain(self, template: str, language: str, path: str, **what: Any) -> str:
        return self.page(template, language, path, **what)


def timeline_chart(winners: list[dict[str, Any]]) -> dict[str, Any]:
    """Places in a drawing of 720 x 260: error falls, depth rises."""
    wide, high, left, low = 720, 260, 50, 225
    years = [row["year"] for row in winners]
    points = []
    for row in winners:
        x = left + (wide - left - 30) * (row["year"] - years[0]) / max(1, years[-1] - years[0])
        points.append(
            {**row, "x": round(x, 1), "y": round(low - 195 * row["top5_error"] / 30, 1), "bar": round(min(row["depth"], 200) * 0.9, 1)}
        )
    return {"points": points, "human": round(low - 195 * 5.1 / 30, 1), "wide": wide, "high": high, "left": left, "low": low}


def ball_chart(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Places in a drawing of 720 x 420: operations across by their logarithm, accuracy up, area parameters."""
    from math import log10, sqrt

    if not points:
        return {"balls": [], "ticks": [], "levels": []}
    macs, tops, most = [p["macs"] for p in points], [p["top1"] for p in points], max(p["parameters"] for p in points)
    low, high = log10(min(macs)) - 0.15, log10(max(macs)) + 0.15
    bottom, top = min(tops) - 2, max(tops) + 2

    def x(value: float) -> float:
        return round(60 + 640 * (log10(value) - low) / (high - low), 1)

    def y(value: float) -> float:
        return round(380 - 350 * (value - bottom) / (top - bottom), 1)

    balls = [{**p, "x": x(p["macs"]), "y": y(p["top1"]), "r": round(max(4.0, 38 * sqrt(p["parameters"] / most)), 1)} for p in points]
    ticks = [{"x": x(10**n), "text": short(10**n)} for n in range(6, 12) if low < n < high]
    levels = [{"y": y(v), "text": f"{v} %"} for v in range(0, 101, 5) if bottom < v < top]
    return {"balls": sorted(balls, key=lambda ball: -ball["r"]), "ticks": ticks, "levels": levels}


def spoken(request: Request, asked: str | None) -> str:
    """The language of a request: as asked, as before, as the browser prefers."""
    if asked in LANGUAGES:
        return asked
    if (before := request.cookies.get(COOKIE)) in LANGUAGES:
        return before
    return "ko" if request.headers.get("accept-language", "").lower().startswith("ko") else "en"


def pages(runs: Path, results: Path | None, hosts: Hosts, starts: bool = False, data: Path | None = None) -> APIRouter:
    """Trainings can be started and stopped by whoever can ask, if `starts`: by recipes, and on what is in the folder `data`."""
    router, site = APIRouter(include_in_schema=False), Site(results)
    still, live = Pages(site, hosts), Live(site, runs, hosts, starts, data)
    for path, answer in {
        "/": still.timeline,
        "/network/{name}": still.network,
        "/network/{name}/drawing.svg": still.drawing,
        "/network/{name}/layers.json": still.layers,
        "/compare": still.compare,
        "/calculator": still.calculator,
        "/try": still.try_,
        "/claims": still.claims,
        "/claims/{name}.svg": still.picture,
        "/code/{family}.py": still.code,
        "/runs": live.all,
        "/runs/{name}/report": live.report,
        "/runs/{name}/events": live.events,
    }.items():
        router.add_api_route(path, answer, response_model=None)
    if starts:
        router.add_api_route("/runs", live.start, methods=["POST"])
        router.add_api_route("/runs/{name}/stop", live.stop, methods=["POST"])
    return router


def html(text: str, language: str) -> HTMLResponse:
    response = HTMLResponse(text)
    response.set_cookie(COOKIE, language, samesite="strict", max_age=31_536_000)
    return response


class Pages:
    """Those that do not change while the server runs."""

    def __init__(self, site: Site, hosts: Hosts):
        self.site, self.hosts = site, hosts

    def timeline(self, request: Request, lang: Language = None) -> Response:
        language = spoken(request, lang)
        return html(self.site.timeline(language), language)

    def network(self, request: Request, name: str, size: int | None = None, lang: Language = None) -> Response:
        language = spoken(request, lang)
        if name not in facts.networks():
            raise HTTPException(404, say("missing", language))
        return html(self.site.network(language, name, size), language)

    def drawing(self, name: str) -> Response:
        if name not in facts.networks():
            raise HTTPException(404, "no such network.")
        return Response(facts.drawing(name), media_type="image/svg+xml", headers=ALONE)

    def code(self, family: str) -> Response:
        if family not in {row["family"] for row in facts.networks().values()}:
            raise HTTPException(404, "no such file.")
        return Response(facts.code(family), media_type="text/plain; charset=utf-8")

    def layers(self, name: str, size: int | None = None) -> dict[str, Any]:
        if name not in facts.networks():
            raise HTTPException(404, "no such network.")
        return facts.layers(name, size)

    def compare(self, request: Request, names: Names = None, lang: Language = None) -> Response:
        language, chosen = spoken(request, lang), [name for name in names or [] if name in facts.networks()]
        return html(self.site.compare(language, chosen), language)

    def calculator(self, request: Request, lang: Language = None) -> Response:
        language = spoken(request, lang)
        return html(self.site.plain("calculator.html", language, "/calculator"), language)

    def try_(self, request: Request, lang: Language = None) -> Response:
        language = spoken(request, lang)
        return html(self.site.plain("try.html", language, "/try", models=self.hosts.available(), samples=facts.SAMPLES), language)

    def claims(self, request: Request, lang: Language = None) -> Response:
        language = spoken(request, lang)
        return html(self.site.plain("claims.html", language, "/claims", rows=facts.tried(self.site.results)), language)

    def picture(self, name: str) -> Response:
        known = {row["claim"]: row for row in facts.tried(self.site.results)}
        if name not in known or not known[name].get("file"):
            raise HTTPException(404, "no such picture.")
        return FileResponse(known[name]["file"], media_type="image/svg+xml", headers=ALONE)


class Live:
    """Runs: where they stand, their curves as they grow, starting, stopping. What a request names is looked up, never joined to a path."""

    def __init__(self, site: Site, runs: Path, hosts: Hosts, starts: bool, data: Path | None):
        self.site, self.runs, self.hosts, self.starts, self.data = site, runs, hosts, starts, data
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    def standings(self) -> dict[str, Any]:
        from ..compare import found, stand

        return {folder.name: stand(folder) for folder in found(self.runs)} if self.runs.is_dir() else {}

    def folder(self, name: str) -> Path:
        if name not in (known := self.standings()):
            raise HTTPException(404, "no such run.")
        return known[name].folder

    def all(self, request: Request, lang: Language = None) -> Response:
        language, known = spoken(request, lang), list(self.standings().values())
        ways: dict[str, Any] = {"recipes": (), "data": (), "models": ()}
        if self.starts:
            ways = {"recipes": STARTABLE, "data": self.offered(), "models": self.teachable()}
        return html(self.site.plain("runs.html", language, "/runs", runs=known, mine=self.going(), **ways), language)

    def offered(self) -> dict[str, Path]:
        """Data sets to teach: what the folder of data has, by name."""
        return {path.name: path for path in sorted(self.data.iterdir()) if path.is_dir()} if self.data else {}

    def teachable(self) -> list[str]:
        return [name for name, what in self.hosts.available().items() if not what.get("run")]

    def going(self) -> list[str]:
        """The trainings that were started here and have not ended."""
        return [name for name, process in self.started.items() if process.poll() is None]

    def report(self, name: str) -> Response:
        file = self.folder(name) / "report.html"
        if not file.exists():
            raise HTTPException(404, "no report yet.")
        return FileResponse(file, headers=ALONE)

    async def events(self, request: Request, name: str) -> Response:
        return StreamingResponse(
            lines_of(await run_in_threadpool(self.folder, name), request.app.state.ending), media_type="text/event-stream"
        )

    def start(
        self, request: Request, recipe: Name | None = None, model: Name | None = None, data: Name | None = None, seed: Seed = 0
    ) -> dict[str, str]:
        """By a recipe, or a network with weights on chosen data."""
        ours(request)
        offered = self.offered()
        if recipe in STARTABLE:
            name, words = f"{recipe}-seed{seed}", ["train", recipe]
        elif data in offered and model in self.teachable():
            name, words = f"{model}-{data}-seed{seed}", ["finetune", model, str(offered[data]), "--offline"]
        else:
            raise HTTPException(422, "no such recipe, or no such network and data.")
        if going := self.going():
            raise HTTPException(429, f"{', '.join(going)} is still going on.", {"Retry-After": "60"})
        if name in self.standings():
            raise HTTPException(422, f"{name} is there already.")
        command = [sys.executable, "-m", "convatlas", *words, "--seed", str(seed), "--out", str(self.runs / name)]
        self.started[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return {"run": name}

    def stop(self, request: Request, name: str) -> dict[str, str]:
        ours(request)
        if name not in self.going():
            raise HTTPException(404, "no such run was started here, or it has ended.")
        self.started[name].send_signal(signal.SIGINT)  # as Ctrl-C: it ends with a checkpoint
        return {"run": name}


def ours(request: Request) -> None:
    """Only the page's own script sends this header: another site's cannot without asking first, and is told no."""
    if request.headers.get("x-requested-with") != "convatlas":
        raise HTTPException(422, "X-Requested-With: convatlas is missing.")


async def lines_of(folder: Path, ending: Callable[[], bool]) -> AsyncIterator[str]:
    """The log as server-sent events: what is there, and each line that comes, until nobody trains the run any more."""
    from ..compare import trained_now

    at = 0
    while not ending():
        finished = (folder / "result.json").exists() or not await run_in_threadpool(trained_now, folder)
        text = await run_in_threadpool(written, folder / "log.jsonl", at)
        at += len(text)
        for line in text.decode().splitlines():
            found = json.loads(line)
            kept = {key: found[key] for key in ("step", "loss", "test_error", "rate", "seconds") if key in found}
            if "step" in kept:
                yield f"data: {json.dumps(kept)}\n\n"
        if finished:
            yield "event: end\ndata: {}\n\n"
            return
        await asyncio.sleep(0.5)


def written(path: Path, start: int) -> bytes:
    """The whole lines of a file from a place on."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(start)
        text = file.read()
    return text[: text.rfind(b"\n") + 1]
