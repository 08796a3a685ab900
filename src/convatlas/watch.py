"""A run as it goes: a live bar on a terminal, plain lines elsewhere, and an end with a checkpoint when it is interrupted."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .run import Progress, Run
from .track import following


def follow(run: Run, save_every: float, quiet: bool, track: bool = False) -> bool:
    """Trains `run` and shows how it goes, if `track` in TensorBoard as well; False if it was interrupted before its end."""
    console = Console(stderr=True, quiet=quiet)
    with interruptible(run), following(run.folder) if track else nullcontext(lambda: None) as mirror:
        shown = (bar if console.is_terminal else plain)(console, run.name, run.go(save_every))
        for _ in shown:
            mirror()
    return run.finished


def bar(console: Console, name: str, going: Iterator[Progress]) -> Iterator[Progress]:
    columns = (TextColumn(name), BarColumn(None), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as shown:
        task = shown.add_task(name, total=None, state="")
        for now in going:
            shown.update(task, total=now.steps, completed=now.step, state=describe(now))
            yield now


def plain(console: Console, name: str, going: Iterator[Progress]) -> Iterator[Progress]:
    """A plain line whenever there is a new test error, and at least every ten seconds."""
    told, error = 0.0, None
    for now in going:
        if now.error != error or now.seconds - told > 10:
            told, error = now.seconds, now.error
            console.print(f"{name} {now.step}/{now.steps} {describe(now)} {now.left:.0f} s left", highlight=False, soft_wrap=True)
        yield now


def describe(now: Progress) -> str:
    error = "" if now.error is None else f" error {now.error:.2f} %"
    return f"loss {now.loss:.4f}{error} rate {now.rate:.2g} {now.images_per_s:,.0f} images/s"


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the run with a checkpoint; a second one ends it at once. Only a main thread hears of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        run.stop()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
