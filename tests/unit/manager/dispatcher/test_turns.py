"""Work that many ask for at once is done a few at a time."""

import asyncio

from workers.manager.dispatcher.turns import A_TURN, Turns


async def test_no_more_than_a_few_have_their_turn_between_two_turns_of_the_loop() -> None:
    turns, done = Turns(), 0

    async def work() -> None:
        nonlocal done
        async with turns:
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(10 * A_TURN):
            group.create_task(work())
        before = 0
        while done < 10 * A_TURN:
            await asyncio.sleep(0)
            assert done - before <= A_TURN
            before = done


async def test_cancelled_one_gives_its_place_back() -> None:
    turns = Turns(1)

    async def work() -> None:
        async with turns:
            pass

    first = asyncio.create_task(work())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    async with asyncio.timeout(5):
        await work()
