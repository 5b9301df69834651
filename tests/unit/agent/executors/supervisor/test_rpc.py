"""What many ask at once goes out together, and each gets its own answer."""

import asyncio

import pytest

from workers.agent.executors.errors import GoneError, TemporaryError
from workers.agent.executors.supervisor.rpc import UnreachableError, _Batch


class Supervisord:
    """Answers when it is let; refuses ids that begin with an x."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.answers = asyncio.Event()
        self.fails = False

    async def send(self, ids: list[str]) -> dict[str, str]:
        self.calls.append(ids)
        await self.answers.wait()
        if self.fails:
            raise UnreachableError("it is gone")
        return {one: one for one in ids if one.startswith("x")}


@pytest.fixture
def supervisord() -> Supervisord:
    return Supervisord()


async def asked(batch: _Batch, *ids: str) -> list[asyncio.Task[None]]:
    asking = [asyncio.create_task(batch.submit(one)) for one in ids]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return asking


async def test_what_is_asked_during_a_call_goes_out_as_one(supervisord: Supervisord) -> None:
    batch = _Batch(supervisord.send)
    asking = await asked(batch, "a") + await asked(batch, "b", "c", "d")
    supervisord.answers.set()
    await asyncio.gather(*asking)
    assert [["a"], ["b", "c", "d"]] == supervisord.calls


async def test_one_refusal_is_one_task_s(supervisord: Supervisord) -> None:
    supervisord.answers.set()
    answers = await asyncio.gather(
        *await asked(_Batch(supervisord.send), "a", "x", "b"), return_exceptions=True
    )
    assert [None, GoneError, None] == [answer and type(answer) for answer in answers]


async def test_a_call_that_fails_fails_for_all_in_it(supervisord: Supervisord) -> None:
    supervisord.fails = True
    supervisord.answers.set()
    for asking in await asked(_Batch(supervisord.send), "a", "b"):
        with pytest.raises(TemporaryError):
            await asking


async def test_who_is_cancelled_while_sending_leaves_it_to_the_next(
    supervisord: Supervisord,
) -> None:
    batch = _Batch(supervisord.send)
    first, second = await asked(batch, "a") + await asked(batch, "b")
    first.cancel()
    supervisord.answers.set()
    await second
    assert "a" in supervisord.calls[-1]  # it may have arrived or not: asking again is harmless


async def test_a_thousand_go_out_in_calls_of_a_bounded_size(supervisord: Supervisord) -> None:
    supervisord.answers.set()
    await asyncio.gather(*await asked(_Batch(supervisord.send), *map(str, range(1000))))
    assert 1000 == sum(len(call) for call in supervisord.calls)
    assert 200 >= max(len(call) for call in supervisord.calls)
