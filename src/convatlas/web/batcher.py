"""Questions of many clients answered together: a few milliseconds are waited for company; what would wait too long is refused at once."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Question = tuple[Array, "asyncio.Future[Array]"]
UNDER_WAY = 2  # batches handed to the thread: when it has answered one, the next is at hand
LATE = 3.0  # times what the rate says: within that, 99 of 100 are answered under overload (bench/service.py)
UNKNOWN = 8  # full batches that may wait as long as nobody knows how fast they are answered


class Full(Exception):
    """There is more to answer than the budget allows; try again after so many `seconds`."""

    def __init__(self, seconds: float):
        super().__init__(f"busy; try again in {seconds:.1f} s")
        self.seconds = seconds


class Batcher:
    """`answer` takes (N, ...) and gives (N, ...). Questions go together until there are `most` pictures or more, for `company` seconds.

    What cannot be answered within `budget` seconds is refused, by the rate at which batches left lately that were full: so whatever
    else a picture needs counts as well. Answers are computed in a thread of their own, one batch at a time. When one is under way, the
    next waits beside it if it is full, and else goes on gathering.
    """

    def __init__(self, answer: Callable[[Array], Array], most: int = 32, company: float = 0.004, budget: float = 1.0):
        self.answer, self.most, self.company, self.budget = answer, most, company, budget
        self.queue: asyncio.Queue[Question | None] = asyncio.Queue()  # None: nobody will ask any more
        self.waiting, self.pace = 0, 0.0  # pictures not answered yet; seconds for one, 0 as long as nobody knows
        self.usual = 1.0  # pictures of a question, lately
        self.began = self.left = 0.0  # when the first of those that wait came, and when a batch last left
        self.thread, self.task = ThreadPoolExecutor(1), None
        self.places, self.batches = asyncio.Semaphore(UNDER_WAY), set[asyncio.Task[None]]()
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

    def coming(self) -> AbstractContextManager[None]:
        """The same for a question that is still to be read, and for as many pictures as is usual. Raises Full."""
        return self.room(max(1, round(self.usual)))

    def expect(self, count: int) -> None:
        """Raises Full if so many more could not be answered in time. When nobody waits, any number is taken."""
        room = self.budget / LATE / self.pace if self.pace else UNKNOWN * self.most
        if self.waiting and (over := self.waiting + count - room) > 0:
            raise Full(max(0.1, over * self.pace) if self.pace else 1.0)

    async def ask(self, x: Array) -> Array:
        """The answers to x (N, ...), N at least 1, for which there is `room`. Raises what `answer` raises."""
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self.work())
        told: asyncio.Future[Array] = asyncio.get_running_loop().create_future()
        self.usual += 0.1 * (len(x) - self.usual)
        self.queue.put_nowait((x, told))
        return await told

    def close(self) -> None:
        """Nothing is kept once all that was asked is answered. From any thread; whoever asks all the same is answered, too."""
        if self.task is not None:
            self.task.get_loop().call_soon_threadsafe(self.queue.put_nowait, None)

    async def work(self) -> None:
        loop, coming, closed = asyncio.get_running_loop(), None, False
        while not closed or not self.queue.empty():
            await self.places.acquire()
            group, count, until = [], 0, None
            while count < self.most:
                coming = coming or loop.create_task(self.queue.get())
                left = None if until is None else until - loop.time()
                late = left is not None and left <= 0
                if late and not self.batches and not coming.done():
                    break
                await asyncio.wait({coming, *(self.batches if late else ())}, timeout=None if late else left, return_when="FIRST_COMPLETED")
                if coming.done():
                    question, coming = coming.result(), None
                    if closed := question is None:
                        break
                    group.append(question)
                    count, until = count + len(question[0]), until or loop.time() + self.company
            if not group:
                self.places.release()
                continue
            batch = loop.create_task(self.together(group, count))
            self.batches.add(batch)
            batch.add_done_callback(self.batches.discard)

    async def together(self, group: list[Question], count: int) -> None:
        try:
            x = group[0][0] if len(group) == 1 else np.concatenate([x for x, _ in group])
            said = await asyncio.get_running_loop().run_in_executor(self.thread, self.answer, x)
        except Exception as error:  # each of those who asked is told
            for _, told in group:
                if not told.done():
                    told.set_exception(error)
            return
        finally:
            self.places.release()
        self.noted(count)
        start = 0
        for x, told in group:
            if not told.done():  # whoever has gone away is not told
                told.set_result(said[start : start + len(x)])
            start += len(x)

    def noted(self, count: int) -> None:
        """A batch leaves. Of one that was not full nobody can say how fast there would have been more, but that it was so at least."""
        now, self.sizes = time.perf_counter(), [*self.sizes[-99:], count]
        pace, self.left = (now - max(self.left, self.began)) / count, now
        if count >= self.most or pace < self.pace:
            self.pace = 0.8 * self.pace + 0.2 * pace if self.pace else pace
