"""More calls at once than the manager's loop can take up at once."""

import asyncio

from tests.integration.rpc.probe import dial_open, root_of

MANY = 4_000


async def test_calls_wait_their_turn_and_none_is_cancelled(remote, probe):
    async with dial_open(remote) as channel:
        await root_of(channel)
        calls = await asyncio.gather(*(root_of(channel) for _ in range(MANY)))
    assert {b"x" * 100} == set(calls)
    assert MANY + 1 == len(probe.callers)
