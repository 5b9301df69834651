"""The parts of a backup: one view of the store, all of it, and back."""

import pytest

from swarmd import api
from swarmd.api.protos.backup_pb2 import BackupInfo, BackupObject, BackupPart
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.errors import CannotBootError, CorruptStateError, FailedPreconditionError
from swarmd.store import Loaded, MemoryBackend, Store, backup
from swarmd.store.backup import Unpacked
from tests import builders
from tests.fakes.clock import FakeClock

NOW = 1_800_000_000.0


def texts(taken: backup.Taken) -> list[bytes]:
    return [part.SerializeToString() for part in backup.parts(taken)]


def unpacked(taken: backup.Taken) -> Unpacked:
    return backup.unpack(texts(taken), "the file")


async def filled(store: Store, tasks: int = 3) -> None:
    await store.update(lambda tx: tx.clusters.create(builders.cluster()))
    service = await store.update(lambda tx: tx.services.create(builders.service()))
    await store.update(lambda tx: tx.secrets.create(builders.secret(data=b"hidden")))
    await store.update(lambda tx: tx.breakers.create(Breaker(id=service.id)))
    built = [builders.task(service) for _ in range(tasks)]
    await store.batch([lambda tx, one=one: tx.tasks.create(one) for one in built])


async def test_a_backup_has_everything_that_the_store_keeps() -> None:
    backend = MemoryBackend()
    async with Store(backend, FakeClock()) as store:
        await filled(store, tasks=1_200)
        taken = backup.take(store, NOW)
    info, rows = unpacked(taken)
    kept = await backend.load()
    assert Loaded(kept.version, sorted(kept.rows)) == Loaded(info.version, sorted(rows))
    assert (1, 1, 1_200) == tuple(info.counts[kind] for kind in ("cluster", "breaker", "task"))
    assert len(texts(taken)) > 2


async def test_what_changes_meanwhile_is_not_in_it() -> None:
    async with Store(MemoryBackend(), FakeClock()) as store:
        await filled(store)
        before = unpacked(backup.take(store, NOW))
        taken = backup.take(store, NOW)
        for task in store.view().tasks.find():
            await store.update(lambda tx, task=task: tx.tasks.delete(task.id))
        await store.update(lambda tx: tx.services.create(builders.service()))
    assert before == unpacked(taken)


async def test_there_is_nothing_to_back_up_before_there_is_a_cluster() -> None:
    async with Store(MemoryBackend(), FakeClock()) as store:
        with pytest.raises(FailedPreconditionError, match="nothing to back up"):
            backup.take(store, NOW)


def one_part(**fields) -> bytes:
    return BackupPart(**fields).SerializeToString()


def test_a_kind_that_is_not_known_comes_from_a_newer_version() -> None:
    info = BackupInfo(swarmd_version="9.0", counts={"sidecar": 1})
    text = one_part(info=info, objects=[BackupObject(kind="sidecar", id="1")])
    with pytest.raises(CannotBootError, match=r"the file .* newer swarmd \(9.0\).*\(sidecar\)"):
        backup.unpack([text], "the file")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "it does not say what it is"),
        ([one_part()], "it does not say what it is"),
        ([b"\xff\xff"], "a part of it is no message"),
        ([one_part(info=BackupInfo(counts={"task": 2}))], "not have as many objects as it says"),
    ],
)
def test_parts_that_are_no_whole_backup_are_refused(parts: list[bytes], reason: str) -> None:
    with pytest.raises(CorruptStateError, match=reason):
        backup.unpack(parts, "the file")


def test_an_object_is_no_larger_in_a_part_than_grpc_takes() -> None:
    big = [builders.config(data=bytes(500_000)) for _ in range(9)]
    parts = list(backup.parts(backup.Taken(BackupInfo(), {"config": big})))
    assert 1 + 9 == len(parts)
    assert max(part.ByteSize() for part in parts) < 1 << 20


def test_every_kind_of_the_api_is_backed_up() -> None:
    kinds = {field.message_type.name for field in api.StoreSnapshot.DESCRIPTOR.fields}
    assert kinds <= {kind.message.DESCRIPTOR.name for kind in backup.ALL_KINDS}
