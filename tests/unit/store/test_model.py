"""The store against a plain dict: every view, index and event, over long random lives."""

import asyncio
import functools
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from swarmd import api
from swarmd.errors import SwarmError
from swarmd.store import (
    Created,
    Deleted,
    MemoryBackend,
    ReadTx,
    Select,
    Store,
    Updated,
    WriteTx,
    by,
)
from tests.fakes.clock import FakeClock
from tests.unit.store.backends import FailingBackend
from tests.unit.store.changes import IDS, NAMES, Model, Plan, RefusedError, change, plans, seen


class StoreLife(RuleBasedStateMachine):
    """One store through updates, batches, failing disks and restarts, and its model beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.backend = FailingBackend()
        self.model = Model()
        self.run(self.open())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    async def open(self) -> None:
        self.store = Store(self.backend, FakeClock())
        await self.store.__aenter__()
        self.heard = dict(self.model.objects)
        self.watcher = self.store.watch(Select(api.Service), Select(api.Task))
        await self.watcher.__aenter__()

    def teardown(self) -> None:
        self.run(self.store.__aexit__(None, None, None))
        self.runner.close()

    @rule(plan=plans)
    def update(self, plan: Plan) -> None:
        assert self.expected(plan) == self.run(self.succeeds(plan))

    @rule(together=st.lists(plans, max_size=5))
    def batch(self, together: list[Plan]) -> None:
        expected = [self.expected(plan) for plan in together]
        changes = [functools.partial(change, plan) for plan in together]
        results = self.run(self.store.batch(changes))
        assert expected == [not isinstance(one, SwarmError) for one in results]

    @rule(plan=plans)
    def the_disk_fails(self, plan: Plan) -> None:
        self.backend.failing = True
        assert not self.run(self.succeeds(plan))
        self.backend.failing = False

    @rule(plan=plans)
    def a_transaction_sees_itself(self, plan: Plan) -> None:
        try:
            model = self.model.apply(plan)
        except RefusedError:
            return

        def look(tx: WriteTx) -> None:
            change(plan, tx)
            assert model == seen(tx)
            check_indexes(tx, model)
            raise RefusedError

        assert not self.run(self.succeeds(look))

    @precondition(lambda self: self.model.objects)
    @rule()
    def restart(self) -> None:
        self.run(self.store.__aexit__(None, None, None))
        self.run(self.open())

    @invariant()
    def the_view_is_the_models(self) -> None:
        assert self.model == seen(self.store.view())
        check_indexes(self.store.view(), self.model)

    @invariant()
    def the_events_tell_the_same_story(self) -> None:
        self.run(self.hear())
        assert self.model.objects == self.heard

    def expected(self, plan: Plan) -> bool:
        try:
            self.model = self.model.apply(plan)
        except RefusedError:
            return False
        return True

    async def succeeds(self, what: Any) -> bool:
        run = functools.partial(change, what) if isinstance(what, Plan) else what
        try:
            await self.store.update(run)
        except SwarmError:
            return False
        return True

    async def hear(self) -> None:
        if not self.watcher._events:
            return
        for event in await self.watcher.next():
            match event:
                case Created(object=one):
                    assert key(one) not in self.heard
                    self.heard[key(one)] = value(one)
                case Updated(object=one, old=old):
                    assert value(old) == self.heard[key(one)]
                    self.heard[key(one)] = value(one)
                case Deleted(object=one):
                    assert value(one) == self.heard.pop(key(one))


def key(one: Any) -> tuple[str, str]:
    return ("services" if isinstance(one, api.Service) else "tasks", one.id)


def value(one: Any) -> tuple[str, int]:
    if isinstance(one, api.Service):
        return (one.spec.annotations.name, one.spec.replicated.replicas)
    return (one.service_id, one.slot)


def check_indexes(tx: ReadTx, model: Model) -> None:
    """Each index finds what a look at every object finds, and each object once."""
    services = {one: found for (kind, one), found in model.objects.items() if kind == "services"}
    tasks = {one: found for (kind, one), found in model.objects.items() if kind == "tasks"}
    assert (len(services), len(tasks)) == (len(tx.services), len(tx.tasks))
    for name in NAMES:
        lower = name.lower()
        same = [one for one, (taken, _) in services.items() if taken.lower() == lower]
        assert sorted(same) == found_ids(tx.services.find(by.name(name)))
        of_service = [one for one, (service, _) in tasks.items() if service == name]
        assert sorted(of_service) == found_ids(tx.tasks.find(by.service(name)))
        for slot in range(4):
            in_slot = [one for one, found in tasks.items() if found == (name, slot)]
            assert sorted(in_slot) == found_ids(tx.tasks.find(by.slot(name, slot)))
    for prefix in ("a", "b", IDS[0]):
        begins = [one for one in tasks if one.startswith(prefix)]
        assert sorted(begins) == found_ids(tx.tasks.find(by.id_prefix(prefix)))
    on_node = [one for one, (_, number) in tasks.items() if number % 2]
    assert sorted(on_node) == found_ids(tx.tasks.find(by.node("n1")))
    begins = [one for one, (name, _) in services.items() if name.lower().startswith("w")]
    assert sorted(begins) == found_ids(tx.services.find(by.name_prefix("W")))


def found_ids(objects: list[Any]) -> list[str]:
    return sorted(one.id for one in objects)


TestStoreLife = StoreLife.TestCase
TestStoreLife.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


async def test_the_rows_at_rest_are_those_in_memory() -> None:
    backend = MemoryBackend()
    async with Store(backend, FakeClock()) as store:
        await store.update(lambda tx: tx.tasks.create(api.Task(id="a")))
        await store.update(lambda tx: tx.tasks.create(api.Task(id="b")))
        await store.update(lambda tx: tx.tasks.delete("a"))
        assert {("task", "b")} == set(backend.rows)
