"""A worker joins with a token, and everything that keeps one out; with real processes."""

import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.errors import ExitStatus
from tests.cluster import RealNode, free_port, wait

READY = api.NodeStatus.State.READY


@pytest.fixture(scope="module")
def manager() -> Iterator[RealNode]:
    with RealNode("--hostname=manager") as node:
        node.run()
        yield node


@pytest.fixture
def worker() -> Iterator[RealNode]:
    with RealNode("--hostname=worker") as node:
        yield node


def cluster_of(node: RealNode) -> api.Cluster:
    (cluster,) = node.call("ListClusters", api.ListClustersRequest()).clusters
    return cluster


def token_of(node: RealNode, role: str = "worker") -> str:
    return str(getattr(cluster_of(node).root_ca.join_tokens, role))


def node_of(manager: RealNode, worker: RealNode) -> api.Node:
    """The worker as its manager sees it."""
    node_id = worker.report["node_id"]
    found: api.Node = manager.call("GetNode", api.GetNodeRequest(node_id=node_id)).node
    return found


def join(worker: RealNode, manager: RealNode, *options: str, token: str = "") -> None:
    worker.environment["SWARMD_JOIN_ADDR"] = manager.remote
    worker.environment["SWARMD_JOIN_TOKEN"] = token or token_of(manager)
    worker.options += options
    worker.run()


def command_lines(node: RealNode) -> str:
    return "\n".join(node.processes().values())


def files_with(directory: Path, secret: str) -> list[Path]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return [path for path in files if secret.encode() in path.read_bytes()]


def test_a_worker_joins_with_an_agent_alone_and_leaves_no_trace_of_the_token(manager, worker):
    token = token_of(manager)
    join(worker, manager, "--label=rack=7", "--availability=drain")
    assert "worker" == worker.report["role"]
    assert ["agent"] == [process["name"] for process in worker.report["processes"]]
    node = node_of(manager, worker)
    assert (READY, "worker") == (node.status.state, node.description.hostname)
    assert {"rack": "7"} == dict(node.description.engine.labels)
    assert api.NodeSpec.Availability.DRAIN == node.spec.availability
    secret = token.rpartition("-")[2]
    assert secret not in worker.log + manager.log + command_lines(worker)
    assert secret not in worker.swarmd("status").stdout
    assert [] == files_with(worker.state_dir, secret)
    key = worker.state_dir / "certificates/swarm-node.key"
    assert 0o600 == stat.S_IMODE(key.stat().st_mode)


def test_a_worker_starts_again_without_a_token_and_adopts_its_tasks(manager, worker):
    join(worker, manager)
    node_id = worker.report["node_id"]
    constraint = {"placement": api.Placement(constraints=[f"node.id=={node_id}"])}
    service = manager.create_service("sleep", "1000", replicas=2, task=constraint)
    before = manager.wait_running(service, 2)
    os.kill(worker.pid, signal.SIGTERM)
    wait(lambda: not worker.is_locked(), "stopped")
    del worker.environment["SWARMD_JOIN_ADDR"], worker.environment["SWARMD_JOIN_TOKEN"]
    worker.run()
    assert node_id == worker.report["node_id"]
    assert before == manager.wait_running(service, 2)
    manager.remove_service(service)
    wait(lambda: not worker.task_processes(), "the end of its tasks")


def test_a_manager_that_moved_is_found_by_the_address_that_the_worker_is_told(worker):
    with RealNode("--hostname=manager") as manager:
        process = manager.run()
        join(worker, manager)
        node_id, left = worker.report["node_id"], manager.remote
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        manager.remote = f"127.0.0.1:{free_port()}"
        manager.run()
        os.kill(worker.pid, signal.SIGTERM)
        wait(lambda: not worker.is_locked(), "stopped")
        join(worker, manager)
        assert (node_id, READY) == (worker.report["node_id"], node_of(manager, worker).status.state)
        remembered = worker.state_dir / "state.json"
        wait(lambda: manager.remote in remembered.read_text(), "the new address")
        assert left not in remembered.read_text()


def test_a_killed_worker_process_gets_back_into_the_cluster(manager, worker):
    join(worker, manager)
    agent = worker.worker_pid("agent")
    os.kill(agent, signal.SIGKILL)
    worker.wait_ready(without=agent)
    assert READY == node_of(manager, worker).status.state


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("SWMTKN-1-short", "the join token is malformed"),
        ("SWMTKN-1-" + "1" * 50 + "-" + "2" * 25, "another root CA than the one in the join token"),
        ("{digest}-" + "2" * 25, "refuses the join token: it was rotated"),
    ],
)
def test_a_bad_token_ends_the_start_with_one_sentence(manager, worker, token, words):
    good = token_of(manager)
    given = token.format(digest=good.rpartition("-")[0])
    nodes = len(manager.call("ListNodes", api.ListNodesRequest()).nodes)
    worker.environment |= {"SWARMD_JOIN_ADDR": manager.remote, "SWARMD_JOIN_TOKEN": given}
    status, line = worker.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert words in line
    assert given not in worker.log
    assert nodes == len(manager.call("ListNodes", api.ListNodesRequest()).nodes)
    assert not (worker.state_dir / "certificates/swarm-node.key").exists()


