"""What a change may do, what it sees of its own writes, and what it is refused."""

import pytest

from swarmd import api
from swarmd.errors import (
    AlreadyExistsError,
    NameConflictError,
    NotFoundError,
    OutOfSequenceError,
)
from swarmd.store import Store, WriteTx, by
from tests import builders


async def test_a_copy_is_ours_and_does_not_touch_what_is_stored(store: Store) -> None:
    node = await store.update(lambda tx: tx.nodes.create(builders.node("a")))

    def change(tx: WriteTx) -> None:
        tx.nodes.copy(node.id).description.hostname = "b"

    await store.update(change)
    assert "a" == node.description.hostname


async def test_a_stored_message_is_refused_as_its_own_update(store: Store) -> None:
    node = await store.update(lambda tx: tx.nodes.create(builders.node()))
    with pytest.raises(AssertionError, match="copy it first"):
        await store.update(lambda tx: tx.nodes.update(node))


async def test_an_update_of_something_changed_meanwhile_is_out_of_sequence(store: Store) -> None:
    node = await store.update(lambda tx: tx.nodes.create(builders.node()))
    stale = api.Node()
    stale.CopyFrom(node)
    await store.update(lambda tx: tx.nodes.update(tx.nodes.copy(node.id)))
    with pytest.raises(OutOfSequenceError, match=r"^update out of sequence$"):
        await store.update(lambda tx: tx.nodes.update(stale))


@pytest.mark.parametrize("verb", ["copy", "delete"])
async def test_what_is_not_there_is_not_found(store: Store, verb: str) -> None:
    with pytest.raises(NotFoundError, match="node x not found"):
        await store.update(lambda tx: getattr(tx.nodes, verb)("x"))


async def test_an_update_of_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError):
        await store.update(lambda tx: tx.nodes.update(builders.node()))


async def test_an_id_is_taken_once(store: Store) -> None:
    node = await store.update(lambda tx: tx.nodes.create(builders.node()))
    with pytest.raises(AlreadyExistsError):
        await store.update(lambda tx: tx.nodes.create(builders.node(id=node.id)))


@pytest.mark.parametrize(
    "kind", ["service", "network", "secret", "config", "cluster", "extension", "volume"]
)
async def test_names_are_unique_without_case(store: Store, kind: str) -> None:
    build = getattr(builders, kind)
    await store.update(lambda tx: getattr(tx, f"{kind}s").create(build("Web")))
    with pytest.raises(NameConflictError, match=f"name conflicts .* {kind} web"):
        await store.update(lambda tx: getattr(tx, f"{kind}s").create(build("wEB")))


async def test_resource_names_are_unique_within_their_kind(store: Store) -> None:
    await store.update(lambda tx: tx.resources.create(builders.resource("one", "Web")))
    await store.update(lambda tx: tx.resources.create(builders.resource("two", "Web")))
    with pytest.raises(NameConflictError, match="resource web"):
        await store.update(lambda tx: tx.resources.create(builders.resource("one", "web")))


async def test_nodes_and_tasks_may_share_a_name(store: Store) -> None:
    await store.batch([lambda tx: tx.nodes.create(builders.node("same")).id] * 2)
    annotations = api.Annotations(name="same")
    await store.batch([lambda tx: tx.tasks.create(builders.task(annotations=annotations)).id] * 2)
    view = store.view()
    assert (2, 2) == (len(view.nodes.find(by.name("same"))), len(view.tasks.find(by.name("same"))))


async def test_a_rename_frees_the_old_name_and_takes_the_new(store: Store) -> None:
    service = await store.update(lambda tx: tx.services.create(builders.service("old")))

    def rename(tx: WriteTx) -> None:
        copy = tx.services.copy(service.id)
        copy.spec.annotations.name = "new"
        tx.services.update(copy)
        tx.services.create(builders.service("old"))
        with pytest.raises(NameConflictError):
            tx.services.create(builders.service("new"))

    await store.update(rename)
    names = {one.spec.annotations.name for one in store.view().services.find()}
    assert {"old", "new"} == names


async def test_a_deleted_name_is_free_in_the_same_transaction(store: Store) -> None:
    service = await store.update(lambda tx: tx.services.create(builders.service("web")))

    def replace(tx: WriteTx) -> api.Service:
        tx.services.delete(service.id)
        return tx.services.create(builders.service("web"))

    new = await store.update(replace)
    assert [new] == store.view().services.find(by.name("web"))


async def test_a_refused_create_that_is_caught_claims_no_name(store: Store) -> None:
    service = await store.update(lambda tx: tx.services.create(builders.service("web")))

    def change(tx: WriteTx) -> None:
        with pytest.raises(AlreadyExistsError):
            tx.services.create(builders.service("other", id=service.id))
        tx.services.create(builders.service("other"))

    await store.update(change)
    assert 2 == len(store.view().services)


async def test_a_rolled_back_claim_of_a_name_is_given_up(store: Store) -> None:
    def fail(tx: WriteTx) -> None:
        tx.services.create(builders.service("web"))
        raise NotFoundError("x", "y")

    def create(tx: WriteTx) -> None:
        tx.services.create(builders.service("web"))

    first, second = await store.batch([fail, create])
    assert isinstance(first, NotFoundError)
    assert second is None


async def test_a_transaction_sees_its_own_writes(store: Store) -> None:
    kept, gone, moved = [builders.task(node_id="n1") for _ in range(3)]
    changes = [lambda tx, t=t: tx.tasks.create(t).id for t in (kept, gone, moved)]
    await store.batch(changes)

    def change(tx: WriteTx) -> None:
        tx.tasks.delete(gone.id)
        task = tx.tasks.copy(moved.id)
        task.node_id = "n2"
        tx.tasks.update(task)
        new = tx.tasks.create(builders.task(node_id="n1"))
        assert {kept.id, new.id} == {one.id for one in tx.tasks.find(by.node("n1"))}
        assert [task] == tx.tasks.find(by.node("n2"))
        assert {kept.id, moved.id, new.id} == {one.id for one in tx.tasks.find()}
        assert 3 == len(tx.tasks)
        assert tx.tasks.get(gone.id) is None

    await store.update(change)
    assert 3 == len(store.view().tasks)


async def test_created_and_deleted_in_one_transaction_leaves_nothing(store: Store) -> None:
    def change(tx: WriteTx) -> None:
        tx.tasks.delete(tx.tasks.create(builders.task()).id)

    await store.update(change)
    assert 0 == len(store.view().tasks)


async def test_updated_twice_in_one_transaction_keeps_the_last(store: Store) -> None:
    node = await store.update(lambda tx: tx.nodes.create(builders.node("a")))

    def change(tx: WriteTx) -> None:
        for hostname in ("b", "c"):
            copy = tx.nodes.copy(node.id)
            copy.description.hostname = hostname
            tx.nodes.update(copy)

    await store.update(change)
    assert ["c"] == [one.description.hostname for one in store.view().nodes.find()]
    assert [] == store.view().nodes.find(by.name("b"))


async def test_a_transaction_is_over_with_its_change(store: Store) -> None:
    tx = await store.update(lambda tx: tx)
    with pytest.raises(AssertionError, match="ends with its change"):
        tx.tasks.create(builders.task())
