"""A task's spec becomes a program's settings, or is refused with the field and the reason."""

import resource
import signal
from typing import Any

import pytest

from swarmd import api
from tests import builders
from workers.agent.executors import MountedVolume
from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor import program
from workers.agent.executors.supervisor.account import Account
from workers.agent.executors.supervisor.messages import Limits

ROOT = Account(uid=0, gid=0, groups=(0,), name="root", home="/root")
Container = api.ContainerSpec


def task_of(container: api.ContainerSpec, **spec: Any) -> api.Task:
    service = builders.service(
        name="web", task_spec=api.TaskSpec(container=container, **spec), replicas=1
    )
    return builders.task(id="t1", service=service, slot=3, node_id="n1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mounts", [api.Mount(target="/data")]),
        ("hostname", "other"),
        ("hosts", ["1.2.3.4 other"]),
        ("dns_config", Container.DNSConfig(nameservers=["1.2.3.4"])),
        ("tty", True),
        ("read_only", True),
        ("isolation", Container.Isolation.ISOLATION_PROCESS),
        ("sysctls", {"net.core.somaxconn": "1"}),
        ("capability_add", ["CAP_NET_ADMIN"]),
        ("capability_drop", ["CAP_CHOWN"]),
        ("oom_score_adj", 1001),
        ("dir", "relative/path"),
        ("env", ["A=\0"]),
    ],
)
def test_what_no_host_process_can_have_is_refused_by_field(field: str, value: Any) -> None:
    container = builders.container(**{field: value})
    with pytest.raises(RejectedError, match=rf"^{field}: "):
        program.check(task_of(container), container)


@pytest.mark.parametrize("field", ["credential_spec", "selinux_context", "seccomp", "apparmor"])
def test_privileges_are_refused_by_field(field: str) -> None:
    container = builders.container()
    getattr(container.privileges, field).SetInParent()
    with pytest.raises(RejectedError, match=rf"^privileges.{field}: "):
        program.check(task_of(container), container)


def test_networks_are_refused() -> None:
    container = builders.container()
    networks = [api.NetworkAttachmentConfig(target="net")]
    with pytest.raises(RejectedError, match=r"^networks: "):
        program.check(task_of(container, networks=networks), container)


@pytest.mark.parametrize("field", ["swap_bytes", "memory_swappiness"])
def test_swap_settings_are_refused(field: str) -> None:
    container = builders.container()
    task = task_of(container)
    getattr(task.spec.resources, field).value = 1
    with pytest.raises(RejectedError, match=rf"^resources.{field}: "):
        program.check(task, container)


def test_a_port_in_ingress_mode_is_refused_and_one_in_host_mode_is_not() -> None:
    container = builders.container()
    task = task_of(container)
    port = task.endpoint.ports.add(target_port=80, publish_mode=api.PortConfig.PublishMode.HOST)
    program.check(task, container)
    port.publish_mode = api.PortConfig.PublishMode.INGRESS
    with pytest.raises(RejectedError, match=r"^ports: 80 is published by the ingress network"):
        program.check(task, container)


def test_a_log_driver_of_another_kind_is_refused() -> None:
    container = builders.container()
    with pytest.raises(RejectedError, match=r"^log_driver: syslog is not for host processes"):
        program.check(task_of(container, log_driver=api.Driver(name="syslog")), container)


@pytest.mark.parametrize(("image", "accepted"), [("host", True), ("nginx", False), ("", False)])
def test_the_image_host_makes_a_task_a_host_process(image: str, accepted: bool) -> None:
    assert accepted == program.accepts(task_of(builders.container(image=image)))


def test_a_program_is_named_for_its_service_slot_and_task() -> None:
    assert ("web", "3.t1") == program.names(task_of(builders.container()))


def test_a_global_task_is_named_for_its_node() -> None:
    task = task_of(builders.container())
    task.slot = 0
    task.service_annotations.name = "a b:c"
    assert ("a_b_c", "n1.t1") == program.names(task)


def test_the_environment_is_little_and_the_spec_s_wins() -> None:
    container = builders.container(env=["PATH=/opt", "A=", "B=x=y", "USER", "=z"])
    found = program.environment(task_of(container), container, ROOT)
    expected = {"PATH": "/opt", "HOME": "/root", "LOGNAME": "root", "A": "", "B": "x=y"}
    assert expected == found


