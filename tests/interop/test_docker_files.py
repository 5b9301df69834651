"""The certificates that a Docker Engine keeps on disk, as SwarmKit writes them: we read them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd.errors import CannotBootError
from swarmd.security import key_file, unlock_key
from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import MANAGER
from swarmd.security.key_file import LockedError
from swarmd.state_dir import StateDir
from tests.interop.peers import DockerHost, docker_host
from tests.networks import lan
from workers.agent import task_file
from workers.manager.bootstrap import refuse_raft_log

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def docker() -> Iterator[DockerHost]:
    with lan() as net, docker_host(net) as made:
        made.docker("swarm", "init", f"--advertise-addr={made.host.address}")
        yield made


def copied(docker: DockerHost, directory: Path) -> StateDir:
    """What lies there, as the state directory of a node of ours."""
    under_way = shutil.ignore_patterns(".*", "*.tmp")  # files that are about to get their names
    source = docker.root / "data" / "swarm"
    shutil.copytree(source, directory, dirs_exist_ok=True, ignore=under_way)
    return StateDir(directory)


def test_a_managers_files_say_who_it_is(docker, tmp_path):
    state_dir = copied(docker, tmp_path)
    found = NodeCertificates.load(state_dir)
    assert (docker.node_id, MANAGER) == (found.identity.node_id, found.identity.role)
    assert {"kek-version", "raft-dek"} == set(key_file.headers(state_dir.node_key))
    with pytest.raises(CannotBootError, match="SwarmKit's own manager"):
        refuse_raft_log(state_dir)


def test_its_task_database_is_told_to_be_what_it_is(docker, tmp_path):
    state_dir = copied(docker, tmp_path)
    with pytest.raises(CannotBootError, match="SwarmKit's own agent"):
        task_file.open_file(state_dir.tasks_db)


def test_a_locked_managers_key_opens_with_its_unlock_key(docker, tmp_path):
    docker.docker("swarm", "update", "--autolock")
    state_dir = copied(docker, tmp_path)
    assert key_file.is_sealed(state_dir.node_key)
    with pytest.raises(LockedError, match="wrong unlock key"):
        key_file.unlock(state_dir.node_key, b"0" * unlock_key.KEY_BYTES)
    told = docker.docker("swarm", "unlock-key", "-q").strip()
    key_file.unlock(state_dir.node_key, unlock_key.parse(told))
    assert docker.node_id == NodeCertificates.load(state_dir).identity.node_id
