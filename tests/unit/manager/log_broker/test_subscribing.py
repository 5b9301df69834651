"""What a subscriber gets: all that its nodes say, and at the end whose output is missing."""

import pytest

from swarmd import api
from swarmd.errors import InvalidArgumentError
from tests.unit.manager.log_broker.conversation import DOWN, Conversation, turn
from workers.manager.log_broker.server import PATIENCE_SECONDS
from workers.manager.log_broker.subscriptions import IncompleteError


async def test_a_service_s_output_comes_from_all_of_its_nodes(talk: Conversation):
    agents = [await talk.agent(name) for name in ("n1", "n2")]
    for agent in agents:
        await talk.task(agent.node_id)
    subscriber = talk.subscribe(service_ids=["web"])
    for agent in agents:
        asked = await agent.next_asked()
        assert ["web"] == asked.selector.service_ids
        await agent.publish(agent.says(asked.id, b"one\n", b"two\n"))
    assert 2 * [b"one\n", b"two\n"] == await subscriber.rest()


async def test_a_task_s_output_is_asked_of_its_node_alone(talk: Conversation):
    first, second = await talk.agent("n1"), await talk.agent("n2")
    task = await talk.task("n2")
    subscriber = talk.subscribe(task_ids=[task.id])
    asked = await second.next_asked()
    await second.publish(second.says(asked.id, b"hello\n"))
    assert [b"hello\n"] == await subscriber.rest()
    assert first.asked.empty()


async def test_nothing_to_show_ends_at_once(talk: Conversation):
    assert [] == await talk.subscribe(service_ids=["unknown"], task_ids=["unknown"]).rest()


@pytest.mark.parametrize("selector", [None, api.LogSelector()])
async def test_a_selector_is_needed(talk: Conversation, selector):
    request = api.SubscribeLogsRequest(selector=selector)
    with pytest.raises(InvalidArgumentError, match="log selector must"):
        await anext(talk.broker.SubscribeLogs(request, None))


async def test_an_unknown_node_is_named(talk: Conversation):
    with pytest.raises(IncompleteError, match="node nobody is not available"):
        await talk.subscribe(node_ids=["nobody"]).rest()


async def test_a_node_without_an_agent_is_named_after_what_the_others_said(talk: Conversation):
    agent = await talk.agent("n1")
    absent = await talk.agent("n2")
    await absent.disconnect()
    for name in ("n1", "n2"):
        await talk.task(name)
    subscriber = talk.subscribe(service_ids=["web"])
    asked = await agent.next_asked()
    await agent.publish(agent.says(asked.id, b"hello\n"))
    assert [b"hello\n"] == await subscriber.next()
    with pytest.raises(IncompleteError, match=r"node host-n2 \(n2\) is not available"):
        await subscriber.next()


async def test_a_node_that_is_down_is_not_waited_for_though_its_stream_is_open(talk: Conversation):
    await talk.agent("n1")
    await talk.edit("nodes", "n1", status=api.NodeStatus(state=DOWN))
    await talk.task("n1")
    with pytest.raises(IncompleteError, match=r"node host-n1 \(n1\) is not available"):
        await talk.subscribe(service_ids=["web"]).rest()


async def test_a_node_that_goes_down_is_not_waited_for(talk: Conversation):
    agent = await talk.agent("n1")
    await talk.task("n1")
    subscriber = talk.subscribe(service_ids=["web"])
    await agent.next_asked()
    await talk.edit("nodes", "n1", status=api.NodeStatus(state=DOWN))
    with pytest.raises(IncompleteError, match=r"node host-n1 \(n1\) is down"):
        await subscriber.rest()


async def test_a_node_that_is_removed_is_not_waited_for(talk: Conversation):
    agent = await talk.agent("n1")
    await talk.task("n1")
    subscriber = talk.subscribe(service_ids=["web"])
    await agent.next_asked()
    await talk.store.update(lambda tx: tx.nodes.delete("n1"))
    with pytest.raises(IncompleteError, match="node n1 is down"):
        await subscriber.rest()


