"""Every kind of secret that a cluster has, on real nodes, searched for where it may not be.

That is: what they log, print and answer; what other users of the host may read; the files that are
sealed; and the command lines and environments of every process of theirs.
"""

import base64
import json
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from swarmd import api
from swarmd.security import unlock_key
from swarmd.security.root_ca import RootCA
from tests.cluster import RealNode, wait
from tests.fakes.running_node import lives

PAYLOAD = b"payload-of-a-secret-7f3a"
TEMPLATED = b"payload-of-a-templated-config-91bc"
PASSWORD = "password-at-the-registry-55d0"
OTHERS_MAY_READ = stat.S_IROTH | stat.S_IRGRP


@dataclass
class Secrets:
    """What was made, by name: the bytes that tell it, in each form that it has."""

    forms: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, name: str, *values: bytes) -> None:
        """The values, and their base 64, by which JSON and PEM show bytes."""
        encoded = [base64.b64encode(value)[:-4] for value in values]
        self.forms[name] = [*values, *encoded]

    def add_key(self, name: str, pem: bytes) -> None:
        """By the number that is the key: whatever it is wrapped in has those bytes."""
        key = serialization.load_pem_private_key(pem, None)
        number = key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
        self.add(name, number, pem.split(b"\n")[2])

    def within(self, text: bytes) -> set[str]:
        return {name for name, forms in self.forms.items() if any(one in text for one in forms)}


class Nodes:
    """A manager and a worker with a task that reads a secret, and all secrets that they have."""

    def __init__(self, manager: RealNode, worker: RealNode) -> None:
        self.manager, self.worker = manager, worker
        self.secrets = Secrets()
        self.answers: list[bytes] = []  # what was printed, and what calls gave

    def ctl(self, *words: str) -> str:
        done = self.manager.ctl(*words)
        self.answers.append((done.stdout + done.stderr).encode())
        return done.stdout

    @property
    def both(self) -> tuple[RealNode, RealNode]:
        return self.manager, self.worker


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    directory = tmp_path_factory.mktemp("ca")
    root_key = given_root(directory)
    options = (f"--root-ca-cert={directory}/ca.crt", f"--root-ca-key={directory}/ca.key")
    with (
        RealNode("--log-level=debug", *options) as manager,
        RealNode("--log-level=debug") as worker,
    ):
        manager.run()
        made = Nodes(manager, worker)
        made.secrets.add_key("root CA key", root_key)
        remember_tokens(made, "first")
        join(made)
        make_objects(made)
        rotate(made)
        remember_node_keys(made)
        ask_what_can_be_asked(made)
        yield made


def given_root(directory: Path) -> bytes:
    root = RootCA.create(time.time())
    (directory / "ca.crt").write_bytes(root.certificate_pem)
    (directory / "ca.key").write_bytes(root.key_pem)
    return root.key_pem


def remember_tokens(made: Nodes, when: str) -> None:
    (cluster,) = made.manager.call("ListClusters", api.ListClustersRequest()).clusters
    for role in ("worker", "manager"):
        token = getattr(cluster.root_ca.join_tokens, role)
        made.secrets.add(f"{when} {role} token", token.rpartition("-")[2].encode())


def join(made: Nodes) -> None:
    (cluster,) = made.manager.call("ListClusters", api.ListClustersRequest()).clusters
    token = made.worker.root / "token"
    token.write_text(cluster.root_ca.join_tokens.worker)
    token.chmod(0o600)
    made.worker.options += (f"--join-addr={made.manager.remote}", f"--join-token-file={token}")
    made.worker.run()
    token.unlink()
    made.worker.options = made.worker.options[:1]


def make_objects(made: Nodes) -> None:
    made.secrets.add("secret's payload", PAYLOAD)
    made.secrets.add("config's templated payload", TEMPLATED)
    auth = base64.urlsafe_b64encode(json.dumps({"password": PASSWORD}).encode())
    made.secrets.add("registry auth", auth, PASSWORD.encode())
    spec = api.SecretSpec(annotations=api.Annotations(name="key"), data=PAYLOAD)
    secret = made.manager.call("CreateSecret", api.CreateSecretRequest(spec=spec)).secret
    templating = api.Driver(name="golang")
    spec = api.ConfigSpec(
        annotations=api.Annotations(name="c"),
        data=b"{{ secret `key` }}" + TEMPLATED,
        templating=templating,
    )
    config = made.manager.call("CreateConfig", api.CreateConfigRequest(spec=spec)).config
    for node_id in (one.report["node_id"] for one in made.both):
        service = made.manager.create_service(
            "/bin/sh",
            "-c",
            'cat "$CREDENTIALS_DIRECTORY"/* >/dev/null; sleep 1000',
            task={"placement": api.Placement(constraints=[f"node.id=={node_id}"])},
            secrets=[reference(api.SecretReference, "secret", secret.id, "key")],
            configs=[reference(api.ConfigReference, "config", config.id, "c")],
            pull_options=api.ContainerSpec.PullOptions(registry_auth=auth.decode()),
        )
        made.manager.wait_running(service, 1)


