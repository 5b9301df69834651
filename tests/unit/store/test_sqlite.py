"""The SQLite file: private, whole after any kill, refused untouched when damaged."""

import asyncio
import random
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmd import api
from swarmd.errors import CannotBootError, CorruptStateError, ResourceExhaustedError, SwarmError
from swarmd.store import SqliteBackend, Store, WriteTx, by
from swarmd.store.backend import Row
from tests import builders, stored
from tests.fakes.clock import FakeClock

TASKS = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "swarm.db"


def create(task: api.Task) -> Callable[[WriteTx], api.Task]:
    return lambda tx: tx.tasks.create(task)


async def fill(path: Path, count: int = TASKS) -> api.StoreSnapshot:
    """A file with so many tasks, made in several commits, closed cleanly."""
    async with Store(SqliteBackend(path), FakeClock()) as store:
        for _ in range(count // 20):
            await store.batch([create(builders.task()) for _ in range(20)])
        return stored.whole(store)


async def read(path: Path) -> api.StoreSnapshot:
    async with Store(SqliteBackend(path), FakeClock()) as store:
        return stored.whole(store)


async def test_the_file_is_private_to_its_owner(path: Path) -> None:
    async with Store(SqliteBackend(path), FakeClock()) as store:
        await store.update(create(builders.task()))
        files = list(path.parent.glob("swarm.db*"))
        assert {"swarm.db", "swarm.db-wal", "swarm.db-shm"} == {file.name for file in files}
        assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}


async def test_a_commit_is_in_the_file_before_update_returns(path: Path) -> None:
    async with Store(SqliteBackend(path), FakeClock()) as store:
        task = await store.update(create(builders.task()))
        with sqlite3.connect(path) as other:
            rows = other.execute("SELECT kind, id, version, data FROM objects").fetchall()
        other.close()
    assert [("task", task.id, 1, task.SerializeToString())] == rows


async def test_every_commit_is_synced(path: Path) -> None:
    backend = SqliteBackend(path)
    async with Store(backend, FakeClock()) as store:
        await store.update(create(builders.task()))
        assert backend._connection is not None
        pragmas = [
            backend._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert ["wal", 2] == pragmas


async def refused(path: Path) -> CorruptStateError:
    before = {file: file.read_bytes() for file in path.parent.glob("swarm.db") if file.is_file()}
    with pytest.raises(CorruptStateError, match="nothing in it was changed") as raised:
        await read(path)
    assert str(path) in str(raised.value)
    assert before == {file: file.read_bytes() for file in before}
    return raised.value


@pytest.mark.parametrize("size", [0, 1, 512, 4096, 8192, 20_000])
async def test_a_truncated_file_is_refused_and_left_alone(path: Path, size: int) -> None:
    await fill(path)
    assert path.stat().st_size > size
    with path.open("r+b") as file:
        file.truncate(size)
    await refused(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 10_000, b"not a database" * 1000])
async def test_another_file_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    await refused(path)


async def test_a_database_of_someone_else_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE objects (kind)")
    other.close()
    assert "not a swarmd store" in str(await refused(path))


async def test_a_file_that_went_while_its_log_stayed_is_refused(path: Path) -> None:
    await fill(path)
    path.with_name("swarm.db-wal").write_bytes(b"what the file did not have yet")
    path.unlink()
    assert "is gone" in str(await refused(path))
    assert not path.exists()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE objects SET data = X'ffff' WHERE rowid = 7", "checksum"),
        ("UPDATE objects SET id = 'other' WHERE rowid = 7", "checksum"),
        ("UPDATE objects SET version = 0 WHERE rowid = 7", "checksum"),
        ("UPDATE objects SET data = 7 WHERE rowid = 7", "checksum"),
        ("UPDATE meta SET version = 2", "version"),
        ("DELETE FROM meta", "version"),
        ("DROP TABLE meta", "no such table"),
        ("DROP TABLE objects", "no such table"),
    ],
)
async def test_a_wrong_row_is_refused_and_left_alone(
    path: Path, statement: str, reason: str
) -> None:
    await fill(path)
    with sqlite3.connect(path) as other:
        other.execute(statement)
    other.close()
    assert reason in str(await refused(path))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row("gadget", "x", 1, b""), "gadget x cannot be read"),
        (Row("task", "x", 1, b"\xff\xff"), "task x cannot be read"),
        (Row("task", "x", 1, api.Task(id="y").SerializeToString()), "does not belong there"),
        (Row("task", "x", 9, api.Task(id="x").SerializeToString()), "does not belong there"),
    ],
)
async def test_a_row_that_is_no_object_is_refused(path: Path, row: Row, reason: str) -> None:
    backend = SqliteBackend(path)
    await backend.load()
    await backend.commit(1, [row])
    await backend.close()
    assert reason in str(await refused(path))


