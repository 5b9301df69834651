"""Long work lets others in."""

import asyncio

from swarmd.turns import in_turns


async def test_others_run_after_every_so_many():
    seen: list[int | str] = []

    async def other() -> None:
        seen.append("other")

    running = asyncio.create_task(other())
    async for number in in_turns(range(5), most=3):
        seen.append(number)  # noqa: PERF401  one by one, as that is what is shown
    await running
    assert [0, 1, 2, "other", 3, 4] == seen


async def test_of_nothing_nothing_comes():
    assert [] == [one async for one in in_turns([])]
