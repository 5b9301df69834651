"""A Docker Engine's swarm becomes ours: from its stopped manager's files, or from its socket."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.security import data_key, key_file, unlock_key
from swarmd.security.certificates import NodeCertificates
from swarmd.state_dir import StateDir
from swarmd.store import ReadTx, SqliteBackend, Store
from tests.cluster import RealNode, wait
from tests.interop.peers import SWARM_PORT, DockerHost, docker_host
from tests.networks import NetNode, lan

pytestmark = pytest.mark.interop

READY = api.NodeStatus.State.READY
_QUICK = ("--detach", "--stop-grace-period=1s", "--restart-delay=1s")
_CONFIGS = 30  # more changes than a snapshot waits for


@dataclass(frozen=True)
class Swarm:
    """A manager and a worker, both Docker Engines; what was there when the manager stopped."""

    manager: DockerHost
    worker: DockerHost
    worker_id: str
    token: str
    containers: set[str]
    worker_certificate: bytes
    live: dict[str, "subprocess.CompletedProcess[str]"]
    """What commands said while the manager ran."""
    open_files: Path
    """Its files, stopped, before it was locked."""
    key: str

    @property
    def files(self) -> Path:
        """Its files, stopped and locked."""
        return self.manager.root / "data/swarm"


def importing(*words: object, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "swarmd", "import", *map(str, words)],
        input=given,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def containers_of(engine: DockerHost) -> set[str]:
    """With when each was started: none that was restarted looks the same."""
    ids = engine.docker("ps", "-q", "--no-trunc", "--filter", "label=com.docker.swarm.task").split()
    form = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}}"
    return set(engine.docker("inspect", "--format", form, *ids).splitlines())


def fill(manager: DockerHost, worker_id: str) -> None:
    manager.docker("swarm", "update", "--snapshot-interval=20")
    manager.docker("secret", "create", "colour", "-", given="blue")
    manager.docker("config", "create", "tint", "-", given="green")
    manager.docker("node", "update", "--label-add=zone=z1", worker_id)
    manager.docker("network", "create", "--driver=overlay", "front")
    payloads, there = ("--secret=colour", "--config=tint"), "--constraint=node.role==worker"
    for name, *options in (
        ("web", "--replicas=3", *payloads),
        ("box", "--mode=global"),
        ("mesh", "--publish=8080:80", there),
        ("net", "--network=front", there),
    ):
        create = ("service", "create", *_QUICK, f"--name={name}", *options)
        manager.docker(*create, "busybox", "sleep", "1000")
    for number in range(_CONFIGS):
        manager.docker("config", "create", f"c{number}", "-", given=f"v{number}")
    counts = {"web": 3, "box": 2, "mesh": 1, "net": 1}
    wait(lambda: counts == {one: manager.running(one) for one in counts}, "all tasks", 120)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with lan() as net, docker_host(net) as manager, docker_host(net) as worker:
        manager.docker("swarm", "init", f"--advertise-addr={manager.host.address}")
        own = f"--advertise-addr={worker.host.address}"
        worker.docker("swarm", "join", own, "--token", manager.token(), manager.manager_address)
        fill(manager, worker_id := worker.node_id)
        files, place = manager.root / "data/swarm", tmp_path_factory.mktemp("import")
        live = while_it_runs(manager, place)
        manager.stop()
        open_files = place / "open"
        shutil.copytree(files, open_files)
        manager.start()
        manager.docker("swarm", "update", "--autolock")
        key = manager.docker("swarm", "unlock-key", "-q").strip()
        wait(lambda: key_file.is_sealed(StateDir(files).node_key), "a sealed key")
        token, containers = manager.token(), containers_of(worker)
        manager.stop()
        certificate = (worker.root / "data/swarm/certificates/swarm-node.crt").read_bytes()
        yield Swarm(
            manager, worker, worker_id, token, containers, certificate, live, open_files, key
        )


def while_it_runs(
    manager: DockerHost, place: Path
) -> "dict[str, subprocess.CompletedProcess[str]]":
    socket, data = manager.root / "exec/swarm/control.sock", place / "secrets"
    data.mkdir()
    (data / "colour").write_bytes(b"blue")
    into = [f"--into={place / name}" for name in ("a", "live", "none")]
    return {
        "files": importing("--state-dir", manager.root / "data/swarm", into[0]),
        "socket": importing("--from-socket", socket, "--secrets", data, into[1]),
        "no secrets": importing("--from-socket", socket, "--dry-run", into[2]),
    }


def stored(place: StateDir, read: Callable[[ReadTx], object]) -> object:
    """What a store at rest has, as its manager would open it."""
    sealer = data_key.open_data_keys(place.node_key).sealer(place.node_key)

    async def look() -> object:
        async with Store(SqliteBackend(place.store, sealer), SystemClock()) as store:
            return read(store.view())

    return asyncio.run(look())


def contents(tx: ReadTx) -> dict[str, object]:
    return {
        "secrets": {one.spec.annotations.name: one.spec.data for one in tx.secrets.find()},
        "configs": {one.spec.annotations.name: one.spec.data for one in tx.configs.find()},
        "services": sorted(one.spec.annotations.name for one in tx.services.find()),
        "networks": {"front", "ingress"} <= {n.spec.annotations.name for n in tx.networks.find()},
    }


EVERYTHING = {
    "secrets": {"colour": b"blue"},
    "configs": {"tint": b"green", **{f"c{n}": f"v{n}".encode() for n in range(_CONFIGS)}},
    "services": ["box", "mesh", "net", "web"],
    "networks": True,
}


def digests(directory: Path) -> dict[str, str]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_manager_that_runs_is_refused(swarm: Swarm):
    refused = swarm.live["files"]
    assert 1 == refused.returncode
    assert "is in use: the manager still runs" in refused.stderr


def test_its_files_have_everything_and_stay_as_they_are(swarm: Swarm, tmp_path: Path):
    before, into = digests(swarm.open_files), StateDir(tmp_path / "state")
    assert any(path.endswith(".snap") for path in before)
    done = importing("--state-dir", swarm.open_files, "--into", into.root)
    assert 0 == done.returncode, done.stderr
    assert before == digests(swarm.open_files)
    assert EVERYTHING == stored(into, contents)
    for said in ("network front (overlay)", "service net: ", "publish 8080", "2 nodes, 4 services"):
        assert said in done.stdout
    assert f"--advertise-remote-api {swarm.manager.manager_address}" in done.stdout


def test_a_dry_run_says_the_same_and_writes_nothing(swarm: Swarm, tmp_path: Path):
    done = importing("--state-dir", swarm.open_files, "--into", tmp_path / "state", "--dry-run")
    assert 0 == done.returncode, done.stderr
    assert "2 nodes, 4 services" in done.stdout
    assert not (tmp_path / "state").exists()


def test_a_wrong_unlock_key_is_refused(swarm: Swarm, tmp_path: Path):
    wrong = unlock_key.show(b"x" * unlock_key.KEY_BYTES)
    done = importing("--state-dir", swarm.files, "--into", tmp_path / "state", given=wrong)
    assert 1 == done.returncode
    assert "wrong unlock key" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_byte_that_changed_in_the_log_is_found(swarm: Swarm, tmp_path: Path):
    source = tmp_path / "damaged"
    shutil.copytree(swarm.open_files, source)
    (log,) = (source / "raft/wal-v3-encrypted").glob("*.wal")
    with log.open("r+b") as file:
        file.seek(3000)
        (byte,) = file.read(1)
        file.seek(3000)
        file.write(bytes([byte ^ 1]))
    done = importing("--state-dir", source, "--into", tmp_path / "state")
    assert 78 == done.returncode
    assert f"{log}, at offset " in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert not (tmp_path / "state").exists()


def test_the_key_of_another_time_does_not_open_the_store(swarm: Swarm, tmp_path: Path):
    source = tmp_path / "mixed"
    shutil.copytree(swarm.open_files, source)
    path = StateDir(source).node_key
    found = key_file.read(path)
    headers = {name: text for name, text in found.headers.items() if name != "raft-dek"}
    key_file.write(path, found.pem, headers)
    data_key.open_data_keys(path)
    done = importing("--state-dir", source, "--into", tmp_path / "state")
    assert 78 == done.returncode
    assert f"does not open with the data key in {path}" in done.stderr


def test_a_directory_that_is_not_empty_is_refused(swarm: Swarm, tmp_path: Path):
    (tmp_path / "file").touch()
    done = importing("--state-dir", swarm.open_files, "--into", tmp_path)
    assert 1 == done.returncode
    assert f"{tmp_path} is not empty" in done.stderr


def test_a_worker_has_no_store_to_import(swarm: Swarm, tmp_path: Path):
    done = importing("--state-dir", swarm.worker.root / "data/swarm", "--into", tmp_path / "state")
    assert 1 == done.returncode
    assert "raft" in done.stderr


def test_from_the_socket_it_is_a_new_cluster_with_the_same_services(swarm: Swarm):
    done = swarm.live["socket"]
    assert 0 == done.returncode, done.stderr
    assert f"node {swarm.worker_id}" in done.stdout
    assert "--label-add zone=z1" in done.stdout
    into = StateDir(swarm.open_files.parent / "live")
    assert EVERYTHING == stored(into, contents)
    before = (swarm.open_files / "certificates/swarm-root-ca.crt").read_bytes()
    assert before != NodeCertificates.load(into).root_pem


def test_what_came_from_the_socket_starts(swarm: Swarm, tmp_path: Path):
    into = tmp_path / "state"
    shutil.copytree(swarm.open_files.parent / "live", into)
    with RealNode("--engine-addr=supervisor://", state_dir=into) as node:
        node.run()
        listed = node.ctl("service", "ls", "--format", "{{.Name}}").stdout.split()
        assert EVERYTHING["services"] == sorted(listed)


def test_from_the_socket_secrets_without_a_file_are_named(swarm: Swarm):
    done = swarm.live["no secrets"]
    assert 0 == done.returncode, done.stderr
    assert "secret colour: its data cannot be read there" in done.stdout
    assert "service web: its tasks are rejected while there is no secret colour" in done.stdout


@pytest.fixture(scope="module")
def ours(swarm: Swarm) -> Iterator[NetNode]:
    """Our manager, in the place of the locked one."""
    with NetNode(swarm.manager.host, "--engine-addr=supervisor://") as node:
        node.remote = f"0.0.0.0:{SWARM_PORT}"
        words = ("--state-dir", swarm.files, "--into", node.state_dir)
        done = importing(*words, given=swarm.key)
        assert 0 == done.returncode, done.stderr
        node.spawn()
        wait(lambda: node.report.get("phase") == "locked", "locked")
        unlock = [sys.executable, "-m", "swarmd", "unlock", f"--state-dir={node.state_dir}"]
        subprocess.run(unlock, input=swarm.key, env=os.environ, text=True, check=True, timeout=60)
        node.wait_ready()
        yield node


def test_the_worker_comes_back_with_its_certificate_and_its_label(swarm: Swarm, ours: NetNode):
    ours.wait_state(swarm.worker_id, READY, 60)
    files = swarm.worker.root / "data/swarm/certificates"
    assert swarm.worker_certificate == (files / "swarm-node.crt").read_bytes()
    assert {"zone": "z1"} == dict(ours.node(swarm.worker_id).spec.annotations.labels)


def test_no_container_of_it_is_restarted(swarm: Swarm, ours: NetNode):
    ours.wait_state(swarm.worker_id, READY, 60)
    web = stored_service(ours, "web")
    wait(lambda: ours.counts(web) == {swarm.worker_id: 3}, "the manager's task moved", 60)
    assert swarm.containers <= containers_of(swarm.worker)


def test_new_tasks_get_the_secret_and_the_config(swarm: Swarm, ours: NetNode):
    web = stored_service(ours, "web")
    scaled = ours.ctl("service", "scale", "web=5", "--detach")
    assert 0 == scaled.returncode, scaled.stderr
    wait(lambda: ours.counts(web) == {swarm.worker_id: 5}, "five", 60)
    for each in swarm.worker.docker("ps", "-q", "--filter", "name=^web\\.").split():
        read = ("exec", each, "cat", "/run/secrets/colour", "/tint")
        assert "bluegreen" == swarm.worker.docker(*read)


def test_a_new_task_that_asks_for_a_network_waits_and_says_so(swarm: Swarm, ours: NetNode):
    scaled = ours.ctl("service", "scale", "net=2", "--detach")
    assert 0 == scaled.returncode, scaled.stderr
    net = stored_service(ours, "net")
    said = "network support is unavailable"
    wait(lambda: any(said in one.status.err for one in ours.tasks(net)), "the reason")
    assert 1 == len(ours.running(net))


def test_the_join_token_is_the_same(swarm: Swarm, ours: NetNode):
    assert swarm.token == ours.worker_token


def stored_service(manager: NetNode, name: str) -> str:
    filters = api.ListServicesRequest.Filters(names=[name])
    answer = manager.call("ListServices", api.ListServicesRequest(filters=filters))
    return str(answer.services[0].id)
