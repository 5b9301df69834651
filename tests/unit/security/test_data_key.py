"""The data key in the key file's headers: made once, sealed with the file, never lost."""

import stat

import pytest

from swarmd.errors import CorruptStateError
from swarmd.security import data_key, key_file, unlock_key
from swarmd.security.data_key import DataKeys, finish, lock, open_data_keys
from swarmd.security.key_file import LockedError
from swarmd.security.root_ca import RootCA
from swarmd.state_dir import StateDir
from tests.unit.security.builders import node_of

FIRST, SECOND = b"1" * 32, b"2" * 32
NOW = 1_800_000_000.0


@pytest.fixture
def state_dir(tmp_path):
    state_dir = StateDir(tmp_path)
    state_dir.make()
    return state_dir


@pytest.fixture
def path(state_dir):
    return state_dir.node_key


def forget(path):
    """As another process would find the file."""
    unlock_key.remember(path, b"")


def test_a_key_file_is_made_with_its_data_key(path):
    keys = open_data_keys(path)
    assert (32, b"") == (len(keys.current), keys.pending)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert "-----BEGIN PRIVATE KEY-----\nkek-version: 0\nraft-dek: " in path.read_text()


def test_it_stays_the_same(path):
    assert open_data_keys(path) == open_data_keys(path)


def test_a_key_without_one_gets_one_and_stays(state_dir, path):
    node = node_of(RootCA.create(NOW), NOW)
    node.save(state_dir)
    keys = open_data_keys(path)
    assert node.key_pem == key_file.read(path).pem
    assert keys == open_data_keys(path)


def test_a_new_certificate_keeps_it(state_dir, path):
    keys = open_data_keys(path)
    node_of(RootCA.create(NOW), NOW).save(state_dir)
    assert keys == open_data_keys(path)


def test_locking_seals_all_and_asks_for_a_new_data_key(path):
    keys, pem = open_data_keys(path), key_file.read(path).pem
    locked = lock(path, FIRST, 7)
    assert keys.current == locked.current
    assert locked.pending not in (b"", keys.current)
    text = path.read_text()
    assert "-----BEGIN ENCRYPTED PRIVATE KEY-----\nkek-version: 7\n" in text
    forget(path)
    with pytest.raises(LockedError, match="is locked"):
        open_data_keys(path)
    key_file.unlock(path, FIRST)
    assert (locked, pem) == (open_data_keys(path), key_file.read(path).pem)


def test_a_finished_change_leaves_the_new_data_key_alone(path):
    open_data_keys(path)
    pending = lock(path, FIRST, 7).pending
    finish(path)
    assert DataKeys(pending) == open_data_keys(path)
    finish(path)
    assert DataKeys(pending) == open_data_keys(path)


def test_another_unlock_key_keeps_the_data_key(path):
    open_data_keys(path)
    lock(path, FIRST, 7)
    finish(path)
    keys = open_data_keys(path)
    assert keys == lock(path, SECOND, 8)
    forget(path)
    with pytest.raises(LockedError, match="wrong unlock key"):
        key_file.unlock(path, FIRST)
    key_file.unlock(path, SECOND)
    assert keys == open_data_keys(path)


def test_an_older_version_changes_nothing(path):
    open_data_keys(path)
    lock(path, SECOND, 8)
    before = path.read_bytes()
    lock(path, FIRST, 7)
    assert before == path.read_bytes()


def test_unlocking_for_good_opens_the_file_to_all(path):
    open_data_keys(path)
    lock(path, FIRST, 7)
    finish(path)
    keys = open_data_keys(path)
    lock(path, b"", 9)
    forget(path)
    assert keys == open_data_keys(path)
    assert "BEGIN PRIVATE KEY" in path.read_text()


def test_a_new_certificate_of_a_locked_node_is_locked(state_dir, path):
    open_data_keys(path)
    lock(path, FIRST, 7)
    node = node_of(RootCA.create(NOW), NOW)
    node.save(state_dir)
    assert key_file.is_sealed(path)
    assert node.key_pem == key_file.read(path).pem


def test_a_needless_unlock_key_locks_nothing(state_dir, path):
    open_data_keys(path)
    key_file.unlock(path, FIRST)
    node_of(RootCA.create(NOW), NOW).save(state_dir)
    assert not key_file.is_sealed(path)


@pytest.mark.parametrize("header", ["", "garbage", "EgE=", "CAESAXg="])
def test_a_header_that_is_none_is_named(path, header):
    found = key_file.KeyFile(open_data_keys(path) and key_file.read(path).pem, {})
    key_file.write(path, found.pem, {"raft-dek": header})
    with pytest.raises(CorruptStateError, match=r"swarm-node\.key .* raft-dek"):
        open_data_keys(path)


def test_swarmkits_header_in_the_clear_is_read(path):
    """base64 of the record that Go writes: field 2, 32 bytes."""
    pem = open_data_keys(path) and key_file.read(path).pem
    header = "EiBBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ=="
    key_file.write(path, pem, {"raft-dek": header})
    assert DataKeys(b"A" * 32) == data_key.open_data_keys(path)
