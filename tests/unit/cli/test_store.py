"""swarmd store: check, dump and object, on a directory that nobody runs."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from swarmd.cli.restore import restore
from swarmd.cli.store import store
from swarmd.errors import ExitStatus
from swarmd.security import data_key, recovery_key, unlock_key
from swarmd.state_dir import StateDir
from swarmd.store import Row, SqliteBackend
from tests import builders
from tests.unit.cli.backups import KEY, write_backup

SECRET = builders.secret("Key", data=b"hidden")


@pytest.fixture
def place(tmp_path: Path) -> StateDir:
    place = StateDir(tmp_path / "state")
    asyncio.run(write_backup(tmp_path / "backup", SECRET))
    words = ["--state-dir", str(place.root), str(tmp_path / "backup")]
    done = CliRunner().invoke(restore, words, input=recovery_key.show(KEY))
    assert ExitStatus.CLEAN == done.exit_code, done.output
    return place


def run(place: StateDir, command: str, *words: str, text: str = "") -> Result:
    arguments = [command, "--state-dir", str(place.root), *words]
    return CliRunner().invoke(store, arguments, input=text)


def contents(root: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in root.rglob("*.*") if one.is_file()}


def test_a_sound_store_is_said_to_be_sound_and_left_as_it_is(place: StateDir) -> None:
    before = contents(place.root)
    done = run(place, "check")
    assert (ExitStatus.CLEAN, "") == (done.exit_code, done.stderr)
    assert "3 objects" in done.stdout
    assert done.stdout.endswith(": sound\n")
    assert before.items() <= contents(place.root).items()


def test_what_does_not_fit_is_named(place: StateDir) -> None:
    other = builders.secret("key")
    asyncio.run(commit(place, Row("secret", other.id, 0, other.SerializeToString())))
    done = run(place, "check")
    assert ExitStatus.FAILED == done.exit_code
    assert f"secret {other.id}" in done.stdout
    assert "both have the name key" in done.stdout
    assert "1 do not fit" in done.stdout


async def commit(place: StateDir, row: Row) -> None:
    keys = data_key.open_data_keys(place.node_key)
    backend = SqliteBackend(place.store, keys.sealer(place.node_key))
    version = (await backend.load()).version
    await backend.commit(version + 1, [row])
    await backend.close()


def test_a_damaged_file_is_named_and_so_is_the_row(place: StateDir) -> None:
    with contextlib.closing(sqlite3.connect(place.store)) as connection, connection:
        connection.execute("UPDATE objects SET data = x'00' WHERE id = ?", (SECRET.id,))
    done = run(place, "check")
    assert ExitStatus.CANNOT_BOOT == done.exit_code
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: {place.store} is corrupt")
    assert SECRET.id in line


def test_a_directory_without_a_store_is_told_to_be_none(tmp_path: Path) -> None:
    done = run(StateDir(tmp_path), "check")
    assert ExitStatus.CANNOT_BOOT == done.exit_code
    assert f"Error: {tmp_path} has no store: is this node a manager?\n" == done.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_locked_store_is_opened_with_its_unlock_key(place: StateDir, tmp_path: Path) -> None:
    key = bytes(range(32))
    keys = data_key.lock(place.node_key, key, 1 << 40)
    asyncio.run(reseal(place, keys))
    data_key.finish(place.node_key)
    unlock_key.remember(place.node_key, b"")
    done = run(place, "check")
    assert ExitStatus.CANNOT_BOOT == done.exit_code
    assert "is locked: give --unlock-key-file" in done.stderr
    (tmp_path / "key").write_text(unlock_key.show(key) + "\n")
    done = run(place, "check", "--unlock-key-file", str(tmp_path / "key"))
    assert ExitStatus.CLEAN == done.exit_code


async def reseal(place: StateDir, keys: data_key.DataKeys) -> None:
    backend = SqliteBackend(place.store, keys.sealer(place.node_key))
    await backend.load()
    await backend.close()


def test_a_dump_shows_every_object_and_no_secret(place: StateDir) -> None:
    done = run(place, "dump", "--format", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["cluster", "node", "secret"] == [line["kind"] for line in lines]
    assert "root_ca" not in lines[0]["object"]
    assert SECRET.id == lines[2]["object"]["id"]
    assert "aGlkZGVu" not in done.stdout
    assert "aGlkZGVu" in run(place, "dump", "--format=json", "--redact=false").stdout


def test_a_dump_can_be_of_some_kinds(place: StateDir) -> None:
    done = run(place, "dump", "--kind", "secret")
    assert done.stdout.startswith("secret {\n")
    assert 1 == done.stdout.count("\n}\n")


@pytest.mark.parametrize("which", [SECRET.id, SECRET.id[:6], "Key", "key"])
def test_one_object_is_found_by_id_beginning_or_name(place: StateDir, which: str) -> None:
    done = run(place, "object", "secret", which)
    assert ExitStatus.CLEAN == done.exit_code
    assert f'id: "{SECRET.id}"' in done.stdout
    assert "REDACTED" in done.stdout
    assert "hidden" in run(place, "object", "secret", which, "--redact=false").stdout


def test_one_that_is_not_there_is_said(place: StateDir) -> None:
    done = run(place, "object", "task", "nothing")
    assert (ExitStatus.FAILED, "Error: task nothing: there is none\n") == (
        done.exit_code,
        done.stderr,
    )