def reference(kind, word: str, object_id: str, name: str):
    named = {f"{word}_id": object_id, f"{word}_name": name}
    return kind(**named, file=api.FileTarget(name=name, mode=0o400))


def rotate(made: Nodes) -> None:
    """Lock the manager, and change the tokens: the old ones and the new ones are secrets."""
    for role in ("worker", "manager"):
        made.manager.ctl("cluster", "update", "default", f"--rotate-join-token={role}")
    remember_tokens(made, "second")
    assert 0 == made.manager.ctl("cluster", "update", "--autolock").returncode
    told = made.manager.ctl("cluster", "unlock-key").stdout
    found = re.search(r"SWMKEY-1-\S+", told)
    assert found
    made.secrets.add("unlock key", unlock_key.parse(found[0]))
    key = made.manager.state_dir / "certificates/swarm-node.key"
    wait(lambda: b"ENCRYPTED" in key.read_bytes(), "the sealed key")


def remember_node_keys(made: Nodes) -> None:
    """The worker's is in the clear, in its own file; the manager's is sealed by now."""
    found = (made.worker.state_dir / "certificates/swarm-node.key").read_text()
    body = re.sub(r"^[a-z-]+: .*\n", "", found, flags=re.MULTILINE).replace("\n\n", "\n")
    made.secrets.add_key("worker's key", body.encode())


def ask_what_can_be_asked(made: Nodes) -> None:
    """Everything that shows or refuses something; the two that are for tokens are left out."""
    for noun in ("node", "service", "task", "secret", "config", "network"):
        made.ctl(noun, "ls")
        made.ctl(noun, "ls", "--format", "json")
    for noun, name in (("secret", "key"), ("config", "c")):
        made.ctl(noun, "inspect", name)
    made.ctl("ca", "show")
    for node in made.both:
        for words in (("status",), ("status", "--format", "json")):
            done = node.swarmd(*words)
            made.answers.append((done.stdout + done.stderr).encode())
    bad = api.SecretSpec(annotations=api.Annotations(name="key"), data=PAYLOAD)
    for method, request in (
        ("CreateSecret", api.CreateSecretRequest(spec=bad)),
        ("UpdateCluster", api.UpdateClusterRequest(cluster_id="x", spec=api.ClusterSpec())),
    ):
        with pytest.raises(grpc.RpcError) as refusal:
            made.manager.call(method, request)
        made.answers.append(str(refusal.value.details()).encode())
    for method, request in (
        ("ListSecrets", api.ListSecretsRequest()),
        ("ListNodes", api.ListNodesRequest()),
        ("ListTasks", api.ListTasksRequest()),
    ):
        made.answers.append(made.manager.call(method, request).SerializeToString())


def files_of(node: RealNode) -> list[Path]:
    files = (path for path in node.root.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if not path.is_socket()]


def test_no_log_and_no_answer_shows_one(nodes: Nodes):
    shown = {"log": nodes.manager.log + nodes.worker.log}
    found = {name: nodes.secrets.within(text.encode()) for name, text in shown.items()}
    assert {"log": set()} == found
    # The registry's password is part of the specification that its owner may read, as in SwarmKit.
    own = {"registry auth", "config's templated payload"}
    assert set() == nodes.secrets.within(b"\0".join(nodes.answers)) - own


def test_no_process_shows_one(nodes: Nodes):
    found = {}
    for node in nodes.both:
        for pid in node.processes():
            text = b"".join(
                Path(f"/proc/{pid}/{one}").read_bytes()
                for one in ("cmdline", "environ")
                if lives(pid)
            )
            found |= {pid: names} if (names := nodes.secrets.within(text)) else {}
    assert {} == found


def test_no_file_that_others_may_read_shows_one(nodes: Nodes):
    found = {
        str(path): names
        for node in nodes.both
        for path in files_of(node)
        if path.stat().st_mode & OTHERS_MAY_READ
        if (names := nodes.secrets.within(path.read_bytes()))
    }
    assert {} == found


def found_in_files(nodes: Nodes, node: RealNode) -> dict[str, set[str]]:
    """Which secrets each file of it holds. The agent's own memory, its owner's alone, is left out:
    there a task stands as it was assigned, with the password that its image is pulled with.
    """
    found = {
        path.relative_to(node.state_dir).as_posix(): nodes.secrets.within(path.read_bytes())
        for path in files_of(node)
        if path.is_relative_to(node.state_dir)
    }
    for name, names in found.items():
        if name.startswith("worker/tasks.db"):
            names.discard("registry auth")
    return {name: names for name, names in found.items() if names}


def test_a_locked_managers_files_hold_none(nodes: Nodes):
    assert {} == found_in_files(nodes, nodes.manager)


def test_a_workers_files_hold_its_own_key_alone(nodes: Nodes):
    held = found_in_files(nodes, nodes.worker)
    assert {"certificates/swarm-node.key": {"worker's key"}} == held
