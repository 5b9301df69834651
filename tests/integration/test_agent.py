"""The agent against a dispatcher over real gRPC, without the rest of a manager."""

import asyncio
import json
import random
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.errors import CannotBootError, CorruptStateError, NotFoundError, UnavailableError
from swarmd.etcd_program import find_etcd
from swarmd.ipc.messages import Ready, Status
from swarmd.security.identity import WORKER
from swarmd.security.root_ca import RootCA
from tests import builders
from tests.etcd import why_not
from tests.fakes.agent_node import MANAGER_NODE, ROOT, Node
from tests.fakes.dispatcher import FakeDispatcher, free_port, serving
from tests.fakes.executor import Knobs
from tests.unit.security.builders import node_of
from workers.agent import session
from workers.agent.__main__ import main, run_agent
from workers.agent.executors.choose import Engines

S = api.TaskState


@pytest.fixture
def short_dir():
    """Unix sockets have short names only."""
    with tempfile.TemporaryDirectory(prefix="swd") as name:
        yield Path(name)


@pytest.fixture
async def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest.fixture
async def port(dispatcher, short_dir):
    async with serving(dispatcher, MANAGER_NODE, short_dir / "rpc") as port:
        yield port


@pytest.fixture
def node(port, short_dir) -> Node:
    return Node(short_dir / "node", (f"127.0.0.1:{port}",))


def assigned(**fields) -> api.Task:
    return builders.task(state=S.ASSIGNED, node_id="node", **fields)


def with_desired(task: api.Task, desired: int) -> api.Task:
    newer = api.Task()
    newer.CopyFrom(task)
    newer.desired_state = desired
    return newer


async def test_a_node_registers_with_its_description_and_is_ready(dispatcher, node) -> None:
    async with node.agent():
        await dispatcher.wait(lambda: dispatcher.heartbeats > 2)
        assert Ready() in node.said
        description = dispatcher.requests[0].description
        assert "host-1" == description.hostname
        assert "linux" == description.platform.os
        assert description.resources.nano_cpus >= 1_000_000_000
        quorum = [] if why_not() else [("Quorum", f"etcd-{find_etcd().version}")]
        assert [("Engine", "supervisor"), *quorum] == [
            (plugin.type, plugin.name) for plugin in description.engine.plugins
        ]
        assert 1 == len(dispatcher.requests)


async def test_an_assigned_task_runs_and_is_shut_down(dispatcher, node) -> None:
    task = assigned()
    async with node.agent():
        await dispatcher.wait(lambda: dispatcher.heartbeats > 0)
        dispatcher.assign(task)
        await dispatcher.wait_state(task, S.RUNNING)
        dispatcher.assign(with_desired(task, S.SHUTDOWN))
        await dispatcher.wait_state(task, S.SHUTDOWN)
        dispatcher.unassign(task)
        await wait_gone(node, task)


async def until(seen: Callable[[], bool]) -> None:
    """For what the dispatcher does not hear of."""
    async with asyncio.timeout(10):
        while not seen():  # noqa: ASYNC110  it is not ours to say when
            await asyncio.sleep(0.01)


async def beats(dispatcher: FakeDispatcher) -> None:
    """Two more heartbeats: there is a session now."""
    before = dispatcher.heartbeats
    await dispatcher.wait(lambda: dispatcher.heartbeats > before + 1)


async def wait_gone(node: Node, task: api.Task) -> None:
    await until(lambda: task.id not in node.engine.processes)


async def test_a_task_for_another_engine_is_rejected_with_the_reason(dispatcher, node) -> None:
    spec = builders.container(image="nginx:1.27")
    dispatcher.assign(task := assigned(spec=api.TaskSpec(container=spec)))
    async with node.agent():
        status = await dispatcher.wait_state(task, S.REJECTED)
    expected = (
        "this node has no Docker engine: image nginx:1.27 cannot run here; engines: supervisor"
    )
    assert expected == status.err


