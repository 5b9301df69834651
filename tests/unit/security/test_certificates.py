"""A node's three files: what is saved loads again, what does not fit is named."""

import stat

import pytest

from swarmd.errors import CorruptStateError
from swarmd.security import certificates as module
from swarmd.security import key_file
from swarmd.security.certificates import NodeCertificates
from swarmd.security.root_ca import RootCA
from swarmd.state_dir import StateDir
from tests.fakes.clock import START
from tests.unit.security.builders import node_of


@pytest.fixture
def state_dir(tmp_path):
    state_dir = StateDir(tmp_path)
    state_dir.make()
    return state_dir


@pytest.fixture(scope="module")
def root():
    return RootCA.create(START)


def test_what_was_saved_is_loaded(state_dir, root):
    node = node_of(root, START)
    node.save(state_dir)
    assert node == NodeCertificates.load(state_dir)


def test_the_key_is_private_and_the_certificates_are_not(state_dir, root):
    node_of(root, START).save(state_dir)
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (state_dir.node_key, state_dir.node_certificate, state_dir.root_ca)
    ]
    assert [0o600, 0o644, 0o644] == modes


def test_saving_again_keeps_the_headers_of_the_key(state_dir, root):
    node_of(root, START).save(state_dir)
    key_file.write(state_dir.node_key, key_file.read(state_dir.node_key).pem, {"raft-dek": "x"})
    node_of(root, START).save(state_dir)
    assert {"raft-dek": "x"} == key_file.read(state_dir.node_key).headers


def test_expiry_is_told_and_does_not_stop_loading(state_dir, root):
    node = node_of(root, START)
    node.save(state_dir)
    assert not node.expired(START)
    assert NodeCertificates.load(state_dir).expired(START + 2161 * 3600)


@pytest.mark.parametrize("name", ["root_ca", "node_certificate", "node_key"])
@pytest.mark.parametrize("content", [None, b"", b"garbage"], ids=["missing", "empty", "garbage"])
def test_an_unusable_file_is_named_with_the_ways_out(state_dir, root, name, content):
    node_of(root, START).save(state_dir)
    path = getattr(state_dir, name)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(CorruptStateError) as caught:
        NodeCertificates.load(state_dir)
    assert str(caught.value).startswith(f"{path} cannot be used: ")
    assert "backup" in str(caught.value)


def test_a_key_of_another_certificate_is_named(state_dir, root):
    node_of(root, START).save(state_dir)
    key_file.write(state_dir.node_key, node_of(root, START).key_pem, {})
    with pytest.raises(CorruptStateError, match=r"swarm-node\.key cannot be used: it does not"):
        NodeCertificates.load(state_dir)


def test_a_certificate_of_another_root_is_named(state_dir, root):
    node_of(root, START).save(state_dir)
    state_dir.root_ca.write_bytes(RootCA.create(START).certificate_pem)
    with pytest.raises(CorruptStateError, match=r"swarm-node\.crt cannot be used: it was not sig"):
        NodeCertificates.load(state_dir)


def test_a_certificate_of_no_node_is_named(state_dir, root):
    node_of(root, START).save(state_dir)
    state_dir.node_certificate.write_bytes(root.certificate_pem)
    with pytest.raises(CorruptStateError, match=r"swarm-node\.crt .* not a node certificate"):
        NodeCertificates.load(state_dir)


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("writes", range(4))
def test_a_save_cut_anywhere_leaves_the_old_or_the_new_certificate(
    state_dir, root, monkeypatch, writes
):
    old, new = node_of(root, START), node_of(root, START)
    old.save(state_dir)
    left = iter(range(writes))
    real = module.replace_file

    def replace_file(path, data, mode=0o600):
        if next(left, None) is None:
            raise Crash
        real(path, data, mode)

    monkeypatch.setattr(module, "replace_file", replace_file)
    monkeypatch.setattr(key_file, "replace_file", replace_file)
    monkeypatch.setattr(module.Path, "replace", crash_on(state_dir.node_certificate))
    with pytest.raises(Crash):
        new.save(state_dir)
    monkeypatch.undo()
    assert (new if writes == 3 else old) == NodeCertificates.load(state_dir)


def crash_on(place):
    real = module.Path.replace

    def replace(self, target):
        if target == place:
            raise Crash
        return real(self, target)

    return replace
