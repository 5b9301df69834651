"""Places on networks that nodes ask for."""

from collections.abc import AsyncIterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status, SwarmError
from swarmd.security.identity import WORKER, Caller
from swarmd.store import MemoryBackend, Store
from tests import builders, stored
from tests.fakes.clock import FakeClock
from workers.manager.attachments import Attachments


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with Store(MemoryBackend(), FakeClock()) as store:
        yield store


@pytest.fixture
async def network(store: Store) -> api.Network:
    network = builders.network("front")
    network.spec.attachable = True
    closed = builders.network("closed")
    await stored.add(store, network, closed)
    return network


@pytest.fixture
def attachments(store: Store, network: api.Network) -> Attachments:
    return Attachments(store, FakeClock(), Random(0))


def by_node(node_id: str) -> Any:
    return SimpleNamespace(caller=Caller(node_id, WORKER, "cluster", "10.0.0.1", local=False))


def attach(target: str, *addresses: str) -> api.AttachNetworkRequest:
    config = api.NetworkAttachmentConfig(target=target, addresses=addresses)
    return api.AttachNetworkRequest(config=config, container_id="c")


def refusal(error: SwarmError) -> tuple[Status, str]:
    return error.status, str(error)


@pytest.mark.parametrize("by_name", [True, False])
async def test_an_attachment_is_a_task_of_the_node_that_asked(
    store: Store, network: api.Network, attachments: Attachments, by_name: bool
) -> None:
    wanted = "front" if by_name else network.id
    reply = await attachments.AttachNetwork(attach(wanted, "10.0.0.5"), by_node("n1"))
    task = store.view().tasks.get(reply.attachment_id)
    assert task is not None
    assert ("n1", api.TaskState.NEW, api.TaskState.RUNNING, "c") == (
        task.node_id,
        task.status.state,
        task.desired_state,
        task.spec.attachment.container_id,
    )
    (config,) = task.spec.networks
    assert (network.id, ["10.0.0.5"]) == (config.target, list(config.addresses))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            api.AttachNetworkRequest(container_id="c"),
            (Status.INVALID_ARGUMENT, "invalid argument: config.target names no network"),
        ),
        (attach("nobody"), (Status.NOT_FOUND, "network nobody not found")),
        (attach("closed"), (Status.PERMISSION_DENIED, "network closed not manually attachable")),
    ],
)
async def test_what_cannot_be_attached_to_is_refused(
    attachments: Attachments, request_: api.AttachNetworkRequest, expected: tuple[Status, str]
) -> None:
    with pytest.raises(SwarmError) as caught:
        await attachments.AttachNetwork(request_, by_node("n1"))
    assert expected == refusal(caught.value)


async def test_a_node_takes_back_its_own_attachments_alone(
    store: Store, attachments: Attachments
) -> None:
    made = await attachments.AttachNetwork(attach("front"), by_node("n1"))
    request = api.DetachNetworkRequest(attachment_id=made.attachment_id)
    with pytest.raises(SwarmError) as caught:
        await attachments.DetachNetwork(request, by_node("n2"))
    assert Status.PERMISSION_DENIED == caught.value.status
    await attachments.DetachNetwork(request, by_node("n1"))
    assert store.view().tasks.get(made.attachment_id) is None
    with pytest.raises(SwarmError) as caught:
        await attachments.DetachNetwork(request, by_node("n1"))
    assert Status.NOT_FOUND == caught.value.status


async def test_no_service_loses_a_task_by_it(store: Store, attachments: Attachments) -> None:
    task = builders.task(builders.service("web"), node_id="n1")
    await stored.add(store, task)
    with pytest.raises(SwarmError) as caught:
        await attachments.DetachNetwork(
            api.DetachNetworkRequest(attachment_id=task.id), by_node("n1")
        )
    assert (Status.NOT_FOUND, f"attachment {task.id} not found") == refusal(caught.value)
