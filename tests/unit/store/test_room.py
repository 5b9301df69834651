"""What is refused, and what never is, as the room for the store gets less."""

import pytest

from swarmd import api
from swarmd.errors import ResourceExhaustedError
from swarmd.store import Store
from swarmd.store.memory import MemoryBackend
from swarmd.store.room import ENDLESS, Level, Room
from tests import builders
from tests.fakes.clock import FakeClock

GIB = 1 << 30
SCARCE = Room(quota=100 * GIB).after(92 * GIB)
SPENT = Room(quota=100 * GIB).after(101 * GIB)


@pytest.mark.parametrize(
    ("used", "level"),
    [
        (0, Level.AMPLE),
        (899, Level.AMPLE),
        (900, Level.SCARCE),
        (999, Level.SCARCE),
        (1_000, Level.SPENT),
        (2_000, Level.SPENT),
    ],
)
def test_how_much_is_left(used: int, level: Level):
    assert level is Room(quota=1_000).after(used).level


def test_a_room_without_an_end_is_ample():
    assert Level.AMPLE is ENDLESS.after(1 << 50).level
    assert ENDLESS is ENDLESS.grown(1 << 50)


def test_it_is_ample_again_only_with_clearly_more_room_than_it_became_scarce_at():
    room = Room(quota=1_000)
    seen = [(room := room.after(used)).level for used in (900, 880, 870, 869, 890, 900)]
    scarce, ample = Level.SCARCE, Level.AMPLE
    assert [scarce, scarce, scarce, ample, ample, scarce] == seen


def test_what_was_written_since_it_was_measured_counts():
    assert Level.SCARCE is Room(quota=1_000).after(500).grown(400).level


def test_the_sentence_says_what_is_wrong_and_both_ways_out():
    said = Room(quota=64 << 20).after(60 << 20).sentence
    assert "60.0 MiB of its 64.0 MiB" in said
    assert "remove services, configs or secrets" in said
    assert "--quota-backend-bytes" in said
    assert "" == Room(quota=1_000).after(10).sentence


@pytest.fixture
async def store():
    async with Store(MemoryBackend(), FakeClock()) as opened:
        yield opened


def made(one):
    return lambda tx: _table(tx, one).create(one)


def changed(one, change):
    def run(tx):
        own = _table(tx, one).copy(one.id)
        change(own)
        _table(tx, one).update(own)

    return run


def _table(tx, one):
    return getattr(tx, f"{type(one).__name__.lower()}s")


async def refuses(store: Store, change) -> bool:
    try:
        await store.update(change)
    except ResourceExhaustedError:
        return True
    return False


async def test_where_room_is_scarce_users_make_nothing(store: Store):
    store.room = SCARCE
    makes = [builders.service(), builders.network(), builders.secret(), builders.config()]
    assert [True] * 4 == [await refuses(store, made(one)) for one in makes]
    assert 0 == store.version


async def test_where_room_is_scarce_what_users_have_does_not_grow(store: Store):
    service, config = builders.service(replicas=2), builders.config()
    for one in (service, config):
        await store.update(made(one))
    store.room = SCARCE

    def label(one) -> None:
        one.spec.annotations.labels["more"] = "words"

    def scale_up(one) -> None:
        one.spec.replicated.replicas = 3

    def scale_down(one) -> None:
        one.spec.replicated.replicas = 1

    assert await refuses(store, changed(service, label))
    assert await refuses(store, changed(config, label))
    assert await refuses(store, changed(service, scale_up))
    assert not await refuses(store, changed(service, scale_down))


async def test_where_room_is_scarce_a_service_goes_back_to_what_it_was(store: Store):
    was = builders.service(labels={"many": "words, and more of them"})
    now = builders.service()
    now.previous_spec.CopyFrom(was.spec)
    await store.update(made(now))
    store.room = SCARCE

    def roll_back(one) -> None:
        one.spec.CopyFrom(one.previous_spec)
        one.ClearField("previous_spec")

    assert not await refuses(store, changed(now, roll_back))


async def test_where_room_is_scarce_tasks_go_on(store: Store):
    task, config = builders.task(), builders.config()
    await store.update(made(task))
    await store.update(made(config))
    store.room = SCARCE

    def says(one) -> None:
        one.status.message = "a long story " * 20

    assert not await refuses(store, changed(task, says))
    assert not await refuses(store, made(builders.task()))
    assert not await refuses(store, made(builders.node()))
    assert not await refuses(store, lambda tx: tx.configs.delete(config.id))


async def test_where_room_is_spent_no_task_is_made_and_those_there_go_on(store: Store):
    task = builders.task()
    await store.update(made(task))
    store.room = SPENT

    def ends(one) -> None:
        one.status.state = api.TaskState.FAILED
        one.status.err = "why it did"

    assert await refuses(store, made(builders.task()))
    assert not await refuses(store, changed(task, ends))
    assert not await refuses(store, lambda tx: tx.tasks.delete(task.id))


async def test_one_refusal_leaves_the_others_of_its_batch(store: Store):
    task = builders.task()
    store.room = SCARCE
    refused, taken = await store.batch([made(builders.config()), made(task)])
    assert isinstance(refused, ResourceExhaustedError)
    assert task.id == taken.id
