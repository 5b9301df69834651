"""What an engine has not is refused by name, never passed over."""

from typing import Any

import pytest

from swarmd import api
from tests import builders
from workers.agent.executors.docker import requirements
from workers.agent.executors.docker.requirements import Facts
from workers.agent.executors.errors import RejectedError

INFO = {
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "CgroupVersion": "1",
    "OSType": "linux",
    "SecurityOptions": ["name=seccomp,profile=default", "name=userns"],
    "DockerRootDir": "/var/lib/docker/100000.100001",
}
OLD = Facts(api_version=(1, 39))


def check(facts: Facts, spec: Any = None, **fields: Any) -> None:
    wanted = builders.container(**{"image": "busybox", **fields})
    task = builders.task(spec=api.TaskSpec(container=wanted, **(spec or {})))
    requirements.check(task, task.spec.container, facts)


def facts(**changes: Any) -> Facts:
    return requirements.facts(INFO | changes, "1.41", is_local=True)


def test_what_an_engine_says_of_itself_is_read() -> None:
    assert (
        Facts(
            api_version=(1, 41),
            security=frozenset({"seccomp", "userns"}),
            root=(100000, 100001),
        )
        == facts()
    )


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"MemoryLimit": False}, "memory"),
        ({"SwapLimit": False}, "swap"),
        ({"CpuCfsQuota": False}, "cpu"),
        ({"PidsLimit": False}, "pids"),
        ({"CgroupVersion": "2"}, "swappiness"),
    ],
)
def test_limits_that_a_host_has_not_are_known(changes: dict[str, Any], missing: str) -> None:
    assert {missing} == facts(**changes).missing


@pytest.mark.parametrize(
    ("engine", "fields", "field"),
    [
        (Facts(), {"image": ""}, "image"),
        (Facts(), {"isolation": 1}, "isolation"),
        (Facts(), {"oom_score_adj": 1001}, "oom_score_adj"),
        (Facts(), {"privileges": {"credential_spec": {"file": "f"}}}, "privileges.credential_spec"),
        (
            Facts(security=frozenset()),
            {"privileges": {"selinux_context": {"type": "t"}}},
            "privileges.selinux_context",
        ),
        (
            Facts(security=frozenset()),
            {"privileges": {"seccomp": {"mode": 2, "profile": b"{}"}}},
            "privileges.seccomp",
        ),
        (Facts(is_local=False), {"secrets": [{"secret_id": "s"}]}, "secrets"),
        (Facts(is_local=False), {"configs": [{"config_id": "c"}]}, "configs"),
        (OLD, {"healthcheck": {"start_interval": {"seconds": 1}}}, "healthcheck.start_interval"),
        *(
            (OLD, {"mounts": [{"bind_options": {name: True}}]}, f"mounts.bind_options.{name}")
            for name in (
                "nonrecursive",
                "createmountpoint",
                "readonlynonrecursive",
                "readonlyforcerecursive",
            )
        ),
        (OLD, {"mounts": [{"volume_options": {"subpath": "s"}}]}, "mounts.volume_options.subpath"),
        (OLD, {"mounts": [{"tmpfs_options": {"options": "o"}}]}, "mounts.tmpfs_options.options"),
        *(
            (Facts(missing=frozenset({limit})), {"spec": {"resources": asked}}, field)
            for limit, asked, field in (
                ("memory", {"limits": {"memory_bytes": 1}}, "resources.limits.memory_bytes"),
                ("cpu", {"limits": {"nano_cpus": 1}}, "resources.limits.nano_cpus"),
                ("swap", {"swap_bytes": {"value": 1}}, "resources.swap_bytes"),
                ("swappiness", {"memory_swappiness": {"value": 1}}, "resources.memory_swappiness"),
            )
        ),
        (Facts(missing=frozenset({"pids"})), {"pidsLimit": 5}, "pidsLimit"),
    ],
)
def test_what_an_engine_has_not_is_refused(
    engine: Facts, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(RejectedError, match=rf"^{field}: "):
        check(engine, **fields)


def test_a_new_engine_has_all_of_it() -> None:
    check(
        Facts(),
        healthcheck={"start_interval": {"seconds": 1}},
        mounts=[{"volume_options": {"subpath": "s"}}],
        pidsLimit=5,
        privileges={"selinux_context": {"type": "t"}},
        secrets=[{"secret_id": "s"}],
        spec={"resources": {"limits": {"memory_bytes": 1, "nano_cpus": 1}}},
    )