async def test_a_thousand_tasks_run_soon(dispatcher, node) -> None:
    tasks = [assigned() for _ in range(1000)]
    async with node.agent():
        await dispatcher.wait(lambda: dispatcher.heartbeats > 0)
        begin = time.monotonic()
        dispatcher.assign(*tasks)
        await dispatcher.wait(lambda: all(dispatcher.state(task) == S.RUNNING for task in tasks))
        seconds = time.monotonic() - begin
    assert seconds < 10
    print(f"\n1,000 tasks RUNNING after {seconds:.2f} s")  # noqa: T201


async def test_a_restarted_agent_adopts_its_tasks(dispatcher, node) -> None:
    tasks = [assigned() for _ in range(20)]
    dispatcher.assign(*tasks)
    async with node.agent():
        await dispatcher.wait(lambda: all(dispatcher.state(task) == S.RUNNING for task in tasks))
    assert 20 == node.engine.count("close")
    node.engine.processes[tasks[0].id].end(7)
    dispatcher.statuses.clear()
    async with node.agent():
        status = await dispatcher.wait_state(tasks[0], S.FAILED)
        await dispatcher.wait(
            lambda: all(dispatcher.state(task) == S.RUNNING for task in tasks[1:])
        )
    assert 7 == status.container.exit_code
    assert {1} == set(node.engine.starts.values())


async def test_a_restarted_agent_needs_no_manager_for_its_tasks(dispatcher, node) -> None:
    dispatcher.assign(task := assigned())
    async with node.agent():
        await dispatcher.wait_state(task, S.RUNNING)
    node.addresses = (f"127.0.0.1:{free_port()}",)
    node.state_dir.remotes.unlink(missing_ok=True)
    node.engine.processes[task.id].end(3)
    async with node.agent():
        await until(lambda: node.engine.calls["wait", task.id] > 1)
    assert 1 == node.engine.starts[task.id]


async def test_an_agent_removes_what_was_unassigned_while_it_was_away(dispatcher, node) -> None:
    dispatcher.assign(kept := assigned(), gone := assigned())
    async with node.agent():
        await dispatcher.wait_state(gone, S.RUNNING)
        await dispatcher.wait_state(kept, S.RUNNING)
    del dispatcher.tasks[gone.id]
    async with node.agent():
        await wait_gone(node, gone)
    assert {kept.id} == set(node.engine.processes)


async def test_a_removal_that_was_cut_short_goes_on(dispatcher, node) -> None:
    node.engine.knobs = Knobs(remove_fails=OSError("busy"))
    dispatcher.assign(task := assigned())
    async with node.agent():
        await dispatcher.wait_state(task, S.RUNNING)
        dispatcher.unassign(task)
        await until(lambda: node.engine.calls["remove", task.id] > 0)
    node.engine.knobs = Knobs()
    async with node.agent():
        await wait_gone(node, task)


async def test_a_gap_in_the_assignments_is_healed(dispatcher, node) -> None:
    async with node.agent():
        dispatcher.assign(first := assigned())
        await dispatcher.wait_state(first, S.RUNNING)
        dispatcher.lose(lost := assigned())
        dispatcher.assign(later := assigned())
        await dispatcher.wait_state(lost, S.RUNNING)
        await dispatcher.wait_state(later, S.RUNNING)
        assert 1 == len(dispatcher.requests), "the session itself goes on"


async def test_a_manager_that_crashed_is_found_again_at_once(dispatcher, node, short_dir) -> None:
    port = free_port()
    node.addresses = (f"127.0.0.1:{port}",)
    dispatcher.assign(task := assigned())
    async with node.agent():
        async with serving(dispatcher, MANAGER_NODE, short_dir / "a", port):
            await dispatcher.wait_state(task, S.RUNNING)
        registrations = len(dispatcher.requests)
        node.engine.processes[task.id].end(1)
        await asyncio.sleep(0.8)  # a new manager needs as long
        async with serving(dispatcher, MANAGER_NODE, short_dir / "b", port):
            begin = time.monotonic()
            await dispatcher.wait(lambda: len(dispatcher.requests) > registrations)
            assert time.monotonic() - begin < 0.5
            await dispatcher.wait_state(task, S.FAILED)


