"""Three managers, and a disk is full: the others go on, and with room all of them do."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
import pytest

from swarmd import api
from tests.cluster import RealNode, wait
from tests.faults.test_full_disk import fill
from tests.quorum import Managers, formed, why_not

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_SIZE = "size=260m"  # etcd takes 128 MiB for its log beforehand
_BIG = 400_000  # bytes; a config may have 500


@pytest.fixture
def managers(mount: Callable[[str], Path]):
    if why_not():
        pytest.skip(why_not())

    def on_a_small_disk(_: int) -> RealNode:
        return RealNode(state_dir=mount(_SIZE) / "state")

    with formed(3, on_a_small_disk) as managers:
        managers.service = managers.nodes[0].create_service("sleep", "10000", replicas=3)
        managers.nodes[0].wait_running(managers.service, 3)
        yield managers


def test_disks_are_full_one_after_the_other(managers: Managers) -> None:
    pids = managers.nodes[0].running(managers.service)
    goes_on_without(managers, [managers.followers[0]])
    goes_on_without(managers, [managers.leader])
    is_refused_without(managers, managers.followers)
    wait(lambda: managers.nodes[0].running(managers.service) == pids, "the very same tasks")


def goes_on_without(managers: Managers, full: Sequence[RealNode]) -> None:
    others = [node for node in managers.nodes if node not in full]
    ballast = [fill(node.state_dir.parent) for node in full]
    with managers.load(clients=2, at=others) as load:
        kept = [write_big(others[0]) for _ in range(8)]
        load.wait_written(30)
    load.check()
    make_room(managers, ballast)
    for config in filter(None, kept):
        managers.leader.call("RemoveConfig", api.RemoveConfigRequest(config_id=config))


def is_refused_without(managers: Managers, full: Sequence[RealNode]) -> None:
    """Two of three: writes are refused in so many words, none that was not is lost; tasks run on.

    The log has room of its own, and etcd needs more of the disk a moment after it acknowledged.
    """
    other = next(node for node in managers.nodes if node not in full)
    ballast = [fill(node.state_dir.parent) for node in full]
    kept: list[str | None] = []

    def is_refused() -> bool:
        kept.append(write_big(other))
        return kept[-1] is None

    wait(is_refused, "a refusal")
    make_room(managers, ballast)
    found = {
        one.id for one in managers.leader.call("ListConfigs", api.ListConfigsRequest()).configs
    }
    assert set() == {one for one in kept if one} - found


def write_big(node: RealNode) -> str | None:
    """The id of what was acknowledged; None where it was refused in so many words."""
    annotations = api.Annotations(name=f"big-{time.time_ns()}")
    spec = api.ConfigSpec(annotations=annotations, data=bytes(_BIG))
    try:
        reply = node.call("CreateConfig", api.CreateConfigRequest(spec=spec))
    except grpc.RpcError as refusal:
        if refusal.code() is not grpc.StatusCode.UNAVAILABLE:  # type: ignore[attr-defined]
            raise
        return None
    return str(reply.config.id)


def make_room(managers: Managers, ballast: Sequence[Path]) -> None:
    for one in ballast:
        one.unlink()
    managers.wait_whole()
