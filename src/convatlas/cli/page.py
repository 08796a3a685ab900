"""The verbs for the atlas and the service: page, serve."""

from math import inf
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, least, print_json

Flag = Parameter(negative=())
Host = Annotated[str, Parameter(help="Where to listen; other machines can come in only by another than this.")]
Port = Annotated[int, Parameter(help="0: any that is free.")]


def page(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8321,
    runs: Path = Path("runs"),
    data: Path | None = None,
    results: Path | None = None,
    static: Path | None = None,
    open_: Annotated[bool, Parameter(name="--open", negative=())] = False,
    json: Json = False,
) -> None:
    """The atlas as pages to walk through: timeline, networks, comparison, calculator, trying pictures, runs, claims (the extra `web`).

    The same server is the HTTP service; see `convatlas serve`. Ctrl-C ends it.

    Parameters
    ----------
    runs
        The folder of runs: they are listed and followed, and those that are finished answer on the page Try. Trainings can be started
        from the page as long as only this machine can see it.
    data
        A folder of data sets, a folder each as `convatlas finetune` takes them: networks can be taught them from the page.
    results
        What `convatlas claims --out` wrote, for the verdicts on the page Claims.
    static
        Do not serve, but write the pages into this folder, new or empty, for any web host.
    open_
        Open a browser.
    """
    if static is not None:
        still(static, results, json)
        return
    if results is not None and not results.is_dir():
        raise Mistake(f"{results} is not a folder; name one that convatlas claims --out wrote.")
    if data is not None and not data.is_dir():
        raise Mistake(f"{data} is not a folder; name one that has a folder for each data set.")
    listen(host, port, open_, json, runs=runs, data=data, results=results, starts=host in ("127.0.0.1", "localhost", "::1"))


def serve(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8321,
    runs: Path = Path("runs"),
    precision: str = "auto",
    calibration: Path | None = None,
    budget: float = 1.0,
    tried: Annotated[bool, Flag] = False,
    keys: Path | None = None,
    new_key: Annotated[bool, Flag] = False,
    engine: str = "local",
    replicas: int = 1,
    json: Json = False,
) -> None:
    """Networks that answer over HTTP: POST /v1/predict, embed, explain and maps (the extra `web`). What there is: GET /openapi.json.

    Parameters
    ----------
    runs
        A folder whose finished runs answer as well.
    precision
        fp32, bf16, int8 or auto.
    calibration
        For int8: a folder of some hundred pictures like those to come.
    budget
        Seconds in which an answer must be expected, or the question is refused (429).
    tried
        Try at the start which way is fastest, once for each network.
    keys
        A file with sha256 hashes of API keys, a line each; whoever asks must have one.
    new_key
        Make a key, print it, add its hash to the file, and end.
    engine
        "ray": the same application under Ray Serve (the extra `cluster`).
    replicas
        Of Ray.
    """
    if new_key:
        key = make_key(keys)
        print_json({"key": key}) if json else print(key)
        return
    understood(precision, calibration, budget, keys, engine, replicas)
    what = {"runs": runs, "precision": precision, "calibration": calibration, "budget": budget, "tried": tried, "keys": keys}
    if engine == "ray":
        from ..web.ray import run

        run(host, port, replicas, **what)
        return
    listen(host, port, False, json, **what)


def understood(precision: str, calibration: Path | None, budget: float, keys: Path | None, engine: str, replicas: int) -> None:
    """Raises Mistake for what every request would otherwise be answered with."""
    if precision not in (ways := ("auto", "fp32", "bf16", "int8")):
        raise Mistake(f"no precision {precision!r}; there are: {', '.join(ways)}.")
    if precision == "int8" and calibration is None:
        raise Mistake("int8 needs pictures like those to come, to measure the ranges of its numbers: --calibration FOLDER.")
    if calibration is not None and not calibration.is_dir():
        raise Mistake(f"{calibration} is not a folder; --calibration takes one of some hundred pictures.")
    if not 0 < budget < inf:
        raise Mistake(f"--budget is {budget}; it is in seconds, and more than 0.")
    if engine not in ("local", "ray"):
        raise Mistake(f"no engine {engine!r}; there are: local, ray.")
    if keys is not None and not keys.exists():
        raise Mistake(f"{keys} is not there; make it with: convatlas serve --keys {keys} --new-key")
    least("replicas", replicas, 1)


def make_key(file: Path | None) -> str:
    """A new key, whose hash is now in the file."""
    import hashlib
    import secrets

    if file is None:
        raise Mistake("name the file of hashes by --keys FILE.")
    key = secrets.token_urlsafe(32)
    with file.open("a") as opened:
        opened.write(hashlib.sha256(key.encode()).hexdigest() + "\n")
    file.chmod(0o600)
    return key


def listen(host: str, port: int, browse: bool, json: bool, **settings: object) -> None:
    import socket

    if not 0 <= port < 1 << 16:
        raise Mistake(f"--port is {port}; ports are 1 to 65535, and 0 takes any that is free.")
    try:
        import uvicorn

        from ..web.app import Settings, create_app, names_of
        from ..web.patience import Patient
    except ImportError as error:
        raise Mistake(f"{error.name} is not installed; get the extra: pip install 'convatlas[web]'.") from error
    app = create_app(Settings(**settings, names=names_of(host)))  # pyright: ignore[reportArgumentType]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            bound.listen(512)  # from now on whoever comes waits, and is not refused
        except OSError as error:
            raise Mistake(f"{host}:{port} cannot be had ({error.strerror}); take another --port, or 0 for any.") from error
        where = f"http://{host}:{bound.getsockname()[1]}/"
        print(f'{{"address": "{where}"}}' if json else f"{where} is ready; Ctrl-C ends it.", flush=True)
        if browse:
            import webbrowser

            webbrowser.open(where)
        config = uvicorn.Config(app, http=Patient, log_level="warning", timeout_graceful_shutdown=30, timeout_keep_alive=10)
        server = uvicorn.Server(config)
        app.state.ending = lambda: server.should_exit
        server.run(sockets=[bound])


def still(folder: Path, results: Path | None, json: bool) -> None:
    from rich.console import Console
    from rich.progress import track

    from ..web import facts
    from ..web.still import write

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Mistake(f"{folder} is there already and is not empty; choose another place.")
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    total = 2 * (len(facts.networks()) + 4)
    count = sum(
        1 for _ in track(write(folder, results), "writing", total=total, console=console, transient=True, disable=not console.is_terminal)
    )
    if json:
        print_json({"folder": str(folder), "pages": count})
    else:
        print(f"{count} pages are written. Look at {folder / 'index.html'}")
