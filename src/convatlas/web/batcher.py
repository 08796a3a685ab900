"""Questions of many clients answered together: a few milliseconds are waited for company; what would wait too long is refused at once."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
UNDER_WAY = 2  # batches handed to the thread: when it has answered one, the next is at hand
UNKNOWN = 8  # full batches that may wait as long as nobody knows how fast they are answered


class Full(Exception):
    """There is more to answer than the budget allows; try again after so many `seconds`."""

    def __init__(self, seconds: float):
        super().__init__(f"busy; try again in {seconds:.1f} s")
        self.seconds = seconds


class Batcher:
    """`answer` takes (N, ...) and gives (N, ...). At most `most` together, after waiting `company` seconds for others.

    What cannot be answered within `budget` seconds is refused, by the rate at which full batches left lately: so whatever else a
    picture needs counts as well. Answers are computed in a thread of their own, one batch at a time.
    """

    def __init__(self, answer: Callable[[Array], Array], most: int = 32, company: float = 0.004, budget: float = 1.0):
        self.answer, self.most, self.company, self.budget = answer, most, company, budget
        self.queue: asyncio.Queue[tuple[Array, asyncio.Future[Array]]] = asyncio.Queue()
        self.waiting, self.speed = 0, 0.0  # pictures not answered yet; pictures a second
        self.began = self.left = 0.0  # when the first of those that wait came, and when a batch last left
        self.thread, self.task = ThreadPoolExecutor(1), None
        self.under_way, self.batches = asyncio.Semaphore(UNDER_WAY), set[asyncio.Task[None]]()
        self.sizes: list[int] = []  # of the last batches, for whoever measures

    @contextmanager
    def room(self, count: int) -> Iterator[None]:
        """A place in the queue for so many pictures, from when they are known until they are answered. Raises Full."""
        self.expect(count)
        if not self.waiting:
            self.began = time.perf_counter()
        self.waiting += count
        try:
            yield
        finally:
            self.waiting -= count

    def expect(self, count: int = 1) -> None:
        """Raises Full if so many more could not be answered in time. When nobody waits, any number is taken."""
        room = self.speed * self.budget if self.speed else UNKNOWN * self.most
        if self.waiting and (over := self.waiting + count - room) > 0:
            raise Full(max(0.1, over / self.speed) if self.speed else self.budget)

    async def ask(self, x: Array) -> Array:
        """The answers to x (N, ...), N at least 1, for which there is `room`. Raises what `answer` raises."""
        self.task = self.task or asyncio.get_running_loop().create_task(self.work())
        told: asyncio.Future[Array] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((x, told))
        return await told

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.under_way.acquire()
            group = [await self.queue.get()]
            until, count = loop.time() + self.company, len(group[0][0])
            while count < self.most and ((left := until - loop.time()) > 0 or not self.queue.empty()):
                try:
                    group.append(self.queue.get_nowait() if left <= 0 else await asyncio.wait_for(self.queue.get(), left))
                    count += len(group[-1][0])
                except TimeoutError:
                    break
            batch = loop.create_task(self.together(group, count))
            self.batches.add(batch)
            batch.add_done_callback(self.batches.discard)

    async def together(self, group: list[tuple[Array, "asyncio.Future[Array]"]], count: int) -> None:
        x = group[0][0] if len(group) == 1 else np.concatenate([x for x, _ in group])
        try:
            said = await asyncio.get_running_loop().run_in_executor(self.thread, self.answer, x)
        except Exception as error:  # each of those who asked is told
            for _, told in group:
                if not told.done():
                    told.set_exception(error)
            return
        finally:
            self.under_way.release()
        self.noted(count)
        start = 0
        for x, told in group:
            if not told.done():  # whoever has gone away is not told
                told.set_result(said[start : start + len(x)])
            start += len(x)

    def noted(self, count: int) -> None:
        """A batch leaves. Of one that was not full nobody can say how fast there would have been more."""
        now, self.sizes = time.perf_counter(), [*self.sizes[-99:], count]
        took, self.left = now - max(self.left, self.began), now
        if count >= self.most:
            self.speed = 0.8 * self.speed + 0.2 * count / took if self.speed else count / took
