"""One spec, two executors: Docker Engine's own and ours make the same container of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import wait
from tests.interop.peers import DockerHost, docker_host
from tests.networks import NetNode, lan

pytestmark = pytest.mark.interop

EVERYTHING = (
    "--label=of=service", "--container-label=of=container", "--env=A=b", "--env=NODE={{.Node.ID}}",
    "--hostname={{.Service.Name}}-h", "--workdir=/tmp", "--user=1234", "--group=1240", "--tty",
    "--init", "--read-only", "--host=one:10.1.2.3", "--host=two:10.1.2.4", "--dns=10.9.9.9",
    "--dns-search=example.org", "--dns-option=ndots:2", "--cap-add=NET_ADMIN",
    "--cap-drop=MKNOD", "--sysctl=net.core.somaxconn=512", "--ulimit=nofile=512:1024",
    "--limit-cpu=0.5", "--limit-memory=64m", "--limit-pids=50", "--reserve-memory=32m",
    "--stop-signal=SIGUSR1", "--stop-grace-period=2s", "--log-driver=json-file",
    "--log-opt=max-size=1m", "--health-cmd=true", "--health-interval=1s", "--health-retries=2",
    "--health-timeout=3s", "--health-start-period=1s",
    "--publish=mode=host,target=80,published=8081", "--publish=mode=host,target=53,protocol=udp",
    "--mount=type=volume,source=named,target=/named,volume-label=a=b,volume-nocopy=true",
    "--mount=type=volume,target=/anonymous", "--mount=type=bind,source=/tmp,target=/bound,readonly",
    "--mount=type=tmpfs,target=/fast,tmpfs-size=1m,tmpfs-mode=0700",
    "--secret=source=key,target=key,uid=1234,gid=1235,mode=0400",
    "--config=source=conf,target=/conf",
)  # fmt: skip

FILES = ("/run/secrets/key", "/conf")
SEEN = (
    "id; pwd; hostname; grep files /proc/1/limits; env | grep -v NODE= | sort",
    "grep -v $(hostname) /etc/hosts; cat /etc/resolv.conf",
    "ls -ln /run/secrets/key /conf | cut -c1-25; cat /run/secrets/key /conf",
    "grep -E 'Cap|NoNewPrivs|Seccomp:|Groups' /proc/self/status",
    "cat /proc/sys/net/core/somaxconn; cat /proc/1/comm; cat /proc/1/oom_score_adj",
    "ls -ld /fast /bound /named /anonymous | cut -c1-11; touch /made /bound/made 2>&1; true",
    "grep -E ' (/fast|/bound) ' /proc/mounts | cut -d' ' -f2-4",
    "cat /proc/1/cmdline | tr '\\0' ' '",
)
"""Shell scripts that tell what a process there can see and do."""


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[DockerHost, DockerHost]]:
    """A Docker Engine that runs tasks itself, and one that our node runs its tasks in."""
    with lan() as net, docker_host(net) as docker, docker_host(net) as engine:
        docker.docker("swarm", "init", f"--advertise-addr={docker.host.address}")
        for kind, name in (("secret", "key"), ("config", "conf")):
            docker.docker(kind, "create", name, "-", given=f"{kind}!")
        with NetNode(engine.host, f"--engine-addr={engine.address}") as node:
            node.join(docker.manager_address, docker.token())
            yield docker, engine


def of_each(pair: tuple[DockerHost, DockerHost], *options: str) -> list[tuple[DockerHost, str]]:
    """The engines, each with its container of one service."""
    docker, _ = pair
    command = ("--name=web", "--mode=global", *options, "busybox", "sleep", "1000")
    docker.docker("service", "create", "--detach", "--no-resolve-image", *command)
    wait(lambda: docker.running("web") == 2, "one on each")
    return [(engine, engine.docker("ps", "-q", "--filter=name=^web\\.").strip()) for engine in pair]


@pytest.fixture(scope="module")
def containers(pair: tuple[DockerHost, DockerHost]) -> list[tuple[DockerHost, str]]:
    """Docker's own, and ours."""
    return of_each(pair, *EVERYTHING)


@pytest.fixture(scope="module")
def inspected(containers: list[tuple[DockerHost, str]]) -> list[dict[str, Any]]:
    return [dict(json.loads(engine.docker("inspect", each))[0]) for engine, each in containers]


def test_their_configuration_is_the_same(inspected):
    theirs, ours = (one["Config"] for one in inspected)
    assert 2 == ours.pop("StopTimeout")  # so that `docker stop` gives it the same time
    for each in (theirs, ours):
        each["Env"] = [line for line in each["Env"] if not line.startswith("NODE=")]
        for name in ("com.docker.swarm.task.id", "com.docker.swarm.task.name", "swarmd.node-state"):
            each["Labels"].pop(name, "")
        assert each["Labels"].pop("com.docker.swarm.node.id")
    assert theirs == ours


def test_their_limits_and_privileges_are_the_same(inspected):
    theirs, ours = ({k: v for k, v in one["HostConfig"].items() if v} for one in inspected)
    assert 32 << 20 == ours.pop("MemoryReservation")  # theirs only counts it
    assert "default" == theirs.pop("Isolation")  # as none given is
    ours["Mounts"] = [one for one in ours["Mounts"] if one["Target"] not in FILES]
    assert theirs == ours


def test_their_ports_and_networks_are_the_same(inspected):
    theirs, ours = (one["NetworkSettings"] for one in inspected)
    assert theirs["Ports"].keys() == ours["Ports"].keys()
    assert theirs["Ports"]["80/tcp"] == ours["Ports"]["80/tcp"]
    assert theirs["Networks"].keys() == ours["Networks"].keys()


@pytest.mark.parametrize("script", SEEN)
def test_a_process_sees_the_same_in_both(containers, script):
    theirs, ours = (engine.docker("exec", each, "sh", "-c", script) for engine, each in containers)
    assert theirs == ours
    assert theirs.strip()
