"""A worker of a few lines, run as a real process: python worker.py NAME [BEHAVIOUR …].

Behaviours: late-ready and slow-stop (half a second each), refuse, corrupt, fail, lose-etcd,
ignore-stop, start-child, and role=worker or role=manager for what it says of the node. SIGUSR1
hangs its loop. What it does is noted in the state directory's journal.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

from swarmd.errors import CannotBootError, CorruptStateError, SwarmError
from swarmd.ipc.messages import Managers, NodeChanged, Ready, Status
from swarmd.ipc.parent_link import ParentLink
from workers.program import run_worker

NAME, *BEHAVIOUR = sys.argv[1:]


async def main(link: ParentLink) -> None:
    journal = Path(link.config.state_dir) / "journal"
    note(journal, "started")
    # A loop that is stuck: it neither hears nor says anything.
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, time.sleep, 60)
    if "refuse" in BEHAVIOUR:
        raise CannotBootError("the flag --listen-remote-api does not parse")
    if "corrupt" in BEHAVIOUR:
        await in_a_group(CorruptStateError("tasks.db is corrupt"))
    if "lose-etcd" in BEHAVIOUR:
        await in_a_group(SwarmError("etcd was killed by SIGKILL"))
    if "start-child" in BEHAVIOUR:
        child = await asyncio.create_subprocess_exec("sleep", "60", stdout=2)
        (Path(link.config.state_dir) / "child").write_text(str(child.pid))
    if "fail" in BEHAVIOUR:
        raise RuntimeError("no such luck")
    if "late-ready" in BEHAVIOUR:
        await asyncio.sleep(0.5)
    role = next((word[5:] for word in BEHAVIOUR if word.startswith("role=")), "manager")
    addr = "127.0.0.1:4242" if NAME == "manager" else ""
    link.report(NodeChanged("node-1", "cluster-1", role, addr))
    link.report(Ready())
    link.report(Status({"level": "as told"}))
    try:
        async for update in link.updates():
            note(journal, f"heard {update}" if isinstance(update, Managers) else "heard")
        await asyncio.Event().wait()
    finally:
        if "slow-stop" in BEHAVIOUR:
            await asyncio.sleep(0.5)
        if "ignore-stop" in BEHAVIOUR:
            await asyncio.sleep(60)
        note(journal, "stopped")


async def in_a_group(error: Exception) -> None:
    async def fail() -> None:
        raise error

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


def note(journal: Path, words: str) -> None:
    with journal.open("a") as file:
        file.write(f"{NAME} {words}\n")


if __name__ == "__main__":
    run_worker(NAME, main)
