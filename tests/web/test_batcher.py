"""Questions answered together."""

import asyncio
import time

import numpy as np
import pytest

from convatlas.web.batcher import UNKNOWN, Batcher, Full


def rows(n, start=0):
    return np.arange(start, start + n, dtype=np.float32)[:, None]


async def ask(batcher, x):
    with batcher.room(len(x)):
        return await batcher.ask(x)


def test_everyone_is_told_their_own_and_few_batches_are_made():
    async def main():
        batcher = Batcher(lambda x: x * 2, most=8, company=0.05)
        said = await asyncio.gather(*(ask(batcher, rows(1 + i % 3, 10 * i)) for i in range(20)))
        for i, answer in enumerate(said):
            assert np.array_equal(answer, 2 * rows(1 + i % 3, 10 * i))
        assert len(batcher.sizes) < 10
        assert max(batcher.sizes) >= 6
        assert batcher.waiting == 0

    asyncio.run(main())


def test_what_would_wait_too_long_is_refused_and_the_rest_is_answered():
    def slow(x):
        time.sleep(0.02 * len(x))
        return x

    async def main():
        batcher = Batcher(slow, most=4, company=0.001, budget=0.5)
        await ask(batcher, rows(4))  # 50 a second
        said = await asyncio.gather(*(ask(batcher, rows(4)) for _ in range(20)), return_exceptions=True)
        refused = [error for error in said if isinstance(error, Full)]
        assert all(isinstance(error, Full) or len(error) == 4 for error in said)
        assert 10 < len(refused) < 20
        assert all(error.seconds > 0 for error in refused)
        assert len(await ask(batcher, rows(4))) == 4

    asyncio.run(main())


def test_the_queue_is_bounded_before_anybody_knows_the_speed():
    batcher = Batcher(lambda x: x, most=4)
    with batcher.room(10 * UNKNOWN * 4), pytest.raises(Full):  # when nobody waits, any number is taken
        batcher.expect(1)
    with batcher.room(UNKNOWN * 4 - 1):
        batcher.expect(1)
        with batcher.room(1):  # it counts from now on, whether it has been asked or not
            assert batcher.waiting == UNKNOWN * 4
            with pytest.raises(Full) as refused:
                batcher.expect(1)
    assert refused.value.seconds > 0
    assert batcher.waiting == 0


def test_what_is_still_to_be_read_takes_the_usual_room():
    async def main():
        batcher = Batcher(lambda x: x, most=8)
        for _ in range(60):
            await ask(batcher, rows(16))
        with batcher.coming():
            assert batcher.waiting == 16
        assert batcher.waiting == 0

    asyncio.run(main())


def test_only_full_batches_say_how_fast_it_is():
    def slow(x):
        time.sleep(0.02)
        return x

    async def main():
        batcher = Batcher(slow, most=8, company=0.001, budget=0.5)
        for _ in range(3):
            await ask(batcher, rows(1))
        assert not batcher.pace
        await ask(batcher, rows(8))
        assert 1 / 400 <= batcher.pace < 1 / 50
        batcher.pace = 10.0  # as after a batch that something else held up
        for _ in range(40):
            await ask(batcher, rows(1))
        assert batcher.pace < 0.1

    asyncio.run(main())


def test_two_batches_that_leave_together_are_not_twice_as_fast():
    batcher = Batcher(lambda x: x, most=8)
    batcher.began = time.perf_counter() - 0.8
    batcher.noted(8)
    batcher.noted(8)
    assert batcher.pace == pytest.approx(0.08, rel=0.05)


def test_while_a_batch_is_under_way_the_next_gathers():
    def slow(x):
        time.sleep(0.1)
        return x

    async def main():
        batcher = Batcher(slow, most=8, company=0.001)
        await asyncio.gather(*(asked_later(batcher, 0.01 * i) for i in range(8)))
        assert batcher.sizes == [1, 7]

    async def asked_later(batcher, seconds):
        await asyncio.sleep(seconds)
        await ask(batcher, rows(1))

    asyncio.run(main())


def test_questions_that_do_not_go_together_are_told_so_and_the_next_are_answered():
    async def main():
        batcher = Batcher(lambda x: x, most=8, company=0.02)
        for _ in range(3):
            said = await asyncio.gather(ask(batcher, rows(1)), ask(batcher, np.zeros((1, 2))), return_exceptions=True)
            assert all(isinstance(error, ValueError) for error in said)
        assert len(await ask(batcher, rows(2))) == 2
        assert batcher.waiting == 0

    asyncio.run(main())


def test_an_error_is_told_to_all_who_asked_and_the_next_are_answered():
    def answer(x):
        if x.max() > 100:
            raise ZeroDivisionError
        return x

    async def main():
        batcher = Batcher(answer, most=8, company=0.02)
        said = await asyncio.gather(ask(batcher, rows(1)), ask(batcher, rows(1, 200)), return_exceptions=True)
        assert all(isinstance(error, ZeroDivisionError) for error in said)
        assert len(await ask(batcher, rows(2))) == 2

    asyncio.run(main())


def test_one_that_is_closed_answers_what_was_asked_and_ends_and_may_be_asked_again():
    async def main():
        batcher = Batcher(lambda x: x + 1, most=4, company=0.01)
        asked = [asyncio.ensure_future(ask(batcher, rows(1, i))) for i in range(6)]
        await asyncio.sleep(0)
        await asyncio.to_thread(batcher.close)
        assert [float(answer[0, 0]) for answer in await asyncio.gather(*asked)] == [1, 2, 3, 4, 5, 6]
        await asyncio.wait_for(batcher.task, 5)
        assert np.array_equal(await ask(batcher, rows(2)), rows(2) + 1)

    asyncio.run(main())


def test_one_who_goes_away_is_forgotten():
    async def main():
        batcher = Batcher(lambda x: x, company=0.02)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(batcher, rows(1)), 0.001)
        assert np.array_equal(await ask(batcher, rows(3)), rows(3))
        assert batcher.waiting == 0

    asyncio.run(main())
