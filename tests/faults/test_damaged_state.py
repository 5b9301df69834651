"""A state file that cannot be trusted is named; the start changes nothing, and nothing is lost."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarmd.errors import ExitStatus
from tests.cluster import RealNode

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

_STORE, _TASKS = "store/swarm.db", "worker/tasks.db"
_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda sound: sound[: len(sound) // 2 // 512 * 512 + 100],
    "empty": lambda sound: b"",
    "garbage": lambda sound: b"\xa5" * len(sound),
    "corrupt": lambda sound: sound[:4096] + b"\0" * 4096 + sound[8192:],
}


@pytest.fixture(scope="module")
def stopped() -> Iterator[tuple[RealNode, str, dict[str, int]]]:
    """A node that was stopped; its service, whose tasks go on, and their process ids."""
    with RealNode() as node:
        process = node.run()
        service = node.create_service("sleep", "1000", replicas=2)
        pids = node.wait_running(service, 2)
        process.send_signal(signal.SIGTERM)
        assert ExitStatus.CLEAN == process.wait(30)
        yield node, service, pids


def contents(directory: Path) -> dict[str, bytes]:
    """What is in its files; SQLite makes and removes empty ones beside its own."""
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    return {name: data for name, data in files.items() if data and not name.endswith("-shm")}


@pytest.mark.parametrize("damage", _DAMAGE)
@pytest.mark.parametrize("name", [_STORE, _TASKS])
def test_a_damaged_database_is_refused_by_name_and_left_as_it_is(
    stopped: tuple[RealNode, str, dict[str, int]], name: str, damage: str
) -> None:
    node, _, pids = stopped
    refuse_and_restore(node, node.state_dir / name, _DAMAGE[damage])
    assert set(pids.values()) <= set(node.task_processes())


@pytest.mark.parametrize("name", ["swarm-root-ca.crt", "swarm-node.crt", "swarm-node.key"])
def test_a_damaged_certificate_is_refused_by_name_and_left_as_it_is(
    stopped: tuple[RealNode, str, dict[str, int]], name: str
) -> None:
    node, *_ = stopped
    refuse_and_restore(node, node.state_dir / "certificates" / name, _DAMAGE["garbage"])


def refuse_and_restore(node: RealNode, path: Path, damage: Callable[[bytes], bytes]) -> None:
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    before = contents(path.parent)
    try:
        status, line = node.refused()
        assert (ExitStatus.CANNOT_BOOT, True) == (status, str(path) in line), line
        assert before == contents(path.parent)
    finally:
        path.write_bytes(sound)


def test_with_the_files_put_back_all_is_there_again(
    stopped: tuple[RealNode, str, dict[str, int]],
) -> None:
    node, service, pids = stopped
    process = node.run()
    assert pids == node.wait_running(service, 2)
    process.send_signal(signal.SIGTERM)
    assert ExitStatus.CLEAN == process.wait(30)