async def test_the_session_is_kept_over_a_reconnect(dispatcher, node, short_dir) -> None:
    port = free_port()
    node.addresses = (f"127.0.0.1:{port}",)
    async with node.agent():
        for name in ("a", "b"):
            async with serving(dispatcher, MANAGER_NODE, short_dir / name, port):
                await beats(dispatcher)
    assert ["", "session-1"] == [request.session_id for request in dispatcher.requests]


async def test_a_dispatcher_that_forgot_the_session_gives_a_new_one(dispatcher, node) -> None:
    dispatcher.assign(task := assigned())
    async with node.agent():
        await dispatcher.wait_state(task, S.RUNNING)
        dispatcher.statuses.clear()
        dispatcher.session_id = "of another leader"
        await dispatcher.wait_state(task, S.RUNNING)
    assert "session-2" == dispatcher.session_id


async def test_managers_are_remembered_across_restarts(dispatcher, node, port) -> None:
    address = f"127.0.0.1:{port}"
    peer = api.Peer(node_id="manager", addr=address)
    dispatcher.managers = [api.WeightedPeer(peer=peer, weight=10)]
    async with node.agent():
        await until(node.state_dir.remotes.exists)
    expected = [{"node_id": "manager", "addr": address}]
    assert expected == json.loads(node.state_dir.remotes.read_text())
    node.addresses = ()
    async with node.agent():
        await beats(dispatcher)


async def test_a_node_finds_another_manager_when_its_own_is_gone(dispatcher, node, port) -> None:
    node.addresses = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}")
    async with node.agent():
        await dispatcher.wait(lambda: dispatcher.heartbeats > 0)


async def test_engines_hear_of_their_node(dispatcher, node) -> None:
    async with node.agent():
        await dispatcher.wait(lambda: dispatcher.heartbeats > 0)
        spec = api.NodeSpec(annotations=api.Annotations(labels={"zone": "a"}))
        dispatcher.tell(node=api.Node(id="node", spec=spec))
        await until(lambda: "a" == node.engine.node.spec.annotations.labels.get("zone"))


async def test_a_changed_node_registers_again_in_the_same_session(dispatcher, node) -> None:
    node.engine.describe_fails = UnavailableError("the engine starts")
    async with node.agent():
        await dispatcher.wait(lambda: dispatcher.heartbeats > 0)
        node.engine.describe_fails = None
        await dispatcher.wait(lambda: len(dispatcher.requests) > 1)
    first, second = dispatcher.requests
    assert [0, 1] == [
        sum(plugin.type == "Engine" for plugin in one.description.engine.plugins)
        for one in (first, second)
    ]
    assert "session-1" == second.session_id


async def test_a_removed_node_says_so_and_keeps_trying(dispatcher, node, caplog) -> None:
    dispatcher.refuse = NotFoundError("node", "node")
    async with node.agent():
        await dispatcher.wait(lambda: len(dispatcher.requests) > 2)
        assert Ready() not in node.said
        dispatcher.refuse = None
        await dispatcher.wait(lambda: dispatcher.heartbeats > 0)
    assert "was it removed?" in caplog.text


async def test_a_certificate_of_another_swarm_is_named_in_the_log(dispatcher, node, caplog) -> None:
    foreign = RootCA.create(time.time())
    node_of(foreign, time.time(), node_id="node", role=WORKER).save(node.state_dir)
    async with node.agent():
        await until(lambda: "do not trust each other's certificates" in caplog.text)


async def test_a_certificate_that_ran_out_is_named_in_the_log(dispatcher, node, caplog) -> None:
    long_ago = time.time() - 100 * 24 * 3600
    node_of(ROOT, long_ago, node_id="node", role=WORKER).save(node.state_dir)
    async with node.agent():
        await until(lambda: "does not accept this node's certificate" in caplog.text)
    reasons = [getattr(record, "swarmd_fields", {}).get("reason") for record in caplog.records]
    assert any("ran out on" in str(reason) for reason in reasons)


