"""swarmctl's logs of containers that a Docker Engine runs for our manager."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from swarmd import api
from tests import builders
from tests.cluster import wait
from tests.interop.peers import DockerHost, docker_host
from tests.networks import NetNode, lan
from tests.reference import ROOT

pytestmark = pytest.mark.interop

TALK = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; sleep 1000"


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[NetNode, DockerHost]]:
    """Our manager, and a Docker Engine that is its worker and runs two talking containers."""
    with lan() as net, NetNode(net.host()) as manager, docker_host(net) as engine:
        manager.run()
        token, own = manager.worker_token, engine.host.address
        engine.docker("swarm", "join", f"--advertise-addr={own}", "--token", token, manager.address)
        spec = builders.container("busybox", ("sh", "-c", TALK), stop_grace_period={"seconds": 1})
        made = builders.service("web", replicas=2, task_spec=api.TaskSpec(container=spec))
        reply = manager.call("CreateService", api.CreateServiceRequest(spec=made.spec))
        manager.wait_running(reply.service.id, 2)
        yield manager, engine


def scale(manager: NetNode, replicas: int) -> None:
    found = manager.call("ListServices", api.ListServicesRequest()).services[0]
    found.spec.replicated.replicas = replicas
    request = api.UpdateServiceRequest(
        service_id=found.id, service_version=found.meta.version, spec=found.spec
    )
    manager.call("UpdateService", request)


def lines(text: str) -> list[str]:
    return sorted(re.sub(r"^web\.[12]\.\w{12}@\S+ +\| ", "", line) for line in text.splitlines())


def test_containers_output_comes_with_its_streams(both):
    manager, _ = both
    done = manager.ctl("service", "logs", "web")
    assert 0 == done.returncode, done.stderr
    assert sorted(2 * ["out 1", "out 2", "out 3"]) == lines(done.stdout)
    assert sorted(2 * ["err 1", "err 2", "err 3"]) == lines(done.stderr)


def test_tail_and_since_reach_the_engine(both):
    manager, _ = both
    done = manager.ctl("task", "logs", "--raw", "--tail", "2", "web.1")
    # An engine takes the two streams in as they come: which two lines were last is its affair.
    assert 2 == len([*done.stdout.splitlines(), *done.stderr.splitlines()])
    done = manager.ctl("service", "logs", "--since", "2100-01-01T00:00:00Z", "web")
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_following_shows_containers_that_come_later(both):
    manager, _ = both
    words = [sys.executable, "-m", "swarmd.ctl", "service", "logs", "-f", "--raw", "web"]
    seen = manager.root / "followed"
    with seen.open("wb") as file:
        following = subprocess.Popen(words, env=manager.environment, cwd=ROOT, stdout=file)
        wait(lambda: seen.read_text().count("out 3") == 2, "what there is")
        scale(manager, 3)
        wait(lambda: seen.read_text().count("out 3") == 3, "a later container's")
        following.send_signal(signal.SIGINT)
        assert 130 == following.wait(10)


def test_an_engine_that_is_gone_is_named_at_the_end(both):
    manager, engine = both
    engine.docker("swarm", "leave")
    done = manager.ctl("service", "logs", "web")
    assert 1 == done.returncode
    assert re.fullmatch(r"Error: the log is incomplete: node \S+ \(\w+\) .+\n", done.stderr)
