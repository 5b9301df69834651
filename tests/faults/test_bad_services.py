"""Services that cannot run, do not stop, or leave something behind, on a node of their own."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from swarmd import api
from tests import builders
from tests.cluster import RealNode, wait
from tests.fakes.running_node import lives

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

# Leaves its session twice over, as a daemon does; the last of them has no marks of swarmd's.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        os.execve("/bin/sleep", ["sleep", "300"], {} if sys.argv[2] == "clean" else os.environ)
    os._exit(0)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def node() -> Iterator[RealNode]:
    with RealNode() as made:
        made.run()
        yield made


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (["--name", "two words"], "name must be valid"),
        (["--name", "small", "--memory-limit", "1k"], "invalid memory value 1024"),
        (["--name", "picky", "--constraint", "node.id"], "constraint expected one operator"),
    ],
)
def test_swarmctl_tells_a_refused_service_in_one_line(
    node: RealNode, flags: list[str], field: str
) -> None:
    done = node.ctl("service", "create", "--image", "host", "--command", "true", *flags)
    assert (1, "") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
    assert f"Error: {field}" in done.stderr


def test_a_refused_service_has_swarmkits_code_and_leaves_nothing(node: RealNode) -> None:
    spec = builders.service(name="no-image").spec
    spec.task.container.image = ""
    with pytest.raises(grpc.RpcError) as refused:
        node.call("CreateService", api.CreateServiceRequest(spec=spec))
    assert grpc.StatusCode.INVALID_ARGUMENT == refused.value.code()
    assert "ContainerSpec: image reference must be provided" == refused.value.details()
    listed = node.call("ListServices", api.ListServicesRequest()).services
    assert "no-image" not in {service.spec.annotations.name for service in listed}


def first_end(node: RealNode, service: str) -> api.TaskStatus:
    """How the first of its tasks that ended did."""
    wait(lambda: ended(node, service), "an end")
    return ended(node, service)[0].status


def ended(node: RealNode, service: str) -> list[api.Task]:
    tasks = [one for one in node.tasks(service) if one.status.state > api.TaskState.RUNNING]
    return sorted(tasks, key=lambda one: int(one.meta.version.index))


def test_an_unknown_command_is_rejected_with_the_reason(node: RealNode) -> None:
    service = node.create_service("/no/such/command")
    status = first_end(node, service)
    assert api.TaskState.REJECTED == status.state
    assert "/no/such/command" in status.err
    node.remove_service(service)


def test_a_user_that_does_not_exist_is_rejected_with_the_reason(node: RealNode) -> None:
    service = node.create_service("true", user="nosuchuser")
    status = first_end(node, service)
    assert api.TaskState.REJECTED == status.state
    assert "user: there is no user nosuchuser on this host" == status.err
    node.remove_service(service)


def test_swarmctl_says_why_a_service_does_not_run(node: RealNode) -> None:
    words = ["--name", "lost", "--image", "host", "--command", "/no/such/command"]
    done = node.ctl("service", "create", *words)
    assert 1 == done.returncode
    assert "/no/such/command" in done.stderr.splitlines()[-1]
    assert 0 == node.ctl("service", "rm", "lost").returncode


def test_a_crash_looping_task_waits_longer_each_time_and_says_so(node: RealNode) -> None:
    service = node.create_service("sh", "-c", "exit 3")
    seen: dict[int, api.Task] = {}

    def fourth() -> bool:
        for task in node.tasks(service):
            failures = int(task.annotations.labels.get("swarmd.restart.failures", 0))
            seen.setdefault(failures, task)
        return 4 in seen and any("crash-looping" in message for message in messages(node, service))

    wait(fourth, "a fourth restart")
    delays = [float(seen[n].annotations.labels["swarmd.restart.delay"]) for n in (2, 3, 4)]
    assert sorted(delays) == delays  # jitter is less than the doubling
    assert delays[-1] > 2 * delays[0]
    first = first_end(node, service)
    assert (api.TaskState.FAILED, "task: non-zero exit (3)") == (first.state, first.err)
    node.remove_service(service)


def messages(node: RealNode, service: str) -> list[str]:
    return [task.status.message for task in node.tasks(service)]


def test_a_task_that_ignores_its_stop_signal_is_killed_after_its_grace(node: RealNode) -> None:
    ready = node.root / "ignores"
    script = f"trap '' TERM; touch {ready}; while :; do sleep 0.1; done"
    spec = api.ContainerSpec()
    spec.stop_grace_period.FromMilliseconds(1500)
    service = node.create_service("sh", "-c", script, stop_grace_period=spec.stop_grace_period)
    (pid,) = node.wait_running(service, 1).values()
    wait(ready.exists, "the trap")
    begun = time.monotonic()
    node.remove_service(service)
    wait(lambda: not lives(pid), "its end")
    assert time.monotonic() - begun > 1.4  # it had its grace


@pytest.mark.parametrize("marks", ["kept", "clean"])
def test_a_daemon_that_a_task_forked_is_gone_with_its_service(node: RealNode, marks: str) -> None:
    if marks == "clean" and os.getuid() != 0:
        pytest.skip("knowing a daemon without marks needs cgroups")
    file = node.root / f"daemon-{marks}"
    service = node.create_service("python3", "-c", DAEMON, str(file), marks)
    (main,) = node.wait_running(service, 1).values()
    wait(lambda: file.exists() and is_sleep(file), "the daemon")
    daemon = int(file.read_text())
    try:
        node.remove_service(service)
        wait(lambda: not lives(main) and not lives(daemon), "their end")
        assert main not in node.task_processes()
    finally:
        if lives(daemon):
            os.kill(daemon, signal.SIGKILL)  # nothing else would find it


def is_sleep(file: Path) -> bool:
    text = file.read_text()
    return bool(text) and Path(f"/proc/{text}/cmdline").read_bytes().startswith(b"sleep")
