"""What an agent is told of volumes, and what its word on them changes."""

from swarmd import api
from tests import builders
from tests.unit.manager.dispatcher.agents import Agent, Cluster, soon, turn

State = api.VolumePublishStatus.State
Action = api.AssignmentChange.AssignmentAction


def volume(*secrets: api.Secret, **on: int) -> api.Volume:
    """One with these publish states, by node."""
    built = builders.volume()
    built.spec.driver.name = "d"
    built.volume_info.volume_id = "disk"
    built.volume_info.volume_context["made"] = "yes"
    for secret in secrets:
        built.spec.secrets.add(key="k", secret=secret.id)
    for node_id, state in on.items():
        built.publish_status.add(node_id=node_id, state=state, publish_context={"on": node_id})
    return built


def told(message: api.AssignmentsMessage) -> list[str]:
    """+ or -, and of which kind it is: the secrets before the volume that needs them."""
    return [
        ("-" if change.action == Action.REMOVE else "+")
        + (change.assignment.WhichOneof("item") or "")
        for change in message.changes
    ]


async def move(cluster: Cluster, one: api.Volume, state: int | None, on: str = "n1") -> None:
    """Give it that publish state on the node; None: none."""

    def change(own: api.Volume) -> None:
        kept = [each for each in own.publish_status if each.node_id != on]
        del own.publish_status[:]
        own.publish_status.extend(kept)
        if state is not None:
            own.publish_status.add(node_id=on, state=state)

    await cluster.edit("volumes", one.id, change)


async def registered(cluster: Cluster) -> Agent:
    agent = await cluster.agent()
    await agent.register()
    return agent


async def test_a_volume_is_sent_once_it_is_published_and_taken_back_with_all_of_it(
    cluster: Cluster,
) -> None:
    agent, secret = await registered(cluster), builders.secret()
    data = volume(secret, n1=State.PENDING_PUBLISH, n2=State.PUBLISHED)
    await cluster.create("secrets", secret)
    await cluster.create("volumes", data)
    stream = agent.assignments()
    assert [] == told(await soon(anext(stream)))
    cluster.clock.advance(seconds=1)
    await move(cluster, data, State.PUBLISHED)
    message = await soon(anext(stream))
    assert ["+secret", "+volume"] == sorted(told(message))
    assigned = next(x.assignment.volume for x in message.changes if x.assignment.volume.id)
    assert (data.id, "disk", "d") == (assigned.id, assigned.volume_id, assigned.driver.name)
    assert {"made": "yes"} == dict(assigned.volume_context)
    cluster.clock.advance(seconds=1)
    await move(cluster, data, State.PENDING_NODE_UNPUBLISH)
    message = await soon(anext(stream))
    assert ["-volume"] == told(message)
    assert "disk" == message.changes[0].assignment.volume.volume_id
    cluster.clock.advance(seconds=1)
    await move(cluster, data, State.PENDING_UNPUBLISH)
    assert ["-secret"] == told(await soon(anext(stream)))


async def test_a_new_stream_says_what_is_published_and_what_is_to_go(cluster: Cluster) -> None:
    agent = await registered(cluster)
    here, going = volume(n1=State.PUBLISHED), volume(n1=State.PENDING_NODE_UNPUBLISH)
    gone, far = volume(n1=State.PENDING_UNPUBLISH), volume(n2=State.PUBLISHED)
    await cluster.create("volumes", here, going, gone, far)
    message = await soon(anext(agent.assignments()))
    assert ["+volume", "-volume"] == told(message)
    assert [here.id, going.id] == [each.assignment.volume.id for each in message.changes]
    assert "n1" == message.changes[0].assignment.volume.publish_context["on"]


async def test_a_volume_removed_by_force_is_taken_back(cluster: Cluster) -> None:
    agent, data = await registered(cluster), volume(n1=State.PUBLISHED)
    await cluster.create("volumes", data)
    stream = agent.assignments()
    assert ["+volume"] == told(await soon(anext(stream)))
    cluster.clock.advance(seconds=1)
    await cluster.change(lambda tx: tx.volumes.delete(data.id))
    assert ["-volume"] == told(await soon(anext(stream)))


async def test_what_changes_for_other_nodes_is_not_told(cluster: Cluster) -> None:
    agent, data = await registered(cluster), volume(n1=State.PUBLISHED)
    other = volume(n1=State.PENDING_PUBLISH)
    await cluster.create("volumes", data, other)
    stream = agent.assignments()
    assert ["+volume"] == told(await soon(anext(stream)))
    cluster.clock.advance(seconds=1)
    await move(cluster, data, State.PUBLISHED, on="n2")
    await move(cluster, other, State.PUBLISHED)
    message = await soon(anext(stream))
    assert [other.id] == [each.assignment.volume.id for each in message.changes]


async def test_a_late_word_on_an_earlier_round_changes_nothing(cluster: Cluster) -> None:
    agent, data = await registered(cluster), volume(n1=State.PUBLISHED)
    probe = volume(n1=State.PENDING_NODE_UNPUBLISH)
    await cluster.create("volumes", data, probe)
    request = api.UpdateVolumeStatusRequest(session_id=agent.session_id)
    request.updates.add(id=data.id, unpublished=True)
    request.updates.add(id=probe.id, unpublished=True)
    request.updates.add(id="gone", unpublished=True)
    await cluster.dispatcher.UpdateVolumeStatus(request, agent.context)

    def state(one: api.Volume) -> int:
        found = cluster.store.view().volumes.get(one.id)
        assert found is not None
        return found.publish_status[0].state

    for _ in range(5):
        await turn()
    assert State.PENDING_UNPUBLISH == state(probe)
    assert State.PUBLISHED == state(data)
