"""A loop that is busy takes up many calls in each of its turns."""

import asyncio
import sys
import time
from pathlib import Path

from swarmd.rpc.server import Server
from swarmd.rpc.wakeups import take_all
from tests.integration.rpc.probe import ROOT, Probe, dial_open, make_server_of, root_of, running

CALLS = 200
CALLER = """
import asyncio, sys
from swarmd.rpc.channel import dial_to_join
from tests.integration.rpc.probe import root_of

async def main(address, root):
    channels = [dial_to_join(address, root.encode()) for _ in range(50)]
    await asyncio.gather(*map(root_of, channels))
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(root_of(channel) for channel in channels for _ in range(4)))

asyncio.run(main(*sys.argv[1:]))
"""


async def caller(address: str) -> asyncio.subprocess.Process:
    """A program with fifty connections, which calls two hundred times once it is told to."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALLER, address, ROOT.certificate_pem.decode()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )


async def busy_turns_until(done: asyncio.Event) -> int:
    """Something else takes ten milliseconds of every turn of the loop."""
    turns = 0
    while not done.is_set():
        time.sleep(0.01)  # noqa: ASYNC251 - the loop is to be busy
        turns += 1
        await asyncio.sleep(0)
    return turns


async def test_calls_of_many_connections_take_a_turn_for_several(directory: Path) -> None:
    """grpcio by itself takes four turns for each of them."""
    take_all(asyncio.get_running_loop())
    probe = Probe()
    server = make_server_of(probe, directory / "run")
    port = server.listen_remote("127.0.0.1:0")
    async with running(server):
        program = await caller(f"127.0.0.1:{port}")
        assert program.stdin is not None
        assert program.stdout is not None
        async with asyncio.timeout(60):
            assert b"ready\n" == await program.stdout.readline()
            done = asyncio.Event()
            turns = asyncio.create_task(busy_turns_until(done))
            program.stdin.write(b"go\n")
            assert 0 == await program.wait()
            done.set()
            assert await turns < 2 * CALLS
    assert CALLS + 50 == len(probe.callers)


async def test_every_call_that_came_is_taken_when_the_server_has_heard(
    server: Server, remote: str, probe: Probe
) -> None:
    async with dial_open(remote) as channel:
        await root_of(channel)
        before = len(probe.callers)
        calls = [asyncio.ensure_future(root_of(channel)) for _ in range(CALLS)]
        async with asyncio.timeout(30):
            while len(probe.callers) < before + CALLS // 2:  # noqa: ASYNC110 - the rest waits behind
                await asyncio.sleep(0)
            await server.hear()
        assert before + CALLS == len(probe.callers)
        await asyncio.gather(*calls)
