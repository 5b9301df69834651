"""What the journal says of what the manager decided, beside the orchestrators that decide it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.api.protos.journal_pb2 import ListJournalRequest, WatchJournalRequest
from swarmd.store import WriteTx
from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster, State
from workers.manager.journal.journal import Journal
from workers.manager.journal.server import JournalApi

_Availability = api.NodeSpec.Availability


class Written(Cluster):
    """A cluster whose leader keeps a journal."""

    async def lead(self) -> None:
        await super().lead()
        self._journal = asyncio.create_task(Journal(self.store, self.clock, Random(7)).run())
        await self.settle()

    async def stop(self) -> None:
        journal = getattr(self, "_journal", None)
        if journal is not None:
            journal.cancel()
            await asyncio.gather(journal, return_exceptions=True)
        await super().stop()

    async def told(self, **subject: str) -> list[str]:
        await self.advance(1)
        reply = await JournalApi(self.store).ListJournal(ListJournalRequest(**subject), None)
        return [
            f"{entry.task_count or ''} {entry.what}: {entry.why}".strip() for entry in reply.entries
        ]


def service(replicas: int | None = 2, **policy):
    spec = api.TaskSpec(container=builders.container())
    if policy:
        spec.restart.MergeFrom(api.RestartPolicy(**policy))
    return builders.service(replicas=replicas, task_spec=spec)


@asynccontextmanager
async def cluster_of(web: api.Service, *nodes: api.Node) -> AsyncIterator[Written]:
    async with Written() as cluster:
        await cluster.lead()
        await cluster.create(*(nodes or [builders.node()]))
        await cluster.create(web)
        await cluster.advance(1)
        yield cluster


@pytest.fixture
async def web():
    return service()


async def test_a_service_and_its_tasks_are_created_as_one_line_each(web):
    async with cluster_of(web) as cluster:
        assert ["created: with 2 replicas", "2 created: a slot is empty"] == await cluster.told(
            service_id=web.id
        )


async def test_a_restart_says_how_the_task_ended_and_who_follows(web):
    async with cluster_of(web) as cluster:
        failed = cluster.running(web)[0]
        await cluster.change(failed, _failed(3))
        told = await cluster.told(task_id=failed.id)
        assert "1 restarted: failed: exit code 3" in told
        successor = next(task for task in cluster.wanted(web) if task.slot == failed.slot)
        assert "1 restarted: failed: exit code 3" in await cluster.told(task_id=successor.id)


async def test_a_task_that_is_not_restarted_says_by_which_rule():
    web = service(1, condition=api.RestartPolicy.RestartCondition.NONE)
    async with cluster_of(web) as cluster:
        await cluster.change(cluster.running(web)[0], _failed(3))
        told = await cluster.told(service_id=web.id)
        assert (
            "1 given up: failed: exit code 3; not restarted: the restart condition is none"
            == told[-1]
        )


async def test_a_drained_node_is_why_its_tasks_move(web):
    first, second = builders.node(), builders.node()
    async with cluster_of(web, first, second) as cluster:
        node = cluster.get(api.Node(id=cluster.running(web)[0].node_id))
        count = sum(task.node_id == node.id for task in cluster.running(web))
        await cluster.change(node, _availability(_Availability.DRAIN))
        told = await cluster.told(node_id=node.id)
        assert "drained:" in told
        assert f"{count} restarted: its node is drained" in told


async def test_a_lost_node_is_why_its_tasks_move(web):
    async with cluster_of(web) as cluster:
        node = cluster.store.view().nodes.find()[0]
        await cluster.change(node, _node_state(api.NodeStatus.State.DOWN))
        told = await cluster.told(node_id=node.id)
        assert {"down:", "2 restarted: its node is down"} <= set(told)


async def test_scaling_down_and_removing_say_so(web):
    async with cluster_of(web) as cluster:
        web = await cluster.update(web, _replicas(1))
        await cluster.advance(1)
        await cluster.delete(web)
        told = await cluster.told(service_id=web.id)
        assert "1 stopped: the service was scaled down to 1 replicas" in told
        assert ["removed: by command", "1 stopped: its service was removed"] == told[-2:]


async def test_an_update_says_which_tasks_it_replaced_and_how_it_ended(web):
    async with cluster_of(web) as cluster:
        web = await cluster.update(web, lambda spec: spec.task.container.env.append("A=1"))
        await cluster.advance(60)
        version = cluster.get(web).spec_version.index
        told = await cluster.told(service_id=web.id)
        assert f"updated: to version {version}" in told
        assert f"2 replaced: update to version {version}" in told
        assert "update: update completed" == told[-1]


async def test_a_removed_task_is_removed_by_command(web):
    async with cluster_of(web) as cluster:
        await cluster.delete(cluster.running(web)[0])
        assert "1 removed: by command" in await cluster.told(service_id=web.id)


async def test_a_held_service_says_so_when_tried_and_when_released():
    web = service(1, condition=api.RestartPolicy.RestartCondition.ANY, delay=times.duration(1))
    async with cluster_of(web) as cluster:
        cluster.behaviour = lambda task: State.FAILED
        await cluster.change(cluster.running(web)[0], _failed(3))
        await cluster.advance(200)
        cluster.behaviour = lambda task: State.RUNNING
        await cluster.advance(400)
        told = [line.partition(":")[0] for line in await cluster.told(service_id=web.id)]
        ours = [word for word in told if word in ("held", "probed", "released")]
        assert ["held", "probed"] == ours[:2]
        assert "released" == ours[-1]


async def test_a_new_manager_knows_what_the_old_one_wrote(web):
    async with cluster_of(web) as cluster:
        before = await cluster.told(service_id=web.id)
        await cluster.lead()
        await cluster.change(cluster.running(web)[0], _failed(3))
        after = await cluster.told(service_id=web.id)
        assert before == after[: len(before)]
        assert "1 restarted: failed: exit code 3" == after[-1]


async def test_a_watcher_sees_entries_as_they_are_written_each_once(web):
    async with cluster_of(web) as cluster:
        version = cluster.store.version
        stream = JournalApi(cluster.store).WatchJournal(WatchJournalRequest(), None)
        assert [] == list((await anext(stream)).entries)
        for code in (3, 4):
            await cluster.change(cluster.running(web)[0], _failed(code))
            await cluster.advance(6)
        whys = [(await anext(stream)).entries[0].why for _ in range(2)]
        assert ["failed: exit code 3", "failed: exit code 4"] == whys
        await stream.aclose()
        again = JournalApi(cluster.store).WatchJournal(
            WatchJournalRequest(resume_from=version, service_id=web.id), None
        )
        await anext(again)
        assert whys == [(await anext(again)).entries[0].why for _ in range(2)]
        await again.aclose()


async def test_a_placement_says_what_the_scheduler_said_of_it():
    web = service(1)
    async with Written(agent=False) as cluster:
        await cluster.lead()
        await cluster.create(web)
        await cluster.settle()
        (task,) = cluster.tasks(web)
        await cluster.store.update(partial(_assign, task.id, "not on others: no room on 1 node"))
        told = await cluster.told(task_id=task.id)
        assert "1 placed: not on others: no room on 1 node" == told[-1]


async def test_ten_thousand_alike_decisions_are_few_entries():
    web = service(10_000)
    async with Written(agent=False) as cluster:
        await cluster.lead()
        await cluster.create(web)
        await cluster.advance(1)
        pages = cluster.store.view().journal.find()
        entries = [entry for page in pages for entry in page.entries]
        created = [entry for entry in entries if entry.what == "created" and entry.task_count]
        assert 10_000 == sum(entry.task_count for entry in created)
        assert sum(page.ByteSize() for page in pages) < 64 << 10


def _assign(task_id: str, why: str, tx: WriteTx) -> None:
    task = tx.tasks.copy(task_id)
    task.status.state = State.ASSIGNED
    tx.tasks.update(task, why)


def _failed(code: int):
    def edit(task: api.Task) -> None:
        task.status.state = State.FAILED
        task.status.container.exit_code = code
        task.status.applied_at.CopyFrom(times.timestamp(1))

    return edit


def _availability(value: int):
    def edit(node: api.Node) -> None:
        node.spec.availability = value

    return edit


def _node_state(value: int):
    def edit(node: api.Node) -> None:
        node.status.state = value

    return edit


def _replicas(count: int):
    def edit(spec: api.ServiceSpec) -> None:
        spec.replicated.replicas = count

    return edit
