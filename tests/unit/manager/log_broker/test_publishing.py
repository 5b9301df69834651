"""What agents may publish, and how fast."""

import asyncio

import pytest

from swarmd import api
from swarmd.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from tests.unit.manager.log_broker.conversation import Conversation, turn
from workers.manager.log_broker.outbox import MOST_BYTES, Outbox
from workers.manager.log_broker.subscriptions import IncompleteError


async def asked(talk: Conversation, **selector):
    """A subscriber, an agent of its one node, and the subscription's id."""
    agent = await talk.agent("n1")
    await talk.task("n1")
    subscriber = talk.subscribe(service_ids=["web"])
    return subscriber, agent, (await agent.next_asked()).id


async def test_an_unknown_subscription_is_refused(talk: Conversation):
    agent = await talk.agent("n1")
    with pytest.raises(NotFoundError):
        await agent.publish(agent.says("unknown", b"hello\n"))


async def test_a_message_names_its_subscription(talk: Conversation):
    agent = await talk.agent("n1")
    with pytest.raises(InvalidArgumentError, match="missing subscription ID"):
        await agent.publish([api.PublishLogsMessage(close=True)])


async def test_a_stream_is_of_one_subscription(talk: Conversation):
    _, agent, subscription_id = await asked(talk)
    messages = [*agent.says(subscription_id, b"1\n", close=False), *agent.says("another", b"2\n")]
    with pytest.raises(InvalidArgumentError, match="different subscription IDs"):
        await agent.publish(messages)


@pytest.mark.parametrize("node_id", ["n2", ""])
async def test_no_node_speaks_for_another(talk: Conversation, node_id: str):
    subscriber, agent, subscription_id = await asked(talk)
    message = api.PublishLogsMessage(subscription_id=subscription_id)
    message.messages.append(agent.line(b"lie\n"))
    message.messages[0].context.node_id = node_id
    with pytest.raises(PermissionDeniedError, match="invalid NodeID"):
        await agent.publish([message])
    with pytest.raises(IncompleteError, match=r"node host-n1 \(n1\) broke off"):
        await subscriber.rest()


async def test_a_stream_without_a_close_is_an_end_too(talk: Conversation):
    subscriber, agent, subscription_id = await asked(talk)
    await agent.publish(agent.says(subscription_id, b"hello\n", close=False))
    assert [b"hello\n"] == await subscriber.rest()


async def test_messages_without_output_are_no_end(talk: Conversation):
    subscriber, agent, subscription_id = await asked(talk)
    empty = api.PublishLogsMessage(subscription_id=subscription_id)
    await agent.publish([empty, *agent.says(subscription_id, b"hello\n")])
    assert [b"hello\n"] == await subscriber.rest()


async def test_a_stream_that_is_cut_is_told(talk: Conversation):
    subscriber, agent, subscription_id = await asked(talk)

    async def cut():
        yield agent.says(subscription_id, b"hello\n")[0]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await agent.publishing(cut())
    assert [b"hello\n"] == await subscriber.next()
    with pytest.raises(IncompleteError, match="broke off"):
        await subscriber.next()


async def test_a_subscriber_that_does_not_read_makes_its_publisher_wait_and_no_other(
    talk: Conversation,
):
    slow, agent, subscription_id = await asked(talk)
    taken = 0

    async def endless():
        nonlocal taken
        while True:
            taken += 1
            yield agent.says(subscription_id, bytes(64 << 10))[0]

    publishing = talk.spawn(agent.publishing(endless()))
    await turn()
    await turn()
    assert not publishing.done()
    assert MOST_BYTES / (64 << 10) <= taken <= MOST_BYTES / (64 << 10) + 8

    other = talk.subscribe(service_ids=["web"])
    again = await agent.next_asked()
    await agent.publish(agent.says(again.id, b"hello\n"))
    assert [b"hello\n"] == await other.rest()

    before = taken
    await slow.next()
    await slow.next()
    await turn()
    assert taken > before


async def test_a_publisher_that_waits_is_let_go_when_its_subscriber_leaves(talk: Conversation):
    subscriber, agent, subscription_id = await asked(talk)

    async def endless():
        while True:
            yield agent.says(subscription_id, bytes(256 << 10))[0]

    publishing = talk.spawn(agent.publishing(endless()))
    await turn()
    await subscriber.leave()
    with pytest.raises(NotFoundError):
        await asyncio.wait_for(publishing, 5)


async def test_what_waits_goes_out_together_and_fits_a_stock_client():
    outbox = Outbox("s")
    for _ in range(100):
        await outbox.put([api.LogMessage(data=b"line\n")])
    await outbox.put([api.LogMessage(data=bytes(900 << 10))])
    await outbox.close()
    assert [100, 1, 0] == [len(await outbox.next()) for _ in range(3)]


async def test_an_agent_that_listens_again_takes_the_place_of_its_earlier_stream(
    talk: Conversation,
):
    subscriber, first, subscription_id = await asked(talk)
    second = await talk.agent("n1")
    assert subscription_id == (await second.next_asked()).id
    assert first.listening.done()
    await second.publish(second.says(subscription_id, b"hello\n"))
    assert [b"hello\n"] == await subscriber.rest()
