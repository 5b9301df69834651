"""The change feed: what is sent for which entries, and what never is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import MemoryBackend, Store
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.manager.control.calls import INVALID, put, refusal
from workers.manager.watch_api import WatchServicer

CREATE, UPDATE, REMOVE = 1, 2, 4
ALL = CREATE | UPDATE | REMOVE
WORDS = {CREATE: "create", UPDATE: "update", REMOVE: "remove"}
DEADLINE_SECONDS = 5
UNRECOGNIZED = "unrecognized action"
CONFLICTING = "conflicting filters specified"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with Store(MemoryBackend(), FakeClock()) as store:
        yield store


def entry(kind: str, action: int = ALL, *filters: dict[str, Any]) -> api.WatchRequest.WatchEntry:
    return api.WatchRequest.WatchEntry(kind=kind, action=action, filters=filters)


class Stream:
    """One call of Watch, after its first message."""

    def __init__(self, store: Store, *entries: Any, **fields: Any) -> None:
        request = api.WatchRequest(entries=entries, **fields)
        self.messages = WatchServicer(store).Watch(request, None)

    async def __aenter__(self) -> Self:
        assert api.WatchMessage() == await self.next()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.messages.aclose()  # type: ignore[attr-defined]

    async def next(self) -> api.WatchMessage:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await anext(self.messages)

    async def event(self) -> api.WatchMessage.Event:
        (event,) = (await self.next()).events
        return event


async def told(store: Store, *entries: Any, changes: Any) -> list[str]:
    """What the entries let through of those changes, as `create web`."""
    last = entry("network", CREATE)  # every stream is told of this one, and it ends the list
    seen: list[str] = []
    async with Stream(store, *entries, last) as stream:
        await changes()
        await put(store, builders.network())
        while True:
            for event in (await stream.next()).events:
                if event.object.WhichOneof("Object") == "network":
                    return seen
                seen.append(f"{WORDS[event.action]} {name_of(event.object)}")


def name_of(told: api.Object) -> str:
    one = getattr(told, told.WhichOneof("Object") or "")
    annotations = one.annotations if isinstance(one, api.Resource) else one.spec.annotations
    return str(annotations.name)


async def change(store: Store, table: str, object_id: str, edit: Any) -> Any:
    def update(tx: Any) -> Any:
        own = getattr(tx, table).copy(object_id)
        edit(own)
        return getattr(tx, table).update(own)

    return await store.update(update)


async def label(store: Store, table: str, object_id: str) -> Any:
    return await change(
        store, table, object_id, lambda one: one.spec.annotations.labels.update({"x": "y"})
    )


async def life(store: Store) -> None:
    """Services aa and bb come, aa changes, a secret comes and goes, both go."""
    a, b, s = builders.service("aa"), builders.service("bb"), builders.secret("ss")
    await put(store, a)
    await put(store, b)
    await label(store, "services", a.id)
    await put(store, s)
    await store.update(lambda tx: tx.secrets.delete(s.id))
    await store.update(lambda tx: tx.services.delete(a.id))
    await store.update(lambda tx: tx.services.delete(b.id))


SERVICES = ["create aa", "create bb", "update aa", "remove aa", "remove bb"]


@pytest.mark.parametrize(
    ("entries", "seen"),
    [
        ([], []),
        ([entry("service")], SERVICES),
        ([entry("service", CREATE)], ["create aa", "create bb"]),
        ([entry("service", CREATE | REMOVE)], [e for e in SERVICES if e != "update aa"]),
        ([entry("service", UPDATE)], ["update aa"]),
        (
            [entry("service", CREATE), entry("secret", REMOVE)],
            ["create aa", "create bb", "remove ss"],
        ),
        ([entry("service", CREATE, {"name": "aa"})], ["create aa"]),
        ([entry("service", ALL, {"name": "AA"})], []),
        ([entry("service", CREATE, {"name_prefix": "b"})], ["create bb"]),
        (
            [entry("service", CREATE, {"name": "aa"}), entry("service", CREATE, {"name": "bb"})],
            ["create aa", "create bb"],
        ),
        ([entry("nosuch")], []),
        ([entry("Service")], []),
        ([entry("service", CREATE, {"slot": {"slot": 1}})], ["create aa", "create bb"]),
        ([entry("service", CREATE, {"role": 0})], ["create aa", "create bb"]),
        (
            [entry("service", CREATE, {"referenced_secret_id": "x"})],
            ["create aa", "create bb"],
        ),
    ],
)
async def test_entries_choose_what_is_told(
    store: Store, entries: list[Any], seen: list[str]
) -> None:
    assert seen == await told(store, *entries, changes=lambda: life(store))


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ([entry("")], "no kind of object specified"),
        ([entry("service", 0)], UNRECOGNIZED),
        ([entry("service", 8)], UNRECOGNIZED),
        ([entry("service", ALL, {"name": "a"}, {"name_prefix": "b"})], CONFLICTING),
        ([entry("service", ALL, {"id": "a"}, {"id_prefix": "b"})], CONFLICTING),
        ([entry("node", ALL, {"role": 0}, {"role": 1})], CONFLICTING),
        ([entry("task", ALL, {"service_id": "s"}, {"slot": {"slot": 1}})], CONFLICTING),
        ([entry("node", 0, {"custom": {}}, {"custom_prefix": {}})], CONFLICTING),
    ],
)
async def test_an_entry_that_makes_no_sense_is_refused(
    store: Store, wanted: list[Any], sentence: str
) -> None:
    assert (INVALID, sentence) == await refusal(Stream(store, *wanted).next())


async def test_ids_and_indices_are_selected_by(store: Store) -> None:
    one, two = builders.service("one"), builders.service("two")
    two.spec.annotations.indices.add(key="k", val="value")
    for filters, seen in (
        ({"id": one.id}, ["create one"]),
        ({"id_prefix": two.id[:20]}, ["create two"]),
        ({"custom": {"index": "k", "value": "value"}}, ["create two"]),
        ({"custom": {"index": "k", "value": "val"}}, []),
        ({"custom_prefix": {"index": "k", "value": "val"}}, ["create two"]),
    ):
        async with Store(MemoryBackend(), FakeClock()) as fresh:
            copies = [api.Service(), api.Service()]
            for copy, original in zip(copies, (one, two), strict=True):
                copy.CopyFrom(original)
            entries = entry("service", ALL, filters)
            assert seen == await told(fresh, entries, changes=lambda: put(fresh, *copies))  # noqa: B023


async def test_nodes_are_selected_by_host_name_role_and_membership(store: Store) -> None:
    node = builders.node("box", role=api.NodeRole.MANAGER)
    for filters in (
        {"name": "box"},
        {"name_prefix": "b"},
        {"role": api.NodeRole.MANAGER},
        {"membership": api.NodeSpec.Membership.ACCEPTED},
    ):
        async with Stream(store, entry("node", ALL, filters)) as stream:
            await store.update(lambda tx: tx.nodes.create(api.Node(id=builders.new_id())))
            node.id = builders.new_id()
            copy = api.Node()
            copy.CopyFrom(node)
            await put(store, copy)
            assert node.id == (await stream.event()).object.node.id


async def test_tasks_are_selected_by_service_node_slot_and_desired_state(store: Store) -> None:
    pending = builders.task(service_id="s", slot=2)
    assigned = builders.task(
        service_id="s", slot=2, node_id="n", desired_state=api.TaskState.SHUTDOWN
    )
    known = {pending.id: "pending", assigned.id: "assigned"}
    for filters, seen in (
        ({"service_id": "s"}, ["pending", "assigned"]),
        ({"node_id": "n"}, ["assigned"]),
        ({"desired_state": api.TaskState.SHUTDOWN}, ["assigned"]),
        ({"slot": {"service_id": "other", "slot": 2}}, ["pending"]),  # as Go has it
    ):
        async with Stream(store, entry("task", CREATE, filters)) as stream:
            copies = [api.Task(), api.Task()]
            for copy, original in zip(copies, (pending, assigned), strict=True):
                copy.CopyFrom(original)
            await put(store, *copies)
            tasks = [known[event.object.task.id] for event in (await stream.next()).events]
            assert seen == tasks
        await store.update(lambda tx: [tx.tasks.delete(task_id) for task_id in known])


async def test_resources_are_watched_by_the_name_of_their_kind(store: Store) -> None:
    async def changes() -> None:
        await put(store, builders.resource("disk", "d"), builders.resource("tape", "t"))

    assert ["create d"] == await told(store, entry("disk"), changes=changes)


async def test_a_message_is_one_transaction_under_its_version(store: Store) -> None:
    async with Stream(store, entry("config")) as stream:
        await put(store, builders.config("a"), builders.config("b"))
        first = await stream.next()
        await put(store, builders.config("c"))
        second = await stream.next()
    assert [2, 1] == [len(first.events), len(second.events)]
    assert [store.version - 1, store.version] == [first.version.index, second.version.index]


async def test_old_objects_are_told_when_asked_for(store: Store) -> None:
    async with Stream(store, entry("config"), include_old_object=True) as stream:
        config = builders.config("c")
        await put(store, config)
        await label(store, "configs", config.id)
        await store.update(lambda tx: tx.configs.delete(config.id))
        created, updated, removed = [await stream.event() for _ in range(3)]
    assert config == updated.old_object.config
    assert {"x": "y"} == dict(updated.object.config.spec.annotations.labels)
    assert not created.HasField("old_object")
    assert not removed.HasField("old_object")


async def test_old_objects_are_not_told_else(store: Store) -> None:
    async with Stream(store, entry("config", UPDATE)) as stream:
        config = builders.config("c")
        await put(store, config)
        await label(store, "configs", config.id)
        assert not (await stream.event()).HasField("old_object")


async def test_a_secrets_data_is_never_told(store: Store) -> None:
    async with Stream(store, entry("secret"), include_old_object=True) as stream:
        secret = builders.secret("s", data=b"hidden")
        await put(store, secret)
        await label(store, "secrets", secret.id)
        await store.update(lambda tx: tx.secrets.delete(secret.id))
        for _ in range(3):
            event = await stream.event()
            assert "s" == event.object.secret.spec.annotations.name
            assert b"hidden" not in event.SerializeToString()
    assert b"hidden" == secret.spec.data


async def test_a_clusters_keys_are_never_told(store: Store) -> None:
    key = b"a key"
    root = api.RootCA(ca_cert=b"cert", ca_key=key, root_rotation={"ca_key": key})
    root.join_tokens.worker = "token"
    keys = [api.EncryptionKey(key=key)]
    cluster = builders.cluster(root_ca=root, network_bootstrap_keys=keys, unlock_keys=keys)
    cluster.spec.ca_config.signing_ca_key = key
    async with Stream(store, entry("cluster"), include_old_object=True) as stream:
        await put(store, cluster)
        await label(store, "clusters", cluster.id)
        created, updated = await stream.event(), await stream.event()
    for event in (created, updated):
        assert key not in event.SerializeToString()
        assert "token" == event.object.cluster.root_ca.join_tokens.worker
    assert key == cluster.root_ca.ca_key


async def test_a_watch_resumes_after_the_version_it_names(store: Store) -> None:
    for name in ("a", "b", "c"):
        await put(store, builders.config(name))
    resume_from = api.Version(index=store.version - 2)
    async with Stream(store, entry("config"), resume_from=resume_from) as stream:
        names = [(await stream.event()).object.config.spec.annotations.name for _ in range(2)]
        await put(store, builders.config("d"))
        names.append((await stream.event()).object.config.spec.annotations.name)
    assert ["b", "c", "d"] == names


async def test_a_watch_cannot_resume_from_the_future(store: Store) -> None:
    stream = Stream(store, entry("config"), resume_from=api.Version(index=10**9))
    assert (Status.UNKNOWN, "versions are out of order") == await refusal(stream.next())


async def test_volumes_are_watched_like_all_else(store: Store) -> None:
    async def changes() -> None:
        await put(store, one := builders.volume("data"))
        await label(store, "volumes", one.id)
        await store.update(lambda tx: tx.volumes.delete(one.id))

    expected = ["create data", "update data", "remove data"]
    assert expected == await told(store, entry("volume"), changes=changes)
    assert expected[:1] == await told(store, entry("volume", CREATE), changes=changes)
