"""The store of SwarmKit's manager: snapshot, log, keys."""

import base64
import fcntl
import os
import struct

import pytest
from cryptography.fernet import Fernet

from swarmd import api
from swarmd.errors import CorruptStateError, FailedPreconditionError
from swarmd.migration.raft_directory import read_raft_directory
from swarmd.migration.sealed_records import RecordOpener
from tests import builders
from tests.unit.migration.raft_files import (
    KEY,
    LogWriter,
    change,
    names,
    sealed,
    write_snapshot,
)

CREATE, UPDATE, REMOVE = (
    api.StoreActionKind.STORE_ACTION_CREATE,
    api.StoreActionKind.STORE_ACTION_UPDATE,
    api.StoreActionKind.STORE_ACTION_REMOVE,
)


@pytest.fixture
def log(tmp_path):
    for name in ("wal-v3-encrypted", "snap-v3-encrypted"):
        (tmp_path / name).mkdir()
    writer = LogWriter(tmp_path / "wal-v3-encrypted")
    writer.segment(0)
    writer.snapshot(0, 0)
    return writer


def read(log, *keys: bytes):
    raft = log.directory.parent
    return read_raft_directory(raft, RecordOpener(keys or [KEY]), raft / "its.key")


def services(log, *keys: bytes) -> list[str]:
    return names(read(log, *keys).snapshot().services)


def test_changes_are_made_in_their_order(log):
    web, box = builders.service("web"), builders.service("box")
    log.entry(1, sealed(change(CREATE, web, box)))
    web.spec.annotations.name = "webs"
    log.entry(2, sealed(change(UPDATE, web)))
    log.entry(3, sealed(change(REMOVE, box)))
    assert ["webs"] == services(log)


def test_an_entry_that_was_not_known_to_be_committed_counts(log):
    log.entry(1, sealed(change(CREATE, builders.service("web"))))
    log.state(0)
    assert ["web"] == services(log)


def test_a_leaders_empty_entry_changes_nothing(log):
    log.entry(1, sealed(b""))
    found = read(log)
    assert (1, {"n1": "h:1"}) == (found.index, found.addresses)


def test_the_log_goes_on_from_the_newest_snapshot(log):
    web, box = builders.service("web"), builders.service("box")
    for index in (1, 2):
        log.entry(index, sealed(change(CREATE, builders.service("long-gone"))))
        log.snapshot(index, 2)
        write_snapshot(log.directory.parent / "snap-v3-encrypted", index, [web])
    log.entry(3, sealed(change(CREATE, box)))
    assert ["box", "web"] == services(log)


def test_a_damaged_snapshot_is_passed_over_and_named(log):
    directory = log.directory.parent / "snap-v3-encrypted"
    log.snapshot(1, 2)
    log.entry(1, sealed(b""))
    write_snapshot(directory, 1, [builders.service("web")])
    log.entry(2, sealed(change(CREATE, builders.service("box"))))
    log.snapshot(2, 2)
    damaged = write_snapshot(directory, 2, [])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found = read(log)
    assert ["box", "web"] == names(found.snapshot().services)
    assert [str(damaged)] == [remark.about for remark in found.remarks]


def test_a_torn_end_is_named(log):
    log.entry(1, sealed(b""))
    log.entry(2, sealed(b""))
    log.preallocate(log.ends[-1] - 8)
    (remark,) = read(log).remarks
    assert "the last record was not whole" in remark.what


def test_while_the_data_key_changes_either_opens(log):
    log.entry(1, sealed(change(CREATE, builders.service("web"))))
    log.entry(2, sealed(change(CREATE, builders.service("box")), b"n" * 32))
    assert ["box", "web"] == services(log, b"n" * 32, KEY)


def test_fernet_is_read_too(log):
    data = change(CREATE, builders.service("web"))
    record = api.MaybeEncryptedRecord(
        algorithm=api.MaybeEncryptedRecord.Algorithm.FERNET_AES_128_CBC,
        data=Fernet(base64.urlsafe_b64encode(KEY)).encrypt(data),
    )
    log.entry(1, record.SerializeToString())
    assert ["web"] == services(log)


def test_another_key_is_told_from_damage(log):
    log.entry(1, sealed(b""))
    with pytest.raises(
        CorruptStateError, match=r"entry 1, does not open with the data key in .*its\.key"
    ):
        read(log, b"x" * 32)


def test_what_is_in_the_clear_is_damage(log):
    log.entry(1, api.MaybeEncryptedRecord(data=b"{}").SerializeToString())
    with pytest.raises(CorruptStateError, match="unknown form 0"):
        read(log)


def test_a_change_of_an_unknown_kind_is_named(log):
    action = api.StoreAction(action=CREATE)
    action.MergeFromString(b"\x9a\x06\x00")  # a field 99 of a later version
    log.entry(1, sealed(api.InternalRaftRequest(action=[action]).SerializeToString()))
    (remark,) = read(log).remarks
    assert "of a kind that is not known here" in remark.what


def test_a_log_that_is_open_elsewhere_is_refused(log):
    with log.path.open("r+b") as file:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        with pytest.raises(FailedPreconditionError, match="the manager still runs"):
            read(log)
    assert [] == services(log)


def test_a_directory_without_a_log_is_refused(tmp_path):
    with pytest.raises(FailedPreconditionError, match="no manager's store"):
        read_raft_directory(tmp_path, RecordOpener([KEY]), tmp_path / "its.key")
