"""The control socket and the remote port: bound as they should be, or a clear reason why not."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from swarmd.errors import CannotBootError
from swarmd.rpc.sockets import bind_control, bind_remote, remove_control


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="swd") as name:  # tmp_path may be too long
        yield Path(name)


@pytest.fixture
def path(directory):
    return directory / "swarmd.sock"


def test_only_the_owner_may_open_the_control_socket(path):
    before = os.umask(0)
    try:
        with bind_control(path):
            assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    finally:
        assert 0 == os.umask(before), "the umask is as it was"


def test_a_stale_socket_is_replaced(path):
    bind_control(path).close()
    assert path.exists()
    bind_control(path).close()


def test_a_live_socket_is_left_alone(path):
    with bind_control(path), pytest.raises(CannotBootError, match="is in use") as caught:
        bind_control(path)
    assert str(path) in str(caught.value)


def test_a_live_socket_whose_owner_is_too_busy_is_left_alone(path):
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(path))
            with pytest.raises(CannotBootError, match="is in use"):
                bind_control(path)


def test_a_file_that_is_no_socket_is_left_alone(path):
    path.write_text("precious")
    with pytest.raises(CannotBootError, match="no socket"):
        bind_control(path)
    assert "precious" == path.read_text()


def test_the_longest_path_that_fits_is_taken(directory):
    path = directory / ("x" * (107 - len(str(directory)) - 1))
    with bind_control(path):
        assert path.exists()


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_longer_path_says_so(directory, letter):
    path = directory / (letter * (107 - len(str(directory))))
    with pytest.raises(CannotBootError, match="at most 107"):
        bind_control(path)


def test_a_missing_directory_is_named(directory):
    path = directory / "none" / "swarmd.sock"
    with pytest.raises(CannotBootError, match="No such file or directory") as caught:
        bind_control(path)
    assert str(path) in str(caught.value)


def test_removing_takes_the_file_away(path):
    remove_control(path, bind_control(path))
    assert not path.exists()


def test_removing_spares_a_successors_socket(path):
    mine = bind_control(path)
    path.unlink()
    with bind_control(path):
        remove_control(path, mine)
        assert path.exists()


def test_a_port_in_use_is_named():
    with bind_remote("127.0.0.1:0") as first:
        address = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(CannotBootError, match=f"cannot listen on {address}: it is in use"):
            bind_remote(address)


@pytest.mark.parametrize("address", ["", "nonsense", "host:", "127.0.0.1:99999", "256.1.1.1:1"])
def test_an_address_that_is_none_is_named(address):
    with pytest.raises(CannotBootError) as caught:
        bind_remote(address)
    assert address in str(caught.value)


def test_ipv6_is_taken_in_brackets():
    try:
        listener = bind_remote("[::1]:0")
    except CannotBootError as error:
        pytest.skip(str(error))
    with listener:
        assert socket.AF_INET6 == listener.family
