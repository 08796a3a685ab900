"""Processes that take turns: each sets up its side once, then works when it is asked to, while the others wait."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

Ask = Callable[[int | None], Any]


def work(steps: Iterator[object]) -> None:
    """Says what the first step gives; then takes as many steps as each line that it reads wants, and says the seconds of each."""

    def seconds(n: int) -> list[float]:
        times = [time.perf_counter()]
        for _ in range(n):
            next(steps)
            times.append(time.perf_counter())
        return [b - a for a, b in pairwise(times)]

    about = next(steps)
    seconds(1)  # sets things up
    say(about)
    for line in sys.stdin:
        say(seconds(int(line)))


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


@contextmanager
def worker(*words: str) -> Iterator[Ask]:
    """A process of Python's that does `work` and is asked by a call: for a number of steps, or None for what it says of itself.

    The call raises RuntimeError if the process has ended.
    """
    with subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(n: int | None) -> Any:
            try:
                if n is not None:
                    process.stdin.write(f"{n}\n")  # pyright: ignore[reportOptionalMemberAccess]: it is a pipe
                    process.stdin.flush()  # pyright: ignore[reportOptionalMemberAccess]
                line = process.stdout.readline()  # pyright: ignore[reportOptionalMemberAccess]
            except BrokenPipeError:
                line = ""
            if not line:
                raise RuntimeError(f"{' '.join(words)} has ended: see above")
            return json.loads(line)

        try:
            yield ask
        finally:
            with suppress(BrokenPipeError):  # it has ended by itself
                process.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]: which ends it
