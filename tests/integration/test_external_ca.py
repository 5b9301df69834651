"""An external CA: CFSSL's own server where it is installed, and one of ours with all its moods."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.security.certificates import (
    BadCertificateError,
    NodeCertificates,
    check_chain,
    new_request,
    parse_chain,
)
from swarmd.security.external_ca import ExternalCA, ExternalCAError
from swarmd.security.identity import WORKER, Identity
from swarmd.security.root_ca import RootCA
from swarmd.state_dir import StateDir
from tests.cluster import RealNode, free_port, wait
from tests.fakes.cfssl import FakeCfssl, server_files, serving
from tests.unit.security.builders import node_of

NODE = Identity("n1", WORKER, "c1")


@pytest.fixture
def root() -> RootCA:
    return RootCA.create(time.time())


@pytest.fixture
def fake(root: RootCA, tmp_path: Path) -> Iterator[FakeCfssl]:
    with serving(FakeCfssl(root, time.time()), tmp_path) as fake:
        yield fake


def asks(root: RootCA, *urls: str, trusts: RootCA | None = None) -> ExternalCA:
    return ExternalCA(urls, (trusts or root).certificate_pem, node_of(root, time.time()))


def test_it_is_asked_for_the_nodes_own_subject_and_names(fake, root):
    chain = asks(root, fake.url).sign(new_request()[0], NODE)
    assert "CN=n1" in parse_chain(chain)[0].subject.rfc4514_string()
    (request,) = fake.requests
    assert ["swarm-worker", "n1"] == request["hosts"]
    assert {"CN": "n1", "names": [{"OU": "swarm-worker", "O": "c1"}]} == request["subject"]


def test_the_next_is_asked_where_one_does_not_answer(fake, root):
    dead = f"https://localhost:{free_port()}/sign"
    assert asks(root, dead, fake.url).sign(new_request()[0], NODE)


@pytest.mark.parametrize("mode", ["garbage", "error"])
def test_what_is_no_answer_is_to_be_tried_again(fake, root, mode):
    fake.mode = mode
    with pytest.raises(ExternalCAError, match="no external CA answers: https://localhost"):
        asks(root, fake.url).sign(new_request()[0], NODE)


def test_a_refusal_is_final(fake, root):
    fake.mode = "refuse"
    with pytest.raises(BadCertificateError, match=r"refused: .*policy"):
        asks(root, fake.url).sign(new_request()[0], NODE)


def test_one_of_another_root_is_not_trusted(fake, root):
    other = asks(root, fake.url, trusts=RootCA.create(time.time()))
    assert not other.answers(fake.url)
    with pytest.raises(ExternalCAError):
        other.sign(new_request()[0], NODE)


@pytest.mark.parametrize("url", ["http://localhost:1/", "ftp://x", "https://", "nonsense"])
def test_what_is_no_https_url_does_not_answer(root, url):
    assert not asks(root, url).answers(url)


def test_it_signs_the_next_root_too(fake, root):
    following = RootCA.create(time.time())
    made = asks(root, fake.url).cross_sign(following)
    chain = node_of(following, time.time()).certificate_pem + made
    check_chain(parse_chain(chain), parse_chain(root.certificate_pem))


@pytest.mark.parametrize(
    ("mode", "words"),
    [("no ca", "its profile CA needs"), ("another", "another root"), ("refuse", "refused")],
)
def test_what_is_no_intermediate_to_the_next_root_is_not_taken(fake, root, mode, words):
    fake.mode = mode
    with pytest.raises(BadCertificateError, match=words):
        asks(root, fake.url).cross_sign(RootCA.create(time.time()))


def started_with(root: RootCA, directory: Path, *options: str) -> RealNode:
    (directory / "ca.crt").write_bytes(root.certificate_pem)
    (directory / "ca.key").write_bytes(root.key_pem)
    return RealNode(
        f"--root-ca-cert={directory}/ca.crt", f"--root-ca-key={directory}/ca.key", *options
    )


def worker_of(node: RealNode) -> RealNode:
    (cluster,) = node.call("ListClusters", api.ListClustersRequest()).clusters
    token = cluster.root_ca.join_tokens.worker
    return RealNode(f"--join-addr={node.remote}", f"--join-token={token}")


def test_nodes_join_with_certificates_of_the_external_ca(fake, root, tmp_path):
    with started_with(root, tmp_path) as node:
        node.run()
        done = node.ctl("cluster", "update", f"--external-ca=protocol=cfssl,url={fake.url}")
        assert 0 == done.returncode, done.stderr
        with worker_of(node) as worker:
            worker.run()
            assert 1 == len(fake.requests)
            assert WORKER == NodeCertificates.load(StateDir(worker.state_dir)).identity.role


def test_one_that_nobody_answers_is_refused(root, tmp_path):
    with started_with(root, tmp_path) as node:
        node.run()
        url = f"https://localhost:{free_port()}/sign"
        done = node.ctl("cluster", "update", f"--external-ca=protocol=cfssl,url={url}")
        assert 1 == done.returncode
        assert "at least one valid, reachable external CA" in done.stderr


def test_a_join_waits_for_a_silent_one_and_says_so(fake, root, tmp_path):
    with started_with(root, tmp_path) as node:
        node.run()
        url = f"--external-ca=protocol=cfssl,url={fake.url}"
        assert 0 == node.ctl("cluster", "update", url).returncode
        fake.mode = "error"
        with worker_of(node) as worker:
            worker.spawn()

            def waiting() -> list[str]:
                nodes = node.call("ListNodes", api.ListNodesRequest()).nodes
                return [one.certificate.status.err for one in nodes if one.certificate.status.err]

            wait(waiting, "the node's status")
            assert "no external CA answers" in waiting()[0]
            assert "no external CA answers" in node.log
            fake.mode = "sign"
            wait(worker.is_ready, "ready")
            assert [] == waiting()


@contextlib.contextmanager
def cfssl_server(root: RootCA, directory: Path) -> Iterator[str]:
    """Debian's cfssl, as its own documentation starts it."""
    for name, content in (("ca.pem", root.certificate_pem), ("ca-key.pem", root.key_pem)):
        (directory / name).write_bytes(content)
    usages = ["signing", "key encipherment", "server auth", "client auth"]
    leaf = {"expiry": "24h", "backdate": "1h", "usages": usages}
    intermediate = {"expiry": "9000h", "usages": ["cert sign"], "ca_constraint": {"is_ca": True}}
    config = {"signing": {"default": leaf, "profiles": {"CA": intermediate}}}
    (directory / "config.json").write_text(json.dumps(config))
    certificate, key = server_files(root, directory, time.time())
    port = free_port()
    argv = ["cfssl", "serve", "-address=127.0.0.1", f"-port={port}", f"-ca={directory}/ca.pem"]
    argv += [f"-ca-key={directory}/ca-key.pem", f"-config={directory}/config.json"]
    argv += [f"-tls-cert={certificate}", f"-tls-key={key}", f"-mutual-tls-ca={directory}/ca.pem"]
    log = (directory / "cfssl.log").open("wb")
    with log, subprocess.Popen(argv, stdout=log, stderr=log, cwd=directory) as process:
        try:
            url = f"https://localhost:{port}/api/v1/cfssl/sign"
            wait(lambda: asks(root, url).answers(url), "cfssl")
            yield url
        finally:
            process.kill()


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("cfssl") is None, reason="Debian's golang-cfssl is not here")
def test_cfssl_itself_certifies_our_nodes(root, tmp_path):
    with cfssl_server(root, tmp_path) as url, started_with(root, tmp_path) as node:
        node.run()
        done = node.ctl("cluster", "update", f"--external-ca=protocol=cfssl,url={url}")
        assert 0 == done.returncode, done.stderr
        with worker_of(node) as worker:
            worker.run()
            shown = NodeCertificates.load(StateDir(worker.state_dir))
            assert WORKER == shown.identity.role
            assert 24 * 3600 == (shown.not_after - shown.not_before).total_seconds()


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("cfssl") is None, reason="Debian's golang-cfssl is not here")
def test_cfssl_itself_leads_a_cluster_that_has_not_its_own_roots_key_to_the_next(root, tmp_path):
    with cfssl_server(root, tmp_path) as url, started_with(root, tmp_path) as node:
        node.run()
        done = node.ctl("cluster", "update", f"--external-ca=protocol=cfssl,url={url}")
        assert 0 == done.returncode, done.stderr
        done = node.ctl("ca", "rotate", f"--ca-cert={tmp_path}/ca.crt")  # forgets the key
        assert 0 == done.returncode, done.stderr
        with worker_of(node) as worker:
            worker.run()
            done = node.ctl("ca", "rotate")
            assert 0 == done.returncode, done.stderr
            (cluster,) = node.call("ListClusters", api.ListClustersRequest()).clusters
            assert root.certificate_pem != cluster.root_ca.ca_cert
            assert "of 2 nodes have a new certificate" in done.stderr