async def test_an_agent_that_disconnects_is_not_waited_for(talk: Conversation):
    agent = await talk.agent("n1")
    await talk.task("n1")
    subscriber = talk.subscribe(service_ids=["web"])
    await agent.next_asked()
    await agent.disconnect()
    with pytest.raises(IncompleteError, match=r"node host-n1 \(n1\) disconnected"):
        await subscriber.rest()


async def test_an_agent_that_says_nothing_is_given_up(talk: Conversation):
    agent = await talk.agent("n1")
    await talk.task("n1")
    subscriber = talk.subscribe(service_ids=["web"])
    await agent.next_asked()
    await talk.clock.wait_sleepers()
    talk.clock.advance(seconds=PATIENCE_SECONDS)
    with pytest.raises(IncompleteError, match=r"node host-n1 \(n1\) does not answer"):
        await subscriber.rest()


async def test_a_task_without_a_node_is_named(talk: Conversation):
    task = await talk.task("", api.TaskState.PENDING)
    with pytest.raises(IncompleteError, match=f"{task.id} has not been scheduled"):
        await talk.subscribe(task_ids=[task.id]).rest()


async def test_a_service_s_tasks_that_never_ran_are_passed_over(talk: Conversation):
    await talk.task("", api.TaskState.PENDING)
    await talk.task("n1", api.TaskState.PREPARING)
    assert [] == await talk.subscribe(service_ids=["web"]).rest()


async def test_hundreds_of_missing_nodes_fit_one_line(talk: Conversation):
    with pytest.raises(IncompleteError) as caught:
        await talk.subscribe(node_ids=[f"n{number}" for number in range(500)]).rest()
    assert str(caught.value).endswith("node n19 is not available, and 480 more")


async def test_who_follows_gets_what_comes_later_from_nodes_that_come_later(talk: Conversation):
    first, second = await talk.agent("n1"), await talk.agent("n2")
    await talk.task("n1")
    subscriber = talk.follow(service_ids=["web"])
    asked = await first.next_asked()
    assert asked.options.follow
    await first.publish(first.says(asked.id, b"one\n", close=False))
    assert [b"one\n"] == await subscriber.next()
    pending = await talk.task("", api.TaskState.PENDING)
    await talk.edit("tasks", pending.id, node_id="n2")
    asked = await second.next_asked()
    await second.publish(second.says(asked.id, b"two\n"))
    assert [b"two\n"] == await subscriber.next()


async def test_who_follows_is_told_of_an_agent_that_comes_back_what_is_new(talk: Conversation):
    agent = await talk.agent("n1")
    await talk.task("n1")
    subscriber = talk.follow(service_ids=["web"])
    asked = await agent.next_asked()
    message = api.PublishLogsMessage(subscription_id=asked.id)
    message.messages.append(agent.line(b"one\n", time=17.5))
    await agent.publish([message])
    assert [b"one\n"] == await subscriber.next()
    await agent.disconnect()
    agent = await talk.agent("n1")
    again = await agent.next_asked()
    assert (17, 500_000_000) == (again.options.since.seconds, again.options.since.nanos)
    await agent.publish(agent.says(again.id, b"two\n"))
    assert [b"two\n"] == await subscriber.next()


@pytest.mark.parametrize("follow", [False, True])
async def test_agents_hear_when_a_subscriber_left(talk: Conversation, follow: bool):
    agent = await talk.agent("n1")
    await talk.task("n1")
    subscriber = (talk.follow if follow else talk.subscribe)(service_ids=["web"])
    asked = await agent.next_asked()
    await subscriber.leave()
    over = await agent.next_asked()
    assert (asked.id, True) == (over.id, over.close)
    await turn()
    assert {} == talk.broker._subscriptions


async def test_a_subscription_that_came_and_went_unread_is_not_told(talk: Conversation):
    await talk.task("n1")
    subscriber = talk.follow(service_ids=["web"])
    await turn()
    await subscriber.leave()
    agent = await talk.agent("n1")
    assert agent.asked.empty()