async def test_a_manager_that_hangs_is_given_up(dispatcher, node, port, monkeypatch) -> None:
    monkeypatch.setattr(session, "RPC_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"127.0.0.1:{silent.getsockname()[1]}"
        node.addresses = (hanging, f"127.0.0.1:{port}")
        async with node.agent():
            await beats(dispatcher)


async def test_a_dispatcher_that_hangs_ends_the_session(dispatcher, node, monkeypatch) -> None:
    monkeypatch.setattr(session, "RPC_SECONDS", 0.3)
    async with node.agent():
        await beats(dispatcher)
        dispatcher.hangs = True
        await dispatcher.wait(lambda: len(dispatcher.requests) > 1)
        dispatcher.hangs = False
        await beats(dispatcher)


async def test_a_secret_reaches_the_task_that_names_it(dispatcher, node) -> None:
    secret = builders.secret()
    reference = api.SecretReference(secret_id=secret.id, secret_name="s")
    spec = api.TaskSpec(container=builders.container(secrets=[reference]))
    dispatcher.assign(secret, task := assigned(spec=spec))
    missing = api.SecretReference(secret_id="nowhere", secret_name="t")
    spec = api.TaskSpec(container=builders.container(secrets=[missing]))
    dispatcher.assign(without := assigned(spec=spec))
    async with node.agent():
        await dispatcher.wait_state(task, S.RUNNING)
        assert "nowhere" in (await dispatcher.wait_state(without, S.REJECTED)).err


async def test_the_parent_hears_how_many_tasks_there_are(dispatcher, node) -> None:
    dispatcher.assign(task := assigned())
    async with node.agent():
        await dispatcher.wait_state(task, S.RUNNING)
        await until(lambda: "1 RUNNING" == facts(node).get("task_states"))
    assert {"tasks": "1", "engines": "supervisor"}.items() <= facts(node).items()


def facts(node: Node) -> dict[str, str]:
    told = [message.facts for message in node.said if isinstance(message, Status)]
    return told[-1] if told else {}


async def test_a_stop_is_quick_and_leaves_the_tasks_alone(dispatcher, node) -> None:
    tasks = [assigned() for _ in range(200)]
    dispatcher.assign(*tasks)
    async with node.agent():
        await dispatcher.wait(lambda: all(dispatcher.state(task) == S.RUNNING for task in tasks))
        begin = time.monotonic()
    assert time.monotonic() - begin < 1
    assert 0 == node.engine.count("shutdown")


async def test_a_damaged_database_ends_the_agent_and_names_the_file(node) -> None:
    node.state_dir.tasks_db.write_bytes(b"garbage" * 100)
    with pytest.raises(CannotBootError, match=str(node.state_dir.tasks_db)):
        await run_agent(node.link, Engines([node.engine]), SystemClock(), random.Random(0))


async def test_missing_certificates_end_the_agent_and_name_the_file(node) -> None:
    node.state_dir.node_certificate.unlink()
    with pytest.raises(CorruptStateError, match=r"swarm-node\.crt"):
        await run_agent(node.link, Engines([node.engine]), SystemClock(), random.Random(0))


@pytest.mark.parametrize("address", ["podman://x", "nonsense"])
async def test_an_engine_that_is_not_there_ends_the_agent(short_dir, address) -> None:
    node = Node(short_dir / "node", (), engine_addr=(address,))
    with pytest.raises(CannotBootError, match=address):
        await main(node.link)


async def test_generic_resources_that_cannot_be_read_end_the_agent(short_dir) -> None:
    node = Node(short_dir / "node", (), generic_node_resources="gpu")
    with pytest.raises(CannotBootError, match="gpu"):
        await run_agent(node.link, Engines([node.engine]), SystemClock(), random.Random(0))
