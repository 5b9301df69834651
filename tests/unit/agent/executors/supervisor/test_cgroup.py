"""Which cgroups a host has, and what is written into them."""

from pathlib import Path

import pytest

from workers.agent.executors.supervisor.cgroup import (
    CgroupTree,
    Hierarchy,
    parse_mounts,
    settings_of,
)
from workers.agent.executors.supervisor.messages import Limits

MOUNTS = """\
proc /proc proc rw,nosuid 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
"""


def test_hierarchies_are_read_from_the_mounts() -> None:
    version_1, version_2 = parse_mounts(MOUNTS)
    assert Hierarchy(2, Path("/sys/fs/cgroup/unified"), frozenset()) == version_2
    assert (1, Path("/sys/fs/cgroup/cpu,cpuacct")) == (version_1.version, version_1.path)
    assert {"cpu", "cpuacct"} < version_1.controllers


@pytest.mark.parametrize(
    ("version", "controller", "expected"),
    [
        (2, "cpu", [("cpu.max", "150000 100000")]),
        (1, "cpu", [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")]),
        (2, "memory", [("memory.max", "64"), ("memory.swap.max?", "64")]),
        (1, "memory", [("memory.limit_in_bytes", "64"), ("memory.memsw.limit_in_bytes?", "128")]),
        (2, "pids", [("pids.max", "9")]),
        (1, "pids", [("pids.max", "9")]),
    ],
)
def test_a_limit_is_written_as_its_version_wants(
    version: int, controller: str, expected: list[tuple[str, str]]
) -> None:
    assert expected == settings_of(version, controller, Limits(1.5, 64, 9))


def test_a_sliver_of_a_processor_is_what_the_kernel_allows_at_least() -> None:
    assert [("cpu.max", "1000 100000")] == settings_of(2, "cpu", Limits(cpus=0.001))


def test_only_what_is_limited_needs_a_controller() -> None:
    assert ["memory"] == Limits(memory_bytes=64).controllers()
    assert [] == Limits().controllers()


def hybrid(tmp_path: Path) -> CgroupTree:
    """A hybrid host's hierarchies, as directories."""
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").write_text("hugetlb\n")
    names = ("systemd", "blkio", "memory", "cpu", "pids")
    old = [Hierarchy(1, tmp_path / name, frozenset({name})) for name in names]
    return CgroupTree("i1", [*old, Hierarchy(2, tmp_path / "unified", frozenset())])


def test_a_hybrid_host_tracks_on_v2_and_limits_on_v1(tmp_path: Path) -> None:
    tree = hybrid(tmp_path)
    tree.open()
    assert (2, tmp_path / "unified" / "swarmd" / "i1") == tree.tracker
    assert {"cpu", "memory", "pids"} == tree.holders.keys()
    assert {} == tree.unavailable


def test_only_the_hierarchies_that_are_used_are_touched_and_left_as_they_were(
    tmp_path: Path,
) -> None:
    tree = hybrid(tmp_path)
    tree.open()
    used = {"unified", "memory", "cpu", "pids"}
    assert used == {path.parent.name for path in tmp_path.glob("*/swarmd")}
    tree.close()
    assert [] == list(tmp_path.glob("*/swarmd"))


def test_a_host_without_a_controller_says_so(tmp_path: Path) -> None:
    tree = CgroupTree("i1", [Hierarchy(1, tmp_path / "memory", frozenset({"memory"}))])
    tree.open()
    said = {name: f"no {name} cgroup is mounted here" for name in ("cpu", "pids")}
    assert said == tree.unavailable
