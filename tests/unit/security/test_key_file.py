"""The node key's file: SwarmKit's headers are kept, and kept away from TLS libraries."""

import stat

import pytest

from swarmd.errors import CorruptStateError
from swarmd.security import key_file
from swarmd.security.certificates import new_request
from swarmd.security.key_file import LockedError

SEALED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
kek-version: 7

MIGH
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "certificates" / "swarm-node.key"


@pytest.fixture(autouse=True)
def _directory(path):
    path.parent.mkdir()


def test_the_key_comes_back_without_its_headers(path):
    _, key = new_request()
    key_file.write(path, key, {"raft-dek": "abc=", "kek-version": "0"})
    found = key_file.read(path)
    assert key == found.pem
    assert {"kek-version": "0", "raft-dek": "abc="} == found.headers


def test_the_file_has_the_headers_in_order_before_the_key(path):
    _, key = new_request()
    key_file.write(path, key, {"raft-dek": "abc=", "kek-version": "0"})
    lines = path.read_text().splitlines()
    assert ["-----BEGIN PRIVATE KEY-----", "kek-version: 0", "raft-dek: abc=", ""] == lines[:4]
    assert key.decode().splitlines()[1:] == lines[4:]


def test_the_file_is_readable_by_its_owner_alone(path):
    key_file.write(path, new_request()[1], {})
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_a_first_key_has_swarmkits_first_header(path):
    assert {"kek-version": "0"} == key_file.headers(path)


def test_a_sealed_key_asks_for_its_unlock_key(path):
    path.write_text(SEALED)
    with pytest.raises(LockedError, match="is locked: unlock this node"):
        key_file.read(path)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\n"]
)
def test_garbage_names_the_file_and_the_ways_out(path, content):
    path.write_bytes(content)
    with pytest.raises(CorruptStateError) as caught:
        key_file.read(path)
    assert str(path) in str(caught.value)
    assert "backup" in str(caught.value)


def test_a_missing_file_is_named(path):
    with pytest.raises(CorruptStateError, match=r"swarm-node\.key cannot be used: it is missing"):
        key_file.read(path)


def test_a_file_that_may_not_be_read_is_named(path):
    path.mkdir()
    with pytest.raises(CorruptStateError, match=r"swarm-node\.key cannot be read"):
        key_file.read(path)
