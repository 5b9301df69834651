"""Lists of more than a stock client takes: refused with what to do, and read in pages."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc import aio

from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.clock import SystemClock
from swarmd.ctl.connection import Control, Settings
from swarmd.ctl.resolve import list_all, tasks_of
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.channel import dial_control
from swarmd.rpc.server import make_server
from swarmd.store import MemoryBackend, Store
from tests import builders
from tests.integration.rpc.probe import ME, running
from tests.unit.manager.control.calls import OnlyMember
from workers.manager.control.pages import PagesServicer, pages
from workers.manager.control.server import ControlServicer

TASKS = 20_000
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def control(directory: Path) -> AsyncIterator[Path]:
    """The control socket of a manager with 20,000 tasks."""
    clock = SystemClock()
    async with Store(MemoryBackend(), clock) as store:
        await _fill(store)
        members = OnlyMember("m")
        servicer = ControlServicer(store, clock, random.Random(0), members, lambda *_: False)
        server = make_server(
            [servicer, PagesServicer(servicer)],
            Authorizer(ME.identity),
            certificates=ME,
            directory=directory / "run",
            clock=clock,
            random=random.Random(1),
        )
        server.listen_control(directory / "c.sock")
        async with running(server):
            yield directory / "c.sock"


async def _fill(store: Store) -> None:
    small = builders.service("small")
    large = builders.service("large")
    tasks = [builders.task(large, slot=slot) for slot in range(1, TASKS)]
    tasks.append(builders.task(small, slot=1))
    for one in tasks:
        one.spec.container.env.append("SETTING=" + "x" * 200)  # as large as tasks of users are
    await store.update(lambda tx: [tx.services.create(one) for one in (small, large)])
    for start in range(0, TASKS, 200):
        some = tasks[start : start + 200]
        await store.update(lambda tx, some=some: [tx.tasks.create(one) for one in some])


async def _stock(path: Path) -> aio.Channel:
    """A channel as gRPC makes it, which takes 4 MiB a message."""
    credentials = grpc.ssl_channel_credentials(ME.root_pem)
    return aio.secure_channel(
        f"unix:{path}", credentials, [("grpc.ssl_target_name_override", "swarm-manager")]
    )


async def test_a_stock_client_is_told_what_to_do(control: Path) -> None:
    async with await _stock(control) as channel:
        stub = ControlStub(channel)
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.ListTasks(api.ListTasksRequest())
        (small,) = (await stub.ListServices(_named("small"))).services
        filters = api.ListTasksRequest.Filters(service_ids=[small.id])
        narrowed = await stub.ListTasks(api.ListTasksRequest(filters=filters))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == caught.value.code()
    assert "MiB, and this client takes 4 MiB: ask for less" in caught.value.details()
    assert 1 == len(narrowed.tasks)


def _named(name: str) -> api.ListServicesRequest:
    return api.ListServicesRequest(filters=api.ListServicesRequest.Filters(names=[name]))


async def test_our_own_client_reads_all_in_pages(control: Path) -> None:
    async with await dial_control(control) as channel:
        ours = Control(channel, Settings(socket=control))
        found = await list_all(ours, "task")
        (small,) = [
            one for one in await list_all(ours, "service") if one.spec.annotations.name == "small"
        ]
        one = await tasks_of(ours, service_ids=[small.id])
    assert TASKS == len({task.id for task in found})
    assert [small.id] == [task.service_id for task in one]


async def test_a_client_that_takes_more_says_so(control: Path) -> None:
    async with await dial_control(control) as channel:
        ours = Control(channel, Settings(socket=control))
        assert TASKS == len((await ours.api.ListTasks(api.ListTasksRequest())).tasks)


@pytest.mark.parametrize(("most_bytes", "count"), [(1, 5), (10**6, 1)])
def test_a_page_has_one_object_at_least_and_pages_are_the_list(most_bytes: int, count: int) -> None:
    whole = api.ListTasksResponse(tasks=[api.Task(id=str(number)) for number in range(5)])
    cut = list(pages(whole, most_bytes))
    assert count == len(cut)
    assert list(whole.tasks) == [task for page in cut for task in page.tasks]


def test_an_empty_list_is_one_empty_page() -> None:
    assert [api.ListTasksResponse()] == list(pages(api.ListTasksResponse()))
