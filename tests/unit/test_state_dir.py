"""Where the files of a node lie."""

from pathlib import Path

import pytest

from swarmd.state_dir import (
    LONGEST_SOCKET,
    StateDir,
    make_socket_directory,
    replace_file,
    supervisord_socket,
)


def test_a_short_directory_holds_its_socket() -> None:
    assert Path("/var/lib/x/supervisord.sock") == supervisord_socket(Path("/var/lib/x"))


def test_a_long_directory_has_a_short_socket_of_its_own() -> None:
    one, other = (supervisord_socket(Path("/" + "x" * 100 + end)) for end in "ab")
    assert one != other
    assert len(str(one)) + len(".4194304") <= LONGEST_SOCKET


def test_a_short_sockets_directory_must_be_private(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    socket = make_socket_directory(long)
    try:
        assert 0o700 == socket.parent.stat().st_mode & 0o777
        socket.parent.chmod(0o755)
        with pytest.raises(PermissionError, match="is not a private directory"):
            make_socket_directory(long)
    finally:
        socket.parent.rmdir()


def test_every_directory_is_private(tmp_path: Path) -> None:
    place = StateDir(tmp_path / "state")
    place.make()
    made = [place.tasks, place.supervisor, place.store.parent, place.node_key.parent]
    assert {0o700} == {path.stat().st_mode & 0o777 for path in made}


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert b"two" == path.read_bytes()
    assert 0o600 == path.stat().st_mode & 0o777
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(path, b"no")
    assert [path] == list(tmp_path.iterdir())
