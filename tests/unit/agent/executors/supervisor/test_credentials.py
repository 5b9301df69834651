"""Where the files of secrets and configs may lie, what they may be called, whose they are."""

import os
from pathlib import Path

import pytest

from swarmd import api
from tests import builders
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor import credentials
from workers.agent.executors.supervisor.account import Account
from workers.agent.executors.supervisor.credentials import Credential, CredentialStore
from workers.agent.payloads import Payloads

ME = Account(uid=os.getuid(), gid=os.getgid(), groups=(), name="me", home="/")
FILE = Credential("key", b"data", 0o400, os.getuid(), os.getgid())


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A directory that counts as memory."""
    monkeypatch.setattr(credentials, "_is_memory", lambda path: path == tmp_path)
    return tmp_path


@pytest.fixture
def store(place) -> CredentialStore:
    return CredentialStore(Path("/state"), ["/nowhere", str(place)])


def planned(*targets: str, account: Account = ME, **file) -> list[Credential]:
    """The files for secrets of these targets."""
    secret = builders.secret(data=b"data")
    container = builders.container()
    for target in targets:
        container.secrets.add(secret_id=secret.id, file=api.FileTarget(name=target, **file))
    task = builders.task()
    payloads = Payloads(task, container, api.Node(), Dependencies({secret.id: secret}, {}))
    return credentials.plan(container, payloads, account)


def test_files_are_the_task_s_user_s_alone_where_nothing_else_is_said():
    someone = Account(uid=7, gid=8, groups=(), name="x", home="/")
    (file,) = planned("a/b", account=someone)
    assert ("a/b", 0o400, 7, 8) == (file.target, file.mode, file.uid, file.gid)


@pytest.mark.parametrize("target", ["", ".", "..", "a/../b", "a//b", "a/", "/a", "a\0b"])
def test_a_target_is_a_path_below_the_directory(target: str):
    with pytest.raises(RejectedError, match="secrets: target"):
        planned(target)


@pytest.mark.parametrize("targets", [("a", "a"), ("a/b", "a"), ("a", "b/c", "b/c/d")])
def test_targets_keep_out_of_each_other_s_way(targets: tuple[str, ...]):
    with pytest.raises(RejectedError, match=r"given twice|is a directory too"):
        planned(*targets)


def test_an_owner_is_a_number():
    with pytest.raises(RejectedError, match="owner root is not a number"):
        planned("a", uid="root")


def test_an_agent_that_is_not_root_gives_files_to_itself_alone(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 1000)
    account = Account(uid=1000, gid=1000, groups=(), name="me", home="/")
    (file,) = planned("a", account=account, uid="0", gid="0")
    assert (1000, 1000) == (file.uid, file.gid)
    with pytest.raises(RejectedError, match="only root can give a file to 7"):
        planned("a", account=account, uid="7")


def test_what_is_in_a_file_is_not_shown():
    assert "data" not in repr(FILE)


def test_without_memory_the_reason_is_told(tmp_path):
    store = CredentialStore(Path("/state"), [str(tmp_path)])
    with pytest.raises(RejectedError, match=f"none of {tmp_path} is a tmpfs"):
        store.keep("t", [FILE], ME)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("place", "is_memory"), [("/dev/shm", True), ("/proc", False)])
def test_memory_is_told_by_its_mount(place: str, is_memory: bool):
    assert is_memory == credentials._is_memory(Path(place))


def test_files_are_written_anew_and_gone_with_their_task(store, place):
    store.keep("t", [FILE, Credential("old", b"", 0o400, FILE.uid, FILE.gid)], ME)
    store.keep("t", [FILE], ME)
    directory = store.directory("t")
    assert ["key"] == [path.name for path in directory.iterdir()]
    assert (0o500, 0o711) == tuple(
        path.stat().st_mode & 0o7777 for path in (directory, directory.parent)
    )
    store.discard("t")
    assert [] == list(place.iterdir())
    store.discard("t")


def test_nodes_of_one_host_keep_apart(place):
    one, other = (CredentialStore(Path(path), [str(place)]) for path in ("/one", "/other"))
    one.keep("t", [FILE], ME)
    assert ({"t"}, set()) == (one.found(), other.found())


def test_a_sweep_spares_what_was_kept_since(store):
    store.keep("earlier", [FILE], ME)
    later = CredentialStore(Path("/state"), [str(store.directory("t").parent.parent)])
    left = later.found()
    later.keep("earlier", [FILE], ME)
    later.sweep(left)
    assert {"earlier"} == later.found()


def test_a_link_that_somebody_put_there_is_not_used(store, place, tmp_path_factory):
    theirs = tmp_path_factory.mktemp("theirs")
    store.directory("t").parent.symlink_to(theirs)
    with pytest.raises(RejectedError, match="is not a directory of swarmd's own"):
        store.keep("t", [FILE], ME)
    assert [] == list(theirs.iterdir())


def test_links_that_a_task_leaves_are_not_followed(store, tmp_path_factory):
    kept = tmp_path_factory.mktemp("kept")
    (kept / "file").touch()
    store.keep("t", [FILE], ME)
    directory = store.directory("t")
    directory.chmod(0o700)
    (directory / "link").symlink_to(kept)
    store.discard("t")
    assert not directory.exists()
    assert (kept / "file").exists()


def test_a_full_place_rejects_with_the_reason_and_leaves_nothing(store, place, monkeypatch):
    def full(directory: Path, file: Credential) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(credentials, "_write", full)
    with pytest.raises(RejectedError, match="No space left on device"):
        store.keep("t", [FILE], ME)
    assert set() == store.found()
