"""What a node shows of itself over HTTP, where it is asked to."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.cluster import RealNode, free_port

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def addresses() -> list[str]:
    return [f"127.0.0.1:{free_port()}" for _ in range(2)]


@pytest.fixture(scope="module", autouse=True)
def node(addresses: list[str]) -> Iterator[RealNode]:
    metrics, debug = addresses
    with RealNode("--listen-metrics", metrics, "--listen-debug", debug) as one:
        one.run()
        one.wait_ready()
        yield one


def page(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as reply:
        return str(reply.read().decode())


def test_prometheus_reads_what_the_cluster_holds(addresses: list[str]) -> None:
    text = page(addresses[0], "/metrics")
    assert 'swarm_manager_nodes{state="ready"} 1.0' in text
    assert "swarm_manager_services_total 0.0" in text
    assert "process_resident_memory_bytes" in text


def test_developers_read_stacks_tasks_and_objects(addresses: list[str]) -> None:
    assert "MainThread" in page(addresses[1], "/debug/stacks")
    assert "Scheduler" in page(addresses[1], "/debug/tasks")
    assert "function" in page(addresses[1], "/debug/objects")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        page(addresses[1], "/secrets")


def test_an_address_in_use_is_refused(addresses: list[str]) -> None:
    with RealNode("--listen-metrics", addresses[0]) as other:
        status, line = other.refused()
    assert 78 == status
    assert f"--listen-metrics {addresses[0]}: cannot listen" in line
