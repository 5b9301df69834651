import asyncio
import json

import pytest

from swarmd.errors import CannotBootError
from swarmd.ipc.messages import (
    CertificateRenewed,
    Configure,
    LogLevel,
    Managers,
    NodeChanged,
    Ready,
)
from swarmd.node.errors import NodeBrokenError, NodeKilledError
from swarmd.supervision.supervisor import WorkerFatalError
from tests.fakes.child import until

MANAGER = NodeChanged("node-1", "cluster-1", "manager", "127.0.0.1:4242")


def kinds(child):
    return [type(message) for message in child.sent]


def report(bench):
    return json.loads(bench.node._state_dir.node_report.read_bytes())


async def test_a_first_nodes_agent_waits_until_the_manager_has_a_certificate(bench):
    await bench.node.start()
    agent, manager = await bench.child("agent"), await bench.child("manager")
    assert ([], [Configure, LogLevel]) == (kinds(agent), kinds(manager))
    manager.say(MANAGER)
    await until(lambda: agent.sent)
    assert [Configure, LogLevel, Managers] == kinds(agent)
    assert Managers(("127.0.0.1:4242",)) == agent.sent[-1]


async def test_a_joining_node_starts_its_agent_alone(joining):
    await joining.node.start()
    agent = await joining.child("agent")
    agent.say(NodeChanged("node-2", "cluster-1", "worker"))
    agent.say(Ready())
    await joining.node.ready.wait()
    assert [] == joining.spawns["manager"].children


async def test_a_promotion_starts_a_manager_and_the_agent_does_not_notice(joining):
    await joining.node.start()
    agent = await joining.child("agent")
    agent.say(NodeChanged("node-2", "cluster-1", "worker"))
    agent.say(Ready())
    await joining.node.ready.wait()
    agent.say(NodeChanged("node-2", "cluster-1", "manager"))
    await joining.child("manager")
    assert [] == agent.signals


async def test_a_demotion_drains_the_manager_and_the_agent_does_not_notice(bench):
    await bench.make_ready()
    agent, manager = await bench.child("agent"), await bench.child("manager")
    agent.say(NodeChanged("node-1", "cluster-1", "worker"))
    await until(lambda: "manager" not in bench.node._crew._members)
    assert (["TERM"], []) == (manager.signals, agent.signals)


async def test_a_promotion_during_the_drain_waits_for_its_end(bench):
    await bench.make_ready()
    agent, manager = await bench.child("agent"), await bench.child("manager")
    manager._ignores_stop = True
    agent.say(NodeChanged("node-1", "cluster-1", "worker"))
    await until(lambda: manager.signals)
    agent.say(NodeChanged("node-1", "cluster-1", "manager"))
    await asyncio.sleep(0)
    assert 1 == len(bench.spawns["manager"].children)
    manager.exit(0)
    assert [] == (await bench.child("manager", 2)).signals


async def test_workers_stop_agent_first(bench):
    await bench.make_ready()
    agent, manager = await bench.child("agent"), await bench.child("manager")
    agent._ignores_stop = True
    bench.node.ask_to_stop()
    await until(lambda: agent.signals)
    assert [] == manager.signals
    agent.exit(0)
    await bench.node.err()
    assert ["TERM"] == manager.signals


async def test_a_worker_that_is_given_up_ends_the_node_and_the_others_stop(bench):
    await bench.node.start()
    (await bench.child("agent")).exit(1)
    error = await bench.node.err()
    assert isinstance(error, WorkerFatalError)
    assert ["TERM"] == (await bench.child("manager")).signals
    assert not bench.node.stopped.is_set()


async def test_a_kill_waits_for_nobody(bench):
    await bench.make_ready()
    agent = await bench.child("agent")
    agent._ignores_stop = True
    bench.node.kill()
    assert isinstance(await bench.node.err(), NodeKilledError)
    assert "KILL" in agent.signals


async def test_a_mistake_of_our_own_ends_the_node_with_its_workers_killed(bench):
    await bench.make_ready()
    bench.node._crew.apply = lambda briefs: briefs["nobody"]
    bench.node.set_log_level("debug")
    assert isinstance(await bench.node.err(), NodeBrokenError)
    assert ["KILL"] == (await bench.child("agent")).signals


async def test_a_renewed_certificate_is_told_to_the_other_worker(bench):
    await bench.make_ready()
    agent, manager = await bench.child("agent"), await bench.child("manager")
    agent.say(CertificateRenewed())
    assert CertificateRenewed() == manager.sent[-1]
    assert CertificateRenewed not in kinds(agent)


async def test_a_new_log_level_is_told_to_the_workers_and_to_their_successors(bench):
    await bench.make_ready()
    bench.node.set_log_level("debug")
    agent, manager = await bench.child("agent"), await bench.child("manager")
    await until(lambda: LogLevel("debug") in agent.sent)
    assert LogLevel("debug") == manager.sent[-1]
    agent.exit(1)
    assert LogLevel("debug") in (await bench.child("agent", 2)).sent


async def test_a_state_directory_that_cannot_be_made_is_named(tmp_path):
    from tests.unit.node.conftest import NodeBench  # noqa: PLC0415

    (tmp_path / "file").write_text("")
    bench = NodeBench(tmp_path / "file" / "state")
    await bench.node.start()
    error = await bench.node.err()
    assert isinstance(error, CannotBootError)
    assert str(tmp_path / "file") in str(error)


async def test_the_report_says_what_runs(bench):
    await bench.make_ready()
    await bench.node.stop()
    facts = report(bench)
    assert ("stopped", False, "") == (facts["phase"], facts["ready"], facts["reason"])
    assert ("node-1", "cluster-1", "manager") == tuple(
        facts[name] for name in ("node_id", "cluster_id", "role")
    )
    assert {"manager": "STOPPED", "agent": "STOPPED"} == {
        process["name"]: process["state"] for process in facts["processes"]
    }


async def test_the_report_says_why_the_node_ended(bench):
    await bench.node.start()
    (await bench.child("manager")).exit(78)
    await bench.node.err()
    assert "manager cannot boot: exit status 78" == report(bench)["reason"]


@pytest.mark.parametrize("role", ["manager", "worker"])
async def test_a_certificate_on_disk_says_the_role_at_once(bench, role):
    from tests.unit.node.test_plan import certificate  # noqa: PLC0415

    path = bench.node._state_dir.node_certificate
    path.parent.mkdir(parents=True)
    path.write_bytes(certificate(f"swarm-{role}"))
    await bench.node.start()
    agent = await bench.child("agent")
    assert [Configure, LogLevel] == kinds(agent)
    assert (role == "manager") == bool(bench.spawns["manager"].children)
