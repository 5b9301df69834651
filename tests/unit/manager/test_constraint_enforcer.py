import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from swarmd import api
from swarmd.api import resources
from swarmd.store import MemoryBackend, Store
from tests import builders, stored
from tests.fakes.clock import FakeClock
from workers.manager.constraint_enforcer import MESSAGE, REASON, ConstraintEnforcer

Availability = api.NodeSpec.Availability
State = api.TaskState
GIB = builders.GIB


@asynccontextmanager
async def enforcing(*objects):
    clock = FakeClock()
    async with Store(MemoryBackend(), clock) as store:
        await stored.add(store, *objects)
        running = asyncio.create_task(ConstraintEnforcer(store, clock, Random(0)).run())
        await settle()
        yield store
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


async def edit(store, one, how):
    await stored.edit(store, one, how)
    await settle()


def rejected(store):
    return {task.id for task in store.view().tasks.find() if task.status.state == State.REJECTED}


def constrained(*expressions):
    web = builders.service()
    web.spec.task.placement.constraints.extend(expressions)
    return web


def there(service, node, **fields):
    fields = {"state": State.RUNNING, **fields}
    return builders.task(service, node_id=node.id, **fields)


def reserving(cpus=0.0, gib=0.0):
    web = builders.service()
    web.spec.task.resources.reservations.nano_cpus = int(cpus * builders.NANO)
    web.spec.task.resources.reservations.memory_bytes = int(gib * GIB)
    return web


async def test_a_label_that_is_gone_rejects_the_task_and_says_why():
    node, web = builders.node(labels={"zone": "a"}), constrained("node.labels.zone==a")
    task = there(web, node)
    async with enforcing(node, web, task) as store:
        assert set() == rejected(store)
        await edit(store, node, lambda own: own.spec.annotations.labels.clear())
        assert {task.id} == rejected(store)
        now = store.view().tasks.get(task.id)
        assert (MESSAGE, REASON) == (now.status.message, now.status.err)
        assert "assigned node no longer meets constraints" == now.status.err
        assert State.RUNNING == now.desired_state


async def test_what_no_longer_fitted_before_we_led_is_rejected_too():
    node, web = builders.node(), constrained("node.labels.zone==a")
    async with enforcing(node, web, task := there(web, node)) as store:
        assert {task.id} == rejected(store)


@pytest.mark.parametrize("availability", [Availability.DRAIN, Availability.PAUSE])
async def test_a_node_that_is_not_active_is_left_alone(availability):
    node, web = builders.node(availability=availability), constrained("node.labels.zone==a")
    async with enforcing(node, web, there(web, node)) as store:
        assert set() == rejected(store)


async def test_a_role_that_changes_counts():
    node, web = builders.node(role=api.NodeRole.MANAGER), constrained("node.role==manager")
    async with enforcing(node, web, task := there(web, node)) as store:
        await edit(store, node, lambda own: setattr(own, "role", api.NodeRole.WORKER))
        assert {task.id} == rejected(store)


async def test_the_services_constraints_of_today_count_not_the_tasks():
    node, web = builders.node(labels={"zone": "a"}), builders.service()
    task = there(web, node)
    web.spec.task.placement.constraints.append("node.labels.zone==a")
    async with enforcing(node, web, task) as store:
        assert set() == rejected(store)
        await edit(store, node, lambda own: own.spec.annotations.labels.clear())
        assert {task.id} == rejected(store)


async def test_a_task_of_no_service_has_constraints_of_its_own():
    node = builders.node()
    task = there(constrained("node.labels.zone==a"), node)
    async with enforcing(node, task) as store:
        assert {task.id} == rejected(store)


async def test_a_node_that_shrinks_gives_up_the_newest_tasks():
    node, web = builders.node(cpus=2), reserving(cpus=1)
    old, new = there(web, node), there(web, node)
    async with enforcing(node, web, old) as store:
        await store.update(lambda tx: tx.tasks.create(new))
        await edit(
            store, node, lambda own: setattr(own.description.resources, "nano_cpus", builders.NANO)
        )
        assert 1 == len(rejected(store))


async def test_what_waits_for_room_on_its_node_is_left_waiting_and_takes_none():
    node, large, small = builders.node(cpus=2), reserving(cpus=2), reserving(cpus=1)
    waits, runs = there(large, node, state=State.PENDING), there(small, node)
    async with enforcing(node, large, small, waits, runs) as store:
        await edit(store, node, lambda own: own.spec.annotations.labels.update(a="b"))
        assert set() == rejected(store)


async def test_memory_that_lacks_rejects():
    node, web = builders.node(memory_bytes=GIB), reserving(gib=2)
    async with enforcing(node, web, task := there(web, node)) as store:
        assert {task.id} == rejected(store)


async def test_what_ended_or_is_to_end_takes_no_resources():
    node, web = builders.node(cpus=1), reserving(cpus=1)
    done = there(web, node, state=State.COMPLETE, desired_state=State.COMPLETE)
    going = there(web, node, desired_state=State.SHUTDOWN)
    async with enforcing(node, web, done, going, there(web, node)) as store:
        assert set() == rejected(store)


async def test_a_named_resource_that_is_gone_rejects_its_task_alone():
    gpus = [resources.named("gpu", name) for name in ("one", "two")]
    node, web = builders.node(), builders.service()
    node.description.resources.generic.extend(gpus)
    stays = there(web, node, assigned_generic_resources=gpus[:1])
    goes = there(web, node, assigned_generic_resources=gpus[1:])
    async with enforcing(node, web, stays, goes) as store:
        assert set() == rejected(store)
        await edit(store, node, lambda own: own.description.resources.generic.pop())
        assert {goes.id} == rejected(store)


async def test_fewer_of_a_kind_reject_as_many_as_are_too_many():
    node, web = builders.node(), builders.service()
    node.description.resources.generic.append(resources.discrete("fpga", 2))
    fpga = [resources.discrete("fpga", 1)]
    tasks = [there(web, node, assigned_generic_resources=fpga) for _ in range(2)]
    async with enforcing(node, web, *tasks) as store:
        assert set() == rejected(store)

        def shrink(own):
            own.description.resources.generic[0].discrete_resource_spec.value = 1

        await edit(store, node, shrink)
        assert 1 == len(rejected(store))
