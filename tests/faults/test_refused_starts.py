"""A start that cannot succeed ends with status 78 and one line that says why, and harms nobody."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmd.errors import ExitStatus
from tests.cluster import RealNode

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


def test_a_second_swarmd_on_a_state_directory_is_refused_and_the_first_goes_on(
    node: RealNode,
) -> None:
    first = node.run()
    before = [node.worker_pid(name) for name in ("manager", "agent")]
    with RealNode(state_dir=node.state_dir) as second:
        status, line = second.refused()
        assert ExitStatus.CANNOT_BOOT == status
        assert f"{node.state_dir} is in use by another swarmd, pid {first.pid}" in line
        assert before == [node.worker_pid(name) for name in ("manager", "agent")]
        assert [] == node.tasks()  # and it still answers


def test_a_control_socket_in_use_is_refused_and_its_owner_goes_on(node: RealNode) -> None:
    node.run()
    with RealNode() as second:
        second.socket = node.socket
        status, line = second.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert f"control socket {node.socket} is in use" in line
    assert [] == node.tasks()


def test_a_stale_control_socket_is_replaced(node: RealNode) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(node.socket))
    node.run()
    assert [] == node.tasks()


def test_a_file_where_the_control_socket_should_be_is_left_alone(node: RealNode) -> None:
    node.socket.write_text("precious")
    status, line = node.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert f"control socket {node.socket}: it is there, and no socket" in line
    assert "precious" == node.socket.read_text()


def test_a_control_socket_that_is_too_long_for_one_is_refused(node: RealNode) -> None:
    node.socket = node.root / ("s" * 108)
    status, line = node.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert str(node.socket) in line
    assert "at most 107" in line


def test_a_remote_port_in_use_is_refused(node: RealNode) -> None:
    host, _, port = node.remote.partition(":")
    with socket.create_server((host, int(port))):
        status, line = node.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert f"cannot listen on {node.remote}: it is in use" in line


def test_a_start_under_supervisord_tells_the_same_reason_in_one_line(node: RealNode) -> None:
    host, _, port = node.remote.partition(":")
    with socket.create_server((host, int(port))):
        done = node.swarmd("start")
    assert 1 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert f"cannot listen on {node.remote}: it is in use" in done.stderr
    log = (node.state_dir / "log" / "swarmd.log").read_text()
    assert 1 == log.count("node ended")  # nobody tried what cannot succeed again and again
    node.start()  # what was wrong is mended: the next one works


def test_a_read_only_state_directory_is_named(node: RealNode, mount: Callable[[str], Path]) -> None:
    if os.getuid() == 0:
        node.state_dir = mount("ro,size=1m")
    else:
        node.state_dir.mkdir(mode=0o500)
    status, line = node.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert str(node.state_dir) in line
    assert "cannot use the state directory" in line


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--listen-remote-api", "nowhere"), ("--log-level", "loud"), ("--election-tick", "soon")],
)
def test_a_flag_that_does_not_parse_is_named(node: RealNode, flag: str, value: str) -> None:
    done = node.swarmd("run", flag, value)
    assert ExitStatus.USAGE == done.returncode
    assert flag in done.stderr.splitlines()[-1]
    assert not node.state_dir.exists()
