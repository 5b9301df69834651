"""Registering: who may, what the session tells, and what ends it."""

from dataclasses import replace

import pytest

from swarmd import api
from swarmd.errors import UnavailableError
from tests import builders
from tests.unit.manager.dispatcher.agents import (
    DOWN,
    READY,
    Agent,
    Cluster,
    drain_stream,
    soon,
    state_of,
)
from workers.manager.dispatcher.server import DispatcherStoppedError
from workers.manager.dispatcher.sessions import (
    NodeNotFoundError,
    NodeNotRegisteredError,
    SessionInvalidError,
)


async def test_registered_node_is_ready_with_its_address_and_description(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    message = await agent.register(hostname="web-1")
    node = cluster.node("n1")
    assert (READY, "", "10.0.0.7") == (node.status.state, node.status.message, node.status.addr)
    assert "web-1" == node.description.hostname
    assert node == message.node


async def test_session_tells_managers_keys_and_root_ca(cluster: Cluster) -> None:
    manager = builders.node("m1", role=api.NodeRole.MANAGER)
    manager.manager_status.addr = "10.0.0.1:4242"
    await cluster.create("nodes", manager)
    key = api.EncryptionKey(subsystem="gossip", key=b"k")
    found = cluster.store.view().clusters.find()[0]

    def edit(own: api.Cluster) -> None:
        own.root_ca.ca_cert = b"root"
        own.network_bootstrap_keys.append(key)

    await cluster.edit("clusters", found.id, edit)
    message = await (await cluster.agent()).register()
    peer = api.Peer(node_id=manager.id, addr="10.0.0.1:4242")
    assert [api.WeightedPeer(peer=peer, weight=10)] == list(message.managers)
    assert [key] == list(message.network_bootstrap_keys)
    assert b"root" == message.RootCA


async def test_an_agent_is_told_the_address_by_which_it_reached_this_manager(
    cluster: Cluster,
) -> None:
    """Where the manager listens on every address of its host; others are told as they are."""
    for name in ("manager", "other"):
        manager = builders.node(name, role=api.NodeRole.MANAGER)
        manager.id = name
        manager.manager_status.addr = f"10.0.0.1:{len(name)}"
        await cluster.create("nodes", manager)
    cluster.dispatcher.reached_port = 4242
    agent = await cluster.agent()
    for host, told in (("192.168.7.1", "192.168.7.1:4242"), ("fd00::1", "[fd00::1]:4242")):
        agent.context.caller = replace(agent.context.caller, reached_host=host)
        message = await agent.register()
        assert {told, "10.0.0.1:5"} == {each.peer.addr for each in message.managers}


async def test_session_tells_what_changes_about_the_node_and_the_cluster(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    await agent.register()
    drain = api.NodeSpec.Availability.DRAIN
    await cluster.edit("nodes", "n1", lambda own: setattr(own.spec, "availability", drain))
    assert drain == (await soon(anext(agent.session))).node.spec.availability
    found = cluster.store.view().clusters.find()[0]
    await cluster.edit("clusters", found.id, lambda own: setattr(own.root_ca, "ca_cert", b"new"))
    message = await soon(anext(agent.session))
    assert (b"new", agent.session_id) == (message.RootCA, message.session_id)


async def test_node_that_is_not_in_the_cluster_is_not_found(cluster: Cluster) -> None:
    with pytest.raises(NodeNotFoundError):
        await Agent(cluster.dispatcher, "stranger").register()


async def test_unregistered_node_is_not_found_and_a_wrong_session_is_invalid(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    with pytest.raises(NodeNotRegisteredError):
        await agent.beat()
    await agent.register()
    agent.session_id = "wrong"
    with pytest.raises(SessionInvalidError):
        await agent.beat()
    with pytest.raises(SessionInvalidError):
        await anext(agent.assignments())
    with pytest.raises(SessionInvalidError):
        await agent.report()


async def test_session_that_is_still_valid_is_taken_up_again(cluster: Cluster) -> None:
    agent = await cluster.agent()
    first = (await agent.register(hostname="old")).session_id
    assert first == (await agent.register(first, hostname="new")).session_id
    assert "new" == cluster.node("n1").description.hostname


async def test_new_session_ends_the_streams_of_the_old_one(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    old_session, old_stream = agent.session, agent.assignments()
    await anext(old_stream)
    await agent.register()
    for stream in (old_session, old_stream):
        with pytest.raises(SessionInvalidError):
            await drain_stream(stream)


async def test_fifth_registration_in_eight_seconds_is_refused(cluster: Cluster) -> None:
    agent = await cluster.agent()
    for _ in range(4):
        await agent.register()
    with pytest.raises(UnavailableError):
        await agent.register()


async def test_closed_stream_leaves_the_node_ready_until_heartbeats_fail(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    await agent.register()
    await agent.session.aclose()
    await cluster.pass_time(10)
    assert READY == cluster.node("n1").status.state
    await cluster.pass_time(7)
    await cluster.wait(lambda: state_of(cluster.node("n1")) == (DOWN, "heartbeat failure"))


async def test_session_of_a_removed_node_ends(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    stream = agent.assignments()
    await anext(stream)
    await cluster.change(lambda tx: tx.nodes.delete("n1"))
    for each in (agent.session, stream):
        with pytest.raises(NodeNotRegisteredError):
            await drain_stream(each)
    with pytest.raises(NodeNotFoundError):
        await agent.register()


async def test_everything_is_refused_before_the_start_and_after_the_stop(idle: Cluster) -> None:
    agent = await idle.agent()
    with pytest.raises(DispatcherStoppedError, match="dispatcher is stopped"):
        await agent.register()
    await idle.start()
    await agent.register()
    stream = agent.assignments()
    await anext(stream)
    await idle.stop()
    for each in (agent.session, stream):
        with pytest.raises(DispatcherStoppedError):
            await drain_stream(each)
    with pytest.raises(DispatcherStoppedError):
        await agent.beat()


async def test_dispatcher_runs_again_when_this_manager_leads_again(idle: Cluster) -> None:
    agent = await idle.agent()
    for _ in range(2):
        await idle.start()
        await agent.register()
        assert READY == idle.node("n1").status.state
        await idle.stop()
