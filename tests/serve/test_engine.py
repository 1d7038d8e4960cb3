"""The engine batches what waits by length, answers in order, and refuses what it has no room or no time for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftc.tasks.classification import Prediction
from ftc.tasks.encoding import Encoded
from serve.batches import LONGEST, SLACK, SPREAD, together
from serve.engine import Engine
from serve.refusal import Refusal


@given(lengths=st.lists(st.integers(1, 512), min_size=1, max_size=60), most=st.integers(1, 16))
def test_a_batch_holds_the_oldest_row_and_others_of_like_length(lengths: list[int], most: int) -> None:
    places = together(lengths, most)
    taken = [lengths[place] for place in places]
    assert places == sorted(set(places))
    assert places[0] == 0
    assert len(places) <= most
    assert max(taken) <= max(min(taken) * SPREAD, min(taken) + SLACK)
    assert len(taken) == 1 or len(taken) * max(taken) <= LONGEST
    if len(taken) < most:  # nothing that is nearer to the oldest than what was taken is left behind
        left = [length for place, length in enumerate(lengths) if place not in places]
        assert all(abs(length - lengths[0]) >= max(abs(other - lengths[0]) for other in taken) for length in left)


class Recorded:
    """An answerer that waits for the gate to open, and keeps what it was given."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[list[int]] = []
        self.begun = threading.Event()

    def __call__(self, rows: Sequence[Encoded]) -> list[Prediction]:
        self.batches.append([row.length for row in rows])
        self.begun.set()
        assert self.gate.wait(10)
        if any(row.length == 13 for row in rows):
            raise ValueError("unlucky")
        return [Prediction(str(row.length), 1.0, {}) for row in rows]


def rows(*lengths: int) -> list[Encoded]:
    return [Encoded(length, False, None) for length in lengths]


async def asked(engine: Engine, *lengths: int) -> list[str]:
    with engine.place(len(lengths)):
        return [prediction.label for prediction in await engine.answer(rows(*lengths))]


def run(recorded: Recorded, work: Any, **settings: Any) -> Any:
    defaults = {"callers": 1, "max_batch_size": 8, "max_queue": 100, "max_latency_s": 60.0}

    async def main() -> Any:
        engine = Engine(recorded, **(defaults | settings))
        engine.start()
        try:
            return await work(engine)
        finally:
            recorded.gate.set()
            await asyncio.to_thread(engine.close)

    return asyncio.run(main())


async def _behind(recorded: Recorded, engine: Engine, *requests: Coroutine[Any, Any, Any]) -> list[Any]:
    """Let the requests gather behind one that is being answered, then open the gate."""
    first = asyncio.ensure_future(asked(engine, 99))
    await asyncio.to_thread(recorded.begun.wait, 10)
    waiting = [asyncio.ensure_future(request) for request in requests]
    await asyncio.sleep(0)
    recorded.gate.set()
    assert await first == ["99"]
    return await asyncio.gather(*waiting, return_exceptions=True)


def test_requests_that_gather_share_batches_by_length_and_keep_their_order() -> None:
    recorded = Recorded()

    async def work(engine: Engine) -> Any:
        return await _behind(recorded, engine, asked(engine, 9, 50, 10), asked(engine, 52), asked(engine, 8, 48))

    assert run(recorded, work) == [["9", "50", "10"], ["52"], ["8", "48"]]
    assert recorded.batches == [[99], [9, 10, 8], [50, 52, 48]]


def test_no_batch_is_larger_than_allowed() -> None:
    recorded = Recorded()

    async def work(engine: Engine) -> Any:
        return await _behind(recorded, engine, asked(engine, *[20] * 5))

    run(recorded, work, max_batch_size=2)
    assert [len(batch) for batch in recorded.batches] == [1, 2, 2, 1]


def test_what_fails_fails_alone_and_the_engine_lives_on() -> None:
    recorded = Recorded()

    async def work(engine: Engine) -> Any:
        wrong, right = await _behind(recorded, engine, asked(engine, 13, 60), asked(engine, 40))
        return wrong, right, await asked(engine, 7), engine.is_alive

    wrong, right, later, alive = run(recorded, work)
    assert isinstance(wrong, ValueError)
    assert (right, later, alive) == (["40"], ["7"], True)


def test_a_full_queue_refuses_and_says_when_to_try_again() -> None:
    recorded = Recorded()

    async def work(engine: Engine) -> Any:
        return await _behind(recorded, engine, asked(engine, 9, 9), asked(engine, 9, 9), asked(engine, 9))

    first, second, third = run(recorded, work, max_queue=4)
    assert (first, third) == (["9", "9"], ["9"])
    assert isinstance(second, Refusal)
    assert second.status == 503
    assert second.retry_after_s is not None
    assert second.retry_after_s >= 1


def test_what_has_waited_too_long_is_refused() -> None:
    recorded = Recorded()

    async def work(engine: Engine) -> Any:
        first = asyncio.ensure_future(asked(engine, 99))
        await asyncio.to_thread(recorded.begun.wait, 10)
        late = asyncio.ensure_future(asked(engine, 9))
        await asyncio.sleep(0.3)
        recorded.gate.set()
        assert await first == ["99"]
        return (await asyncio.gather(late, return_exceptions=True))[0]

    refused = run(recorded, work, max_latency_s=0.2)
    assert isinstance(refused, Refusal)
    assert refused.status == 503


def test_a_row_waits_for_others_only_if_told_to_and_no_longer() -> None:
    recorded = Recorded()
    recorded.gate.set()

    async def work(engine: Engine) -> Any:
        first = asyncio.ensure_future(asked(engine, 9))
        await asyncio.sleep(0.05)
        assert recorded.batches == []
        return await asyncio.gather(first, asked(engine, 10))

    assert run(recorded, work, batch_wait_s=60.0, max_batch_size=2) == [["9"], ["10"]]
    assert recorded.batches == [[9, 10]]

    async def alone(engine: Engine) -> Any:
        return await asked(engine, 11)

    assert run(recorded, alone, batch_wait_s=0.01) == ["11"]


def test_closing_answers_what_waits() -> None:
    recorded = Recorded()

    async def work(engine: Engine) -> Any:
        waiting = [asyncio.ensure_future(asked(engine, length)) for length in (9, 40, 90)]
        await asyncio.sleep(0)
        recorded.gate.set()
        await asyncio.to_thread(engine.close)
        return await asyncio.gather(*waiting)

    assert run(recorded, work) == [["9"], ["40"], ["90"]]


def test_a_run_that_hangs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded()
    monkeypatch.setattr("serve.engine.STUCK_S", 0.05)

    async def work(engine: Engine) -> Any:
        first = asyncio.ensure_future(asked(engine, 9))
        await asyncio.to_thread(recorded.begun.wait, 10)
        await asyncio.sleep(0.2)
        stuck = engine.is_alive
        recorded.gate.set()
        await first
        return stuck, engine.is_alive

    assert run(recorded, work) == (False, True)
