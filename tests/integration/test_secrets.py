"""Secrets and configs of host tasks on a real node: who reads them, for how long, and who not."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd import api
from tests.cluster import RealNode, wait

KEY = b"correct-horse-battery-staple"
PLAIN = b"listen 8080\n"
TEMPLATE = (
    b'user={{ env "USER_NAME" }} key={{ secret "key" }} slot={{ .Task.Slot }} {{ config "c" }}'
)
SHOW = 'cd "$CREDENTIALS_DIRECTORY"; for f in *; do echo "== $f"; cat "$f"; done; sleep 1000'
LIST = 'stat -c "%a %u %n" "$CREDENTIALS_DIRECTORY" "$CREDENTIALS_DIRECTORY"/*; sleep 1000'

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root runs tasks as others")


@pytest.fixture(scope="module")
def node() -> Iterator[RealNode]:
    with RealNode() as node:
        node.run()
        yield node


def secret(node: RealNode, name: str, data: bytes, **fields) -> api.SecretReference:
    spec = api.SecretSpec(annotations=api.Annotations(name=name), data=data, **fields)
    made = node.call("CreateSecret", api.CreateSecretRequest(spec=spec)).secret
    return api.SecretReference(secret_id=made.id, secret_name=name, file=file_target("key"))


def config(node: RealNode, name: str, data: bytes, **fields) -> api.ConfigReference:
    spec = api.ConfigSpec(annotations=api.Annotations(name=name), data=data, **fields)
    made = node.call("CreateConfig", api.CreateConfigRequest(spec=spec)).config
    return api.ConfigReference(config_id=made.id, config_name=name, file=file_target("c"))


def file_target(name: str, **fields) -> api.FileTarget:
    return api.FileTarget(name=name, **fields)


def output(node: RealNode, service_id: str, lines: int = 1) -> list[str]:
    """What its one task printed, once that is so many lines."""
    task = next(iter(node.wait_running(service_id, 1)))
    log = node.state_dir / "tasks" / task / "stdout.log"
    wait(lambda: log.exists() and len(log.read_text().splitlines()) >= lines, "output")
    return log.read_text().splitlines()


def credentials(node: RealNode, service_id: str) -> Path:
    """The directory that its one task was told of."""
    pid = next(iter(node.wait_running(service_id, 1).values()))
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (found,) = [one for one in environment if one.startswith(b"CREDENTIALS_DIRECTORY=")]
    return Path(found.decode().partition("=")[2])


def rejection(node: RealNode, service_id: str) -> str:
    def rejected() -> list[str]:
        state = api.TaskState.REJECTED
        return [one.status.err for one in node.tasks(service_id) if one.status.state == state]

    wait(rejected, "a rejected task")
    return rejected()[0]


def test_a_task_reads_its_secrets_and_configs_and_templates_of_them(node: RealNode):
    templated = config(node, "templated", TEMPLATE, templating=api.Driver(name="golang"))
    templated.file.name = "filled"
    service = node.create_service(
        "/bin/sh",
        "-c",
        SHOW,
        env=["USER_NAME=ada"],
        secrets=[secret(node, "reads", KEY)],
        configs=[config(node, "reads", PLAIN), templated],
    )
    shown = [*PLAIN.decode().splitlines(), "== filled"]
    filled = f"user=ada key={KEY.decode()} slot=1 listen 8080"
    assert ["== c", *shown, filled, f"== key\n{KEY.decode()}"] == [
        *output(node, service, 6)[:4],
        "\n".join(output(node, service, 6)[4:]),
    ]
    node.remove_service(service)


def test_they_lie_in_memory_for_the_task_alone_and_go_with_its_service(node: RealNode):
    reference = secret(node, "memory", KEY)
    reference.file.name = "tls/key"
    service = node.create_service("sleep", "1000", secrets=[reference])
    directory = credentials(node, service)
    kind = subprocess.check_output(["stat", "-f", "-c", "%T", directory], text=True)
    assert "tmpfs" == kind.strip()
    assert KEY == (directory / "tls/key").read_bytes()
    assert (0o500, 0o500, 0o400) == tuple(
        (directory / name).stat().st_mode & 0o7777 for name in (".", "tls", "tls/key")
    )
    node.remove_service(service)
    wait(lambda: not directory.exists(), "the files to go")


@needs_root
def test_the_files_are_the_task_s_user_s_and_closed_to_others(node: RealNode):
    who = pwd.getpwnam("nobody")
    loose = secret(node, "loose", KEY)
    loose.file.name, loose.file.mode = "loose", 0o444
    service = node.create_service(
        "/bin/sh", "-c", LIST, user="nobody", secrets=[secret(node, "strict", KEY), loose]
    )
    directory = credentials(node, service)
    assert [
        f"500 {who.pw_uid} {directory}",
        f"400 {who.pw_uid} {directory}/key",
        f"444 {who.pw_uid} {directory}/loose",
    ] == output(node, service, 3)
    other = pwd.getpwnam("daemon")
    done = subprocess.run(
        ["cat", directory / "loose"],
        user=other.pw_uid,
        group=other.pw_gid,
        capture_output=True,
        check=False,
    )
    assert (1, b"") == (done.returncode, done.stdout)
    node.remove_service(service)


@needs_root
def test_a_reference_may_name_owner_and_mode(node: RealNode):
    reference = secret(node, "owner", KEY)
    reference.file.MergeFrom(api.FileTarget(uid="1", gid="2", mode=0o640))
    service = node.create_service("sleep", "1000", secrets=[reference])
    about = (credentials(node, service) / "key").stat()
    assert (1, 2, 0o640) == (about.st_uid, about.st_gid, about.st_mode & 0o7777)
    node.remove_service(service)


def test_they_are_gone_when_the_task_ends_by_itself(node: RealNode):
    script = 'echo "$CREDENTIALS_DIRECTORY"; cat "$CREDENTIALS_DIRECTORY"/key'
    service = node.create_service(
        "/bin/sh",
        "-c",
        script,
        secrets=[secret(node, "ends", KEY)],
        task={"restart": api.RestartPolicy(condition=api.RestartPolicy.NONE)},
    )
    state = api.TaskState.COMPLETE
    wait(lambda: [one.status.state for one in node.tasks(service)] == [state], "its end")
    log = node.state_dir / "tasks" / node.tasks(service)[0].id / "stdout.log"
    directory, key = log.read_text().splitlines()
    assert KEY.decode() == key
    assert not Path(directory).exists()
    node.remove_service(service)


def test_they_are_gone_when_the_task_ends_though_no_agent_lives(node: RealNode):
    service = node.create_service("sleep", "1000", secrets=[secret(node, "alone", KEY)])
    directory = credentials(node, service)
    agent = node.worker_pid("agent")
    os.kill(agent, signal.SIGSTOP)
    os.kill(next(iter(node.running(service).values())), signal.SIGKILL)
    wait(lambda: not directory.exists(), "the files to go", seconds=3)
    os.kill(agent, signal.SIGCONT)
    node.remove_service(service)


def test_what_ended_while_no_agent_was_there_is_swept_and_the_rest_stays(node: RealNode):
    ends, stays = (
        node.create_service(
            "sleep",
            "1000",
            secrets=[secret(node, name, KEY)],
            task={"restart": api.RestartPolicy(condition=api.RestartPolicy.NONE)},
        )
        for name in ("swept", "stays")
    )
    gone, kept = credentials(node, ends), credentials(node, stays)
    agent = node.worker_pid("agent")
    os.kill(agent, signal.SIGSTOP)
    os.kill(next(iter(node.running(ends).values())), signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    wait(lambda: not gone.exists(), "the sweep")
    node.wait_ready(without=agent)
    assert KEY == (kept / "key").read_bytes()
    for service in (ends, stays):
        node.remove_service(service)


def test_a_secret_in_use_cannot_be_removed(node: RealNode):
    reference = secret(node, "used", KEY)
    service = node.create_service("sleep", "1000", secrets=[reference])
    refused = node.ctl("secret", "rm", "used")
    assert 1 == refused.returncode
    assert "is in use by the following service" in refused.stderr
    node.remove_service(service)
    assert 0 == node.ctl("secret", "rm", "used").returncode


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/etc/key", "secrets: target /etc/key: a host process finds its files below"),
        ("../key", "secrets: target '../key' is not a name of a file"),
        ("a//b", "secrets: target 'a//b' is not a name of a file"),
    ],
)
def test_a_target_elsewhere_rejects_the_task_with_the_reason(node: RealNode, target, reason):
    reference = secret(node, f"t{len(target)}{target[-1]}", KEY)
    reference.file.name = target
    service = node.create_service("sleep", "1000", secrets=[reference])
    assert rejection(node, service).startswith(reason)
    node.remove_service(service)


def test_nothing_secret_is_seen_anywhere(node: RealNode):
    """Logs, status, errors, process list, all commands; the store's file is sealed elsewhere."""
    shown, wrong = b"thrice-hidden-1", b"thrice-hidden-2"
    bad = b'{{ index (secret "key") "thrice-hidden-3" }}'
    service = node.create_service("sleep", "1000", secrets=[secret(node, "shown", shown)])
    node.wait_running(service, 1)
    failing = node.create_service(
        "sleep",
        "1000",
        secrets=[secret(node, "wrong", wrong)],
        configs=[config(node, "wrong", bad, templating=api.Driver(name="golang"))],
    )
    said = [rejection(node, failing)]
    assert "its template cannot be filled in" in said[0]
    for noun, names in (("secret", ["shown", "wrong"]), ("service", [service, failing])):
        for form in ("table", "json"):
            said += [node.ctl(noun, "inspect", name, "--format", form).stdout for name in names]
            said.append(node.ctl(noun, "ls", "--format", form).stdout)
    said += [node.ctl("task", "ls", "-a", "--format", "proto").stdout, node.log]
    said += [node.swarmd("status", "--json").stdout, *node.processes().values()]
    files = [path for path in node.state_dir.rglob("*") if path.is_file()]
    read = {path: path.read_bytes() for path in files if "store" not in path.parts}
    assert node.state_dir / "run/node.json" in read
    assert any(path.suffix == ".log" for path in read)
    for hidden in (b"thrice-hidden", KEY):
        assert not [text for text in said if hidden.decode() in text]
        tasks_own = {path for path in read if path.name == "stdout.log"}
        assert [] == [path for path in read.keys() - tasks_own if hidden in read[path]]
    for one in (service, failing):
        node.remove_service(one)
