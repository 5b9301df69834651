"""Which cgroups a host has, and what is written into them."""

from pathlib import Path

import pytest

from workers.agent.executors.supervisor.cgroup import Hierarchy, parse_mounts, settings_of
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
