"""The SQLite file under a data key: nothing readable in it, nothing taken on trust from it."""

import sqlite3
from pathlib import Path

import pytest

from swarmd import api
from swarmd.errors import CorruptStateError, UnavailableError
from swarmd.security.encryption import Sealer
from swarmd.store import SqliteBackend, Store
from swarmd.store import sqlite as sqlite_module
from swarmd.store.backend import Row
from swarmd.store.sqlite_file import row_checksum
from tests import builders, stored
from tests.fakes.clock import FakeClock

HOME = Path("certificates/swarm-node.key")
SEALER = Sealer(b"1" * 32, HOME)
OTHER = Sealer(b"2" * 32, HOME)
BOTH = Sealer(b"2" * 32, HOME, [b"1" * 32])
SECRET = b"the launch codes of all our missiles"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "swarm.db"


async def fill(path: Path, sealer: Sealer | None) -> api.StoreSnapshot:
    async with Store(SqliteBackend(path, sealer), FakeClock()) as store:
        await store.update(lambda tx: tx.secrets.create(builders.secret(data=SECRET)))
        for _ in range(20):
            await store.update(lambda tx: tx.tasks.create(builders.task()))
        return stored.whole(store)


async def read(path: Path, sealer: Sealer | None) -> api.StoreSnapshot:
    async with Store(SqliteBackend(path, sealer), FakeClock()) as store:
        return stored.whole(store)


def lies_in(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


async def test_a_secret_is_in_no_file_also_while_the_store_is_open(path: Path):
    async with Store(SqliteBackend(path, SEALER), FakeClock()) as store:
        await store.update(lambda tx: tx.secrets.create(builders.secret(data=SECRET)))
        assert SECRET not in lies_in(path.parent)
    assert SECRET not in lies_in(path.parent)


async def test_what_was_sealed_is_there_after_a_restart(path: Path):
    assert await fill(path, SEALER) == await read(path, SEALER)


async def test_a_store_in_the_clear_is_sealed_when_it_is_opened(path: Path):
    whole = await fill(path, None)
    assert SECRET in lies_in(path.parent)
    assert whole == await read(path, SEALER)
    assert SECRET not in lies_in(path.parent)
    assert whole == await read(path, SEALER)


@pytest.mark.parametrize("step", ["before", "after"])
async def test_a_sealing_that_is_cut_short_is_begun_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    whole = await fill(path, None)
    real = sqlite_module.make_file

    def cut(*arguments: object) -> None:
        if step == "after":
            real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlite_module, "make_file", cut)
    backend = SqliteBackend(path, SEALER)
    with pytest.raises(KeyboardInterrupt):
        backend._load()
    monkeypatch.undo()
    assert whole == await read(path, SEALER)


async def test_another_data_key_is_refused_naming_both_files(path: Path):
    await fill(path, SEALER)
    before = path.read_bytes()
    with pytest.raises(CorruptStateError, match="another data key") as caught:
        await read(path, OTHER)
    assert str(path) in str(caught.value)
    assert str(HOME) in str(caught.value)
    assert before == path.read_bytes()


async def test_a_sealed_store_does_not_open_without_a_key(path: Path):
    await fill(path, SEALER)
    with pytest.raises(CorruptStateError, match="sealed"):
        await read(path, None)


async def test_a_row_in_anothers_place_is_refused(path: Path):
    """Whoever may write the file can make its checksums fit; the seal tells."""
    await fill(path, SEALER)
    with sqlite3.connect(path) as other:
        rows = [Row(*row) for row in other.execute("SELECT kind, id, version, data FROM objects")]
        first, second = [row for row in rows if row.kind == "task"][:2]
        moved = first._replace(data=second.data)
        other.execute(
            "UPDATE objects SET data = ?, checksum = ? WHERE id = ?",
            (moved.data, row_checksum(moved), moved.id),
        )
    other.close()
    with pytest.raises(CorruptStateError, match=f"task {first.id}: it was tampered with"):
        await read(path, SEALER)


async def test_a_row_in_the_clear_among_sealed_ones_is_refused(path: Path):
    await fill(path, SEALER)
    planted = Row("task", "planted", 1, api.Task(id="planted").SerializeToString())
    with sqlite3.connect(path) as other:
        values = (*planted[:3], row_checksum(planted), planted.data)
        other.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", values)
    other.close()
    with pytest.raises(CorruptStateError, match="task planted: it is not sealed"):
        await read(path, SEALER)


async def test_an_older_data_key_is_left_at_the_next_load(path: Path):
    whole = await fill(path, SEALER)
    assert whole == await read(path, BOTH)
    assert whole == await read(path, OTHER)


async def test_the_data_key_changes_under_an_open_store(path: Path):
    backend = SqliteBackend(path, SEALER)
    async with Store(backend, FakeClock()) as store:
        await store.update(lambda tx: tx.tasks.create(builders.task()))
        await backend.reseal(BOTH)
        await store.update(lambda tx: tx.tasks.create(builders.task()))
        whole = stored.whole(store)
    assert whole == await read(path, OTHER)


async def test_a_change_of_the_data_key_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    backend = SqliteBackend(path, SEALER)

    def fail(*_: object) -> None:
        raise UnavailableError("the disk is on fire")

    async with Store(backend, FakeClock()) as store:
        await store.update(lambda tx: tx.tasks.create(builders.task()))
        monkeypatch.setattr(sqlite_module, "make_file", fail)
        with pytest.raises(UnavailableError):
            await backend.reseal(BOTH)
        await store.update(lambda tx: tx.tasks.create(builders.task()))
        whole = stored.whole(store)
    assert whole == await read(path, SEALER)