def test_generic_resources_are_told_as_dockerd_tells_them() -> None:
    container = builders.container()
    task = task_of(container)
    for value in ("u1", "u2"):
        named = api.NamedGenericResource(kind="gpu", value=value)
        task.assigned_generic_resources.add(named_resource_spec=named)
    assert "u1,u2" == program.environment(task, container, ROOT)["DOCKER_RESOURCE_GPU"]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("", signal.SIGTERM),
        ("SIGQUIT", signal.SIGQUIT),
        ("usr1", signal.SIGUSR1),
        ("9", signal.SIGKILL),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_a_stop_signal_is_a_name_or_a_number(name: str, number: int) -> None:
    assert number == program.stop_signal(name)


@pytest.mark.parametrize("name", ["SIGNONE", "0", "99", "RTMIN+99", "_DFL"])
def test_what_is_no_signal_is_refused(name: str) -> None:
    with pytest.raises(RejectedError, match=r"^stop_signal: there is no signal "):
        program.stop_signal(name)


def test_a_ulimit_without_a_hard_limit_has_the_soft_one() -> None:
    container = builders.container(ulimits=[Container.Ulimit(name="nofile", soft=64)])
    assert [(resource.RLIMIT_NOFILE, 64, 64)] == program.rlimits(container)


@pytest.mark.parametrize(
    ("name", "soft", "hard"), [("nosuch", 1, 1), ("nofile", 2, 1), ("nofile", -1, 1)]
)
def test_an_unsound_ulimit_is_refused(name: str, soft: int, hard: int) -> None:
    container = builders.container(ulimits=[Container.Ulimit(name=name, soft=soft, hard=hard)])
    with pytest.raises(RejectedError, match=r"^ulimits: "):
        program.rlimits(container)


def test_limits_are_in_whole_processors_and_bytes() -> None:
    container = builders.container(pidsLimit=9)
    asked = api.ResourceRequirements(limits=api.Resources(nano_cpus=1_500_000_000, memory_bytes=7))
    task = task_of(container, resources=asked)
    assert Limits(cpus=1.5, memory_bytes=7, pids=9) == program.limits(task, container, {})


def test_a_limit_that_this_host_cannot_hold_is_refused_with_its_reason() -> None:
    container = builders.container(pidsLimit=9)
    with pytest.raises(RejectedError, match=r"^pids limit: not mounted"):
        program.limits(task_of(container), container, {"pids": "not mounted"})


def test_a_task_without_limits_runs_where_there_are_no_cgroups() -> None:
    container = builders.container()
    assert Limits() == program.limits(task_of(container), container, {"pids": "no", "cpu": "no"})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (10 << 20, 3)),
        ({"max-size": "4k", "max-file": "3"}, (4096, 2)),
        ({"max-size": "2MB"}, (2 << 20, 3)),
        ({"max-size": "100", "max-file": "1"}, (100, 0)),
    ],
)
def test_rotation_is_docker_s(options: dict[str, str], expected: tuple[int, int]) -> None:
    assert expected == program.rotation(api.Driver(options=options))


@pytest.mark.parametrize("options", [{"max-size": "big"}, {"max-size": "0"}, {"max-file": "0"}])
def test_an_unsound_rotation_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(RejectedError, match=r"^log_driver: "):
        program.rotation(api.Driver(options=options))


def volume_mounts(*targets: str) -> api.ContainerSpec:
    mounts = [{"type": api.Mount.CLUSTER, "source": "data", "target": x} for x in targets]
    return builders.container(mounts=mounts)


def test_a_cluster_volume_is_mounted_at_its_target() -> None:
    container = volume_mounts("/a", "/b")
    container.mounts[1].readonly = True
    program.check(task_of(container), container)
    given = [MountedVolume("/csi/1"), MountedVolume("/csi/2")]
    expected = [("/csi/1", "/a", False), ("/csi/2", "/b", True)]
    assert expected == program.mounts(container, given, uid=0)


@pytest.mark.parametrize(
    ("target", "count", "uid", "reason"),
    [
        ("data", 1, 0, "data: the target is not an absolute path"),
        ("/", 1, 0, "/: the target is not an absolute path"),
        ("/d", 0, 0, "/d: the task was given no volume for it"),
        ("/d", 1, 7, "/d: root alone can mount it .* supervisord runs as user 7"),
    ],
)
def test_a_volume_that_cannot_be_mounted_is_refused(
    target: str, count: int, uid: int, reason: str
) -> None:
    with pytest.raises(RejectedError, match=f"^mounts: {reason}$"):
        program.mounts(volume_mounts(target), [MountedVolume("/csi/1")] * count, uid)
