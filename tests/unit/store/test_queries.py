"""What `find` finds."""

from collections.abc import AsyncIterator

import pytest

from swarmd import api
from swarmd.store import MemoryBackend, Store, WriteTx, by
from swarmd.store.queries import Query
from tests import builders
from tests.fakes.clock import FakeClock


def indexed(name: str, **indices: str) -> api.Annotations:
    entries = [api.IndexEntry(key=key, val=value) for key, value in indices.items()]
    return api.Annotations(name=name, indices=entries)


def using(secret: str, config: str, network: str) -> api.TaskSpec:
    container = builders.container(
        secrets=[api.SecretReference(secret_id=secret)],
        configs=[api.ConfigReference(config_id=config)],
    )
    networks = [api.NetworkAttachmentConfig(target=network)]
    return api.TaskSpec(container=container, networks=networks)


def populate(tx: WriteTx) -> None:
    spec = using("sec", "cfg", "net")
    web = builders.service("Web", id="s1", task_spec=spec)
    generic = api.TaskSpec(generic=api.GenericRuntimeSpec(kind="VM"))
    tx.services.create(web)
    tx.services.create(builders.service("webby", id="s2", task_spec=generic))
    tx.services.create(builders.service("db", id="t3"))
    tx.tasks.create(builders.task(web, id="t1", slot=1, node_id="n1", state=512))
    tx.tasks.create(builders.task(web, id="t2", slot=2, desired_state=640))
    named = indexed("Own.Name", color="red")
    tx.tasks.create(builders.task(id="u1", annotations=named, slot=0, node_id="n1"))
    tx.nodes.create(builders.node("Alpha", id="n1", role=api.NodeRole.MANAGER))
    pending = api.NodeSpec(membership=api.NodeSpec.Membership.PENDING)
    tx.nodes.create(builders.node("beta", id="n2", spec=pending))
    tx.nodes.create(api.Node(id="n3"))
    tx.resources.create(builders.resource("volume.v1", id="r1", annotations=indexed("x", a="b1")))
    tx.resources.create(builders.resource("other", id="r2", annotations=indexed("x", a="b2")))


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with Store(MemoryBackend(), FakeClock()) as store:
        await store.update(populate)
        yield store


CASES: list[tuple[str, Query, set[str]]] = [
    ("services", by.name("WEB"), {"s1"}),
    ("services", by.name("we"), set()),
    ("services", by.name_prefix("WE"), {"s1", "s2"}),
    ("services", by.name_prefix(""), {"s1", "s2", "t3"}),
    ("services", by.id_prefix("s"), {"s1", "s2"}),
    ("services", by.id_prefix("s1"), {"s1"}),
    ("services", by.id_prefix("S"), set()),
    ("services", by.runtime("container"), {"s1", "t3"}),
    ("services", by.runtime("vm"), {"s2"}),
    ("services", by.referenced_secret("sec"), {"s1"}),
    ("services", by.referenced_config("cfg"), {"s1"}),
    ("services", by.referenced_network("net"), {"s1"}),
    ("tasks", by.service("s1"), {"t1", "t2"}),
    ("tasks", by.node("n1"), {"t1", "u1"}),
    ("tasks", by.slot("s1", 2), {"t2"}),
    ("tasks", by.desired_state(api.TaskState.SHUTDOWN), {"t2"}),
    ("tasks", by.task_state(api.TaskState.RUNNING), {"t1"}),
    ("tasks", by.name("web.1.T1"), {"t1"}),
    ("tasks", by.name("own.name"), {"u1"}),
    ("tasks", by.name_prefix("web."), {"t1", "t2"}),
    ("tasks", by.referenced_secret("sec"), {"t1", "t2"}),
    ("tasks", by.referenced_config("cfg"), {"t1", "t2"}),
    ("tasks", by.referenced_network("net"), {"t1", "t2"}),
    ("tasks", by.custom("color", "red"), {"u1"}),
    ("tasks", by.custom("color", "re"), set()),
    ("tasks", by.custom_prefix("color", "re"), {"u1"}),
    ("nodes", by.name("alpha"), {"n1"}),
    ("nodes", by.role(api.NodeRole.MANAGER), {"n1"}),
    ("nodes", by.membership(api.NodeSpec.Membership.PENDING), {"n2", "n3"}),
    ("resources", by.kind("volume.v1"), {"r1"}),
    ("resources", by.custom_prefix("a", "b"), {"r1", "r2"}),
    ("resources", by.all_of(by.custom_prefix("a", "b"), by.kind("other")), {"r2"}),
    ("tasks", by.any_of(by.node("n1"), by.service("s1")), {"t1", "t2", "u1"}),
    ("tasks", by.all_of(by.node("n1"), by.service("s1")), {"t1"}),
    (
        "tasks",
        by.all_of(by.id_prefix("t"), by.any_of(by.node("n1"), by.slot("s1", 2))),
        {"t1", "t2"},
    ),
    ("tasks", by.any_of(), set()),
    ("tasks", by.all_of(), {"t1", "t2", "u1"}),
]


@pytest.mark.parametrize(("table", "query", "expected"), CASES)
async def test_find_in_the_tables(
    store: Store, table: str, query: Query, expected: set[str]
) -> None:
    found = [one.id for one in getattr(store.view(), table).find(query)]
    assert expected == set(found)
    assert len(expected) == len(found)


@pytest.mark.parametrize(("table", "query", "expected"), CASES)
async def test_find_in_a_transaction_that_made_it_all(
    table: str, query: Query, expected: set[str]
) -> None:
    def change(tx: WriteTx) -> list[str]:
        populate(tx)
        return [one.id for one in getattr(tx, table).find(query)]

    async with Store(MemoryBackend(), FakeClock()) as store:
        found = await store.update(change)
    assert expected == set(found)
    assert len(expected) == len(found)


async def test_a_query_that_a_kind_does_not_know_is_our_mistake(store: Store) -> None:
    with pytest.raises(ValueError, match="services cannot be found by slot"):
        store.view().services.find(by.slot("s1", 1))
