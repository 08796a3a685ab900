"""Questions of many clients answered together: a few milliseconds are waited for company; what would wait too long is refused at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Full(Exception):
    """There is more to answer than the budget allows; try again after so many `seconds`."""

    def __init__(self, seconds: float):
        super().__init__(f"busy; try again in {seconds:.1f} s")
        self.seconds = seconds


class Batcher:
    """`answer` takes (N, ...) and gives (N, ...). At most `most` together, after waiting `company` seconds for others.

    A question whose answer is not to be expected within `budget` seconds, by the speed of the last answers, is refused. Answers are
    computed in a thread of their own, one batch at a time, while the next gathers.
    """

    def __init__(self, answer: Callable[[Array], Array], most: int = 32, company: float = 0.004, budget: float = 1.0):
        self.answer, self.most, self.company, self.budget = answer, most, company, budget
        self.queue: asyncio.Queue[tuple[Array, asyncio.Future[Array]]] = asyncio.Queue()
        self.waiting, self.speed = 0, 0.0  # pictures not answered yet; pictures a second
        self.thread, self.task = ThreadPoolExecutor(1), None
        self.sizes: list[int] = []  # of the last batches, for whoever measures

    async def ask(self, x: Array) -> Array:
        """The answers to x (N, ...), N at least 1. Raises Full, and what `answer` raises."""
        self.task = self.task or asyncio.get_running_loop().create_task(self.work())
        if self.speed and self.waiting and (expected := (self.waiting + len(x)) / self.speed) > self.budget:
            raise Full(max(0.1, expected - self.budget))
        told: asyncio.Future[Array] = asyncio.get_running_loop().create_future()
        self.waiting += len(x)
        try:
            self.queue.put_nowait((x, told))
            return await told
        finally:
            self.waiting -= len(x)

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            group = [await self.queue.get()]
            until, count = loop.time() + self.company, len(group[0][0])
            while count < self.most and (left := until - loop.time()) > 0:
                try:
                    group.append(await asyncio.wait_for(self.queue.get(), left))
                    count += len(group[-1][0])
                except TimeoutError:
                    break
            await self.together(group, count)

    async def together(self, group: list[tuple[Array, "asyncio.Future[Array]"]], count: int) -> None:
        begun = time.perf_counter()
        try:
            said = await asyncio.get_running_loop().run_in_executor(self.thread, self.answer, np.concatenate([x for x, _ in group]))
        except Exception as error:  # each of those who asked is told
            for _, told in group:
                if not told.done():
                    told.set_exception(error)
            return
        speed = count / max(time.perf_counter() - begun, 1e-9)
        self.speed = speed if not self.speed else 0.8 * self.speed + 0.2 * speed
        self.sizes = [*self.sizes[-99:], count]
        start = 0
        for x, told in group:
            if not told.done():  # whoever has gone away is not told
                told.set_result(said[start : start + len(x)])
            start += len(x)
