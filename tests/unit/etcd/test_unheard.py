"""A member's log is told that all of it is committed; what a crash leaves of that is no harm."""

import errno
import fcntl
import os
import struct
from pathlib import Path
from unittest.mock import Mock

import pytest

from swarmd.api.protos import raftpb_pb2 as raftpb
from swarmd.api.protos.raftlog_pb2 import LogOwner
from swarmd.store.etcd import wal
from tests.unit.migration.raft_files import ENTRY, LogWriter
from workers.etcd import unheard

OWNER = 7


@pytest.fixture
def log(tmp_path: Path) -> LogWriter:
    """Entries 1 to 4, of which the first two are known to be committed, and room for more."""
    writer = LogWriter(tmp_path, LogOwner(member=OWNER, cluster=1).SerializeToString())
    writer.segment(0)
    writer.snapshot(0, 0)
    for index in (1, 2, 3, 4):
        writer.entry(index, b"x" * 700)
    writer.state(2)
    writer.preallocate(16384)
    return writer


def removal(index: int, member: int) -> bytes:
    change = raftpb.ConfChange(type=raftpb.ConfChangeRemoveNode, node_id=member)
    entry = raftpb.Entry(
        Type=raftpb.EntryConfChange, Term=2, Index=index, Data=change.SerializeToString()
    )
    return entry.SerializeToString()


def committed(log: LogWriter) -> unheard.Log:
    unheard.commit_all(unheard.read(log.directory))
    return unheard.read(log.directory)


def test_what_it_has_not_heard_of_is_committed_and_followed_by_its_vote(log):
    before = unheard.read(log.directory)
    assert [3, 4] == [one.Index for one in before.unheard]
    after = committed(log)
    assert (5, []) == (after.state.commit, after.unheard)
    assert [b"x" * 700] * 4 == [after.entries[one].Data for one in (1, 2, 3, 4)]
    vote = raftpb.ConfChange.FromString(after.entries[5].Data)
    assert (raftpb.ConfChangeAddNode, OWNER) == (vote.type, vote.node_id)
    assert log.path.stat().st_size == 16384


def test_done_again_it_loses_nothing(log):
    committed(log)
    again = committed(log)
    assert (6, [1, 2, 3, 4, 5, 6]) == (again.state.commit, list(again.entries))


def test_its_own_removal_is_made_an_empty_entry_and_what_follows_stays(log):
    log.preallocate(log.ends[-1])
    log.record(ENTRY, removal(5, OWNER))
    log.record(ENTRY, removal(6, OWNER + 1))
    log.entry(7, b"after")
    after = committed(log)
    kinds = [after.entries[one].Type for one in (5, 6, 7)]
    assert [raftpb.EntryNormal, raftpb.EntryConfChange, raftpb.EntryNormal] == kinds
    assert (b"", b"after") == (after.entries[5].Data, after.entries[7].Data)
    assert 8 == after.state.commit


def test_a_torn_record_goes_and_is_not_taken_for_one_later(log):
    log.preallocate(log.ends[-1])
    whole = log.path.read_bytes()
    torn = wal.frame(wal.LogRecord(type=ENTRY, crc=1, data=b"y" * 3000))
    log.path.write_bytes(whole + torn[:600] + bytes(1024) + torn[1624:] + bytes(4096))
    assert unheard.read(log.directory).end.torn
    after = committed(log)
    assert (5, "") == (after.state.commit, after.end.torn)
    rest = log.path.read_bytes()[after.end.offset :]
    assert bytes(len(rest)) == rest


def test_cut_short_the_log_is_what_it_was(log, monkeypatch):
    found, before = unheard.read(log.directory), log.path.read_bytes()
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.EIO, "the disk is gone")))
    with pytest.raises(OSError, match="the disk is gone"):
        unheard.commit_all(found)
    assert before == log.path.read_bytes()


def test_entries_may_begin_in_an_earlier_file_than_the_newest(log):
    log.preallocate(log.ends[-1])
    log.segment(5)
    log.state(2)
    log.entry(5)
    assert [3, 4, 5] == [one.Index for one in unheard.read(log.directory).unheard]
    assert 6 == committed(log).state.commit


def test_what_another_leader_took_the_place_of_does_not_count(log):
    log.preallocate(log.ends[-1])
    log.entry(3, b"another", term=3)
    assert [(3, 3)] == [(one.Index, one.Term) for one in unheard.read(log.directory).unheard]
    after = committed(log)
    assert (4, 3) == (after.state.commit, after.state.term)


def test_what_is_older_than_a_snapshot_on_its_way_in_does_not_count(log):
    log.preallocate(log.ends[-1])
    log.snapshot(90, 2)
    assert 3 == committed(log).state.commit


def test_a_log_that_an_etcd_has_open_is_left_alone(log):
    found, before = unheard.read(log.directory), log.path.read_bytes()
    with log.path.open("r+b") as file:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        with pytest.raises(BlockingIOError):
            unheard.commit_all(found)
    assert before == log.path.read_bytes()


def test_damage_is_named(log):
    written = bytearray(log.path.read_bytes())
    written[log.ends[3] + 200] ^= 1
    log.path.write_bytes(written)
    with pytest.raises(wal.DamagedLogError, match=f"at offset {log.ends[3]}, is damaged"):
        unheard.read(log.directory)