def test_a_rotated_token_is_refused_from_that_moment(worker):
    with RealNode() as manager:
        manager.run()
        old = token_of(manager)
        assert (
            0
            == manager.ctl("cluster", "update", "default", "--rotate-join-token=worker").returncode
        )
        worker.environment |= {"SWARMD_JOIN_ADDR": manager.remote, "SWARMD_JOIN_TOKEN": old}
        assert "it was rotated" in worker.refused()[1]
        join(worker, manager)
        assert READY == node_of(manager, worker).status.state


def test_where_nothing_listens_the_start_ends_after_its_tries(manager, worker):
    address = f"127.0.0.1:{free_port()}"
    worker.environment |= {"SWARMD_JOIN_ADDR": address, "SWARMD_JOIN_TOKEN": token_of(manager)}
    status, line = worker.refused()
    assert ExitStatus.CANNOT_BOOT == status
    assert f"cannot join by way of {address}, tried 5 times" in line
    assert "Connection refused" in line


def test_where_something_else_listens_the_start_ends_after_its_tries(manager, worker):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_speak_http, args=(listener,), daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        worker.environment |= {"SWARMD_JOIN_ADDR": address, "SWARMD_JOIN_TOKEN": token_of(manager)}
        status, line = worker.refused()
        listener.shutdown(socket.SHUT_RDWR)
    assert ExitStatus.CANNOT_BOOT == status
    assert f"no manager answers at {address}" in line


def _speak_http(listener: socket.socket) -> None:
    try:
        while True:
            client, _ = listener.accept()
            with client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    except OSError:
        return


def test_a_removed_node_says_so_once_and_leave_cleans_up(manager, worker):
    join(worker, manager)
    node_id = worker.report["node_id"]
    assert 0 == manager.ctl("node", "remove", "--force", node_id).returncode
    wait(lambda: "was removed" in worker.log, "the sentence")
    left = worker.swarmd("leave")
    assert (0, "") == (left.returncode, left.stderr)
    assert f"node {node_id} left cluster" in left.stdout
    assert 1 == worker.log.count("this node was removed from the swarm: `swarmd leave` cleans up")
    join(worker, manager)
    assert node_id != worker.report["node_id"]


def test_leave_stops_tasks_and_forgets_the_cluster(manager, worker):
    join(worker, manager)
    node_id = worker.report["node_id"]
    constraint = {"placement": api.Placement(constraints=[f"node.id=={node_id}"])}
    service = manager.create_service("sleep", "1000", task=constraint)
    manager.wait_running(service, 1)
    left = worker.swarmd("leave")
    assert (0, "") == (left.returncode, left.stderr)
    assert {} == worker.task_processes()
    assert [] == files_with(worker.state_dir, node_id)
    manager.remove_service(service)
    again = worker.swarmd("leave")
    assert (1, "Error: this node is of no cluster\n") == (again.returncode, again.stderr)


def test_a_manager_leaves_by_force_only():
    with RealNode() as node:
        node.run()
        refused = node.swarmd("leave")
        assert 1 == refused.returncode
        assert "without it the cluster is lost" in refused.stderr
        assert node.is_ready()
        assert 0 == node.swarmd("leave", "--force").returncode
        assert not (node.state_dir / "store").exists()


def test_a_node_under_supervisord_joins_another_cluster(manager, worker):
    worker.start()
    token = worker.root / "token"
    token.write_text(token_of(manager) + "\n")
    options = (f"--join-addr={manager.remote}", f"--join-token-file={token}")
    refused = worker.swarmd("join", *options)
    assert 1 == refused.returncode
    assert "this node is the manager of cluster" in refused.stderr
    joined = worker.swarmd("join", "--force", *options)
    assert (0, "") == (joined.returncode, joined.stderr)
    assert "worker" == worker.report["role"]
    assert READY == node_of(manager, worker).status.state
    assert [] == files_with(worker.state_dir, token_of(manager))
    token.write_text(token_of(manager, "manager") + "\n")  # which would make it one, on a new host
    for node, role, change in ((worker, "worker", "promote"), (manager, "manager", "demote")):
        again = node.swarmd("join", *options)
        said = f"a {role} of that cluster already: `swarmctl node {change} "
        said += f"{node.report['node_id']}`"
        assert (1, True) == (again.returncode, said in again.stderr)
    assert 0 == worker.swarmd("restart").returncode
    assert "worker" == worker.report["role"]


def test_start_keeps_the_token_out_of_supervisord_conf(manager, worker):
    secret = token_of(manager)
    done = subprocess.run(
        worker.argv("start", f"--join-addr={manager.remote}", f"--join-token={secret}"),
        env=worker.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert "worker" == worker.report["role"]
    assert [] == files_with(worker.state_dir, secret)
