"""swarmd restore: a state directory out of a backup, or one line and nothing changed."""

import asyncio
import fcntl
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from swarmd.cli.restore import restore
from swarmd.errors import ExitStatus
from swarmd.security import data_key, recovery_key
from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import MANAGER
from swarmd.security.sealed_parts import Kind
from swarmd.state_dir import StateDir
from swarmd.store import Loaded, SqliteBackend
from swarmd.store.findings import by_kind, findings
from tests import builders
from tests.unit.cli.backups import KEY, PASSPHRASE, rooted_cluster, write_backup

SHOWN = recovery_key.show(KEY)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    asyncio.run(write_backup(path, builders.secret("key", data=b"hidden")))
    return path


@pytest.fixture
def place(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


def run(place: StateDir, file: Path, *options: str, text: str = SHOWN) -> Result:
    words = ["--state-dir", str(place.root), *options, str(file)]
    return CliRunner().invoke(restore, words, input=text + "\n")


def stored(place: StateDir) -> Loaded:
    async def look() -> Loaded:
        keys = data_key.read_data_keys(place.node_key)
        assert keys is not None
        backend = SqliteBackend(place.store, keys.sealer(place.node_key))
        try:
            return await backend.look()
        finally:
            await backend.close()

    return asyncio.run(look())


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()
    }


def test_a_restored_directory_is_that_of_the_clusters_only_manager(
    place: StateDir, file: Path
) -> None:
    done = run(place, file)
    assert ExitStatus.CLEAN == done.exit_code, done.output
    loaded = stored(place)
    assert [] == findings(loaded)
    objects = by_kind(loaded, "")
    (cluster,) = objects["cluster"].values()
    (node,) = objects["node"].values()
    identity = NodeCertificates.load(place).identity
    assert (node.id, MANAGER, cluster.id) == (
        identity.node_id,
        identity.role,
        identity.cluster_id,
    )
    assert [b"hidden"] == [one.spec.data for one in objects["secret"].values()]
    assert {0o600} == {one.stat().st_mode & 0o777 for one in (place.store, place.node_key)}


def test_it_says_what_there_is_now_and_where_workers_look(place: StateDir, file: Path) -> None:
    output = run(place, file).output
    assert "secret 1" in output
    assert "removed, its tasks replaced" in output
    assert "workers look for a manager at 10.0.0.1:4242" in output


def test_a_dry_run_changes_nothing(place: StateDir, file: Path) -> None:
    done = run(place, file, "--dry-run")
    assert ExitStatus.CLEAN == done.exit_code
    assert "secret 1" in done.output
    assert not place.root.exists()


def test_a_passphrase_opens_what_it_sealed(place: StateDir, tmp_path: Path) -> None:
    asyncio.run(write_backup(tmp_path / "b", kind=Kind.PASSPHRASE))
    done = run(place, tmp_path / "b", text="guessed")
    assert (ExitStatus.FAILED, f"Error: wrong passphrase for {tmp_path / 'b'}\n") == (
        done.exit_code,
        done.stderr,
    )
    (tmp_path / "pass").write_text(PASSPHRASE + "\nmore\n")
    done = run(place, tmp_path / "b", "--passphrase-file", str(tmp_path / "pass"), text="")
    assert ExitStatus.CLEAN == done.exit_code


@pytest.mark.parametrize(
    ("place_of_damage", "status", "reason"),
    [
        ("key", ExitStatus.FAILED, "wrong recovery key for"),
        ("cut", ExitStatus.CANNOT_BOOT, "is damaged (it is cut short)"),
        ("bit", ExitStatus.CANNOT_BOOT, "was changed"),
        ("version", ExitStatus.CANNOT_BOOT, "was written by a newer swarmd"),
        ("other", ExitStatus.CANNOT_BOOT, "is not a backup of swarmd"),
    ],
)
def test_what_cannot_be_restored_is_said_in_one_line_and_nothing_changes(
    place: StateDir, file: Path, place_of_damage: str, status: ExitStatus, reason: str
) -> None:
    data = bytearray(file.read_bytes())
    if place_of_damage == "cut":
        del data[-1]
    elif place_of_damage == "bit":
        data[-1] ^= 1
    elif place_of_damage == "version":
        data[14] = 9
    elif place_of_damage == "other":
        data[:] = b"something else"
    file.write_bytes(data)
    done = run(
        place, file, text=recovery_key.show(bytes(32)) if place_of_damage == "key" else SHOWN
    )
    assert status == done.exit_code
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: {'wrong' if status == ExitStatus.FAILED else file}")
    assert reason in line
    assert not place.root.exists()


def test_a_directory_that_holds_a_node_is_left_alone(place: StateDir, file: Path) -> None:
    assert ExitStatus.CLEAN == run(place, file).exit_code
    before = contents(place.root)
    done = run(place, file)
    assert ExitStatus.FAILED == done.exit_code
    assert "holds a node already (certificates, store)" in done.stderr
    assert before == contents(place.root)


def test_with_force_what_was_there_is_moved_aside_whole(place: StateDir, file: Path) -> None:
    run(place, file)
    (place.root / "swarmd.toml").write_text("stays")
    place.remotes.write_text("[]")
    before = contents(place.root)
    done = run(place, file, "--force")
    assert ExitStatus.CLEAN == done.exit_code, done.output
    (aside,) = place.root.glob("before-restore-*")
    assert 0o700 == aside.stat().st_mode & 0o777
    moved = {name for name in before if not name.startswith(("swarmd.lock", "swarmd.toml"))}
    assert {name: before[name] for name in moved} == contents(aside)
    assert "stays" == (place.root / "swarmd.toml").read_text()
    assert not place.remotes.exists()
    assert [] == findings(stored(place))


def test_a_directory_in_use_is_left_alone(
    place: StateDir, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmd.node.lock.OWNER_SECONDS", 0.0)
    monkeypatch.setattr("swarmd.node.lock.ORPHAN_SECONDS", 0.0)
    place.root.mkdir()
    with place.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(place, file)
    assert ExitStatus.FAILED == done.exit_code
    assert "is held by workers" in done.stderr
    assert [place.lock] == list(place.root.iterdir())


def test_a_cluster_whose_root_signs_elsewhere_cannot_be_restored(
    place: StateDir, tmp_path: Path
) -> None:
    cluster = rooted_cluster()
    cluster.root_ca.ca_key = b""
    asyncio.run(write_backup(tmp_path / "b", cluster=cluster))
    done = run(place, tmp_path / "b")
    assert ExitStatus.CANNOT_BOOT == done.exit_code
    assert "has no usable key of the cluster's root CA" in done.stderr
    assert not place.root.exists()


def test_what_an_interrupted_restore_left_is_in_nobodys_way(place: StateDir, file: Path) -> None:
    (place.root / "restoring" / "store").mkdir(parents=True)
    (place.root / "restoring" / "store" / "swarm.db").write_text("half")
    assert ExitStatus.CLEAN == run(place, file).exit_code
    assert not (place.root / "restoring").exists()
    assert [] == findings(stored(place))
