"""A manager's control API over a store in memory, on a real control socket, and swarmctl at it."""

import asyncio
import json
import random
import shlex
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from swarmd.clock import SystemClock
from swarmd.ctl.main import main
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.server import make_server
from swarmd.store import MemoryBackend, Store
from tests import builders, stored
from tests.integration.rpc.probe import ME, running
from tests.unit.manager.control.calls import OnlyMember
from workers.manager.control.pages import PagesServicer
from workers.manager.control.server import ControlServicer


class Swarm:
    """`docker …` → `swarmctl …`, word for word; nothing runs here, so it never waits."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def run(self, line: str, data: str = "") -> Result:
        words = shlex.split(line.removeprefix("$ "))
        assert "docker" == words.pop(0)
        if words[:1] == ["service"] and words[1] in ("create", "update", "scale", "rollback"):
            words.insert(2, "--detach")
        if words[:2] == ["stack", "deploy"]:
            words.insert(2, "--detach")
        return CliRunner().invoke(main, ["--socket", str(self.socket), *words], input=data)

    def __call__(self, line: str, data: str = "") -> str:
        done = self.run(line, data)
        assert 0 == done.exit_code, done.output
        return done.stdout

    def refused(self, line: str) -> str:
        done = self.run(line)
        assert done.exit_code
        return done.stderr

    def inspect(self, name: str, kind: str = "service") -> "Shape":
        (found,) = json.loads(self(f"docker {kind} inspect --format json {name}"))
        return Shape(found)


class Shape(dict[str, Any]):
    """An object; `["Spec.Mode.Replicated"]` is a path into it, None where it ends early."""

    def __missing__(self, path: str) -> Any:
        value: Any = dict(self)
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value


@pytest.fixture
def swarm() -> Iterator[Swarm]:
    with tempfile.TemporaryDirectory(prefix="swd") as name:
        swarm = Swarm(Path(name) / "c.sock")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        ready = threading.Event()
        serving = asyncio.run_coroutine_threadsafe(_serve(swarm, ready), loop)
        try:
            assert ready.wait(30)
            yield swarm
        finally:
            serving.cancel()
            asyncio.run_coroutine_threadsafe(_idle(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(30)
            loop.close()


async def _idle() -> None:
    """Wait until what was cancelled has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


async def _serve(swarm: Swarm, ready: threading.Event) -> None:
    clock = SystemClock()
    async with Store(MemoryBackend(), clock) as store:
        node = builders.node("worker1", id=ME.identity.node_id)
        ingress = builders.network("ingress")
        ingress.spec.ingress = True
        await stored.add(store, builders.cluster(), node, ingress)
        control = ControlServicer(store, clock, random.Random(0), OnlyMember("m"), lambda *_: False)
        server = make_server(
            [control, PagesServicer(control)],
            Authorizer(ME.identity),
            certificates=ME,
            directory=swarm.socket.parent / "run",
            clock=clock,
            random=random.Random(1),
        )
        server.listen_control(swarm.socket)
        async with running(server):
            ready.set()
            await asyncio.Event().wait()