async def test_a_newer_schema_is_refused_with_what_to_do(path: Path) -> None:
    await fill(path)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(CannotBootError, match="written by a newer swarmd"):
        await read(path)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_damaged_byte_is_refused_or_does_no_harm(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / f"{seed}" / "swarm.db"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    whole = asyncio.run(fill(path))
    damaged = bytearray(path.read_bytes())
    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    path.write_bytes(damaged)
    try:
        assert whole == asyncio.run(read(path))
    except (CorruptStateError, CannotBootError):
        assert damaged == path.read_bytes()


async def test_a_place_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(CannotBootError, match=r"cannot open the store .*/file/swarm\.db"):
        await read(file / "swarm.db")
    with pytest.raises(CannotBootError, match="No such file or directory"):
        await read(tmp_path / "nowhere" / "swarm.db")
    with pytest.raises(CannotBootError, match="see to it that swarmd may write there"):
        await read(tmp_path)


async def test_a_full_disk_fails_the_writer_and_later_writes_try_again(path: Path) -> None:
    backend = SqliteBackend(path)
    async with Store(backend, FakeClock()) as store:
        kept = await store.update(create(builders.task()))
        assert backend._connection is not None
        (pages,) = backend._connection.execute("PRAGMA page_count").fetchone()
        backend._connection.execute(f"PRAGMA max_page_count = {pages}")
        large = builders.config(data=bytes(100_000))
        with pytest.raises(ResourceExhaustedError, match="disk is full") as raised:
            await store.update(lambda tx: tx.configs.create(large))
        assert str(path) in str(raised.value)
        assert [kept] == store.view().tasks.find()
        assert 0 == len(store.view().configs)
        backend._connection.execute("PRAGMA max_page_count = 100000")
        await store.update(lambda tx: tx.configs.create(large))
        whole = stored.whole(store)
    assert whole == await read(path)


async def test_a_lost_connection_is_made_anew(path: Path) -> None:
    backend = SqliteBackend(path)
    async with Store(backend, FakeClock()) as store:
        assert backend._connection is not None
        await backend._call(backend._connection.close)
        with pytest.raises(SwarmError, match="nothing was changed"):
            await store.update(create(builders.task()))
        await store.update(create(builders.task()))
        assert 1 == len(store.view().tasks)


async def test_a_stale_half_made_file_is_made_again(path: Path) -> None:
    path.with_name("swarm.db.new").write_bytes(b"half")
    await fill(path)
    assert not path.with_name("swarm.db.new").exists()


async def test_a_reader_beside_it_does_not_stop_the_writer(path: Path) -> None:
    async with Store(SqliteBackend(path), FakeClock()) as store:
        await store.update(create(builders.task()))
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM objects").fetchall()
        await store.update(create(builders.task()))
        reader.close()


WRITER = """
import asyncio, pathlib, sys
from swarmd import api
from swarmd.clock import SystemClock
from swarmd.store import SqliteBackend, Store

async def main():
    async with Store(SqliteBackend(pathlib.Path(sys.argv[1])), SystemClock()) as store:
        async def writer(name):
            for number in range(1_000_000):
                def pair(tx):
                    for half in "ab":
                        tx.tasks.create(api.Task(id=f"{name}-{number}-{half}", slot=number))
                await store.update(pair)
                print(f"{name}-{number}", flush=True)
        await asyncio.gather(*(writer(f"w{n}") for n in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 40, 700])
async def test_what_a_killed_process_acknowledged_is_there(path: Path, acknowledged: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(acknowledged)]
    process.send_signal(signal.SIGKILL)
    lines += [line async for line in process.stdout if line.endswith(b"\n")]
    await process.wait()
    async with Store(SqliteBackend(path), FakeClock()) as store:
        ids = {task.id for task in store.view().tasks.find()}
        pairs = {name.rsplit("-", 1)[0] for name in ids}
        assert {line.decode().strip() for line in lines} <= pairs
        assert {f"{pair}-{half}" for pair in pairs for half in "ab"} == ids
        assert len(pairs) == store.version
        assert 8 >= len(store.view().tasks.find(by.id_prefix("w0-0-"))) > 0
