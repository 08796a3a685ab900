"""Processes that take turns: each sets up its side once, then works when it is asked to, while the others wait."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def work(steps: Iterator[object]) -> None:
    """Says what the first step gives; then takes as many steps as each line that it reads wants, and says the seconds of one."""

    def seconds(n: int) -> float:
        begun = time.perf_counter()
        for _ in range(n):
            next(steps)
        return (time.perf_counter() - begun) / n

    about = next(steps)
    seconds(1)  # sets things up
    say(about)
    for line in sys.stdin:
        say(seconds(int(line)))


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


@contextmanager
def worker(*words: str) -> Iterator[Callable[[int | None], object]]:
    """A process of Python's that does `work` and is asked by a call: for a number of steps, or None for what it says of itself."""
    with subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(n: int | None) -> object:
            if n is not None:
                process.stdin.write(f"{n}\n")
                process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{' '.join(words)} has ended: see above")
            return json.loads(line)

        yield ask
        process.stdin.close()
