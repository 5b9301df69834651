"""etcd's log: what is read of it, what a crash may leave, and what is damage."""

import contextlib
import random

import pytest

from swarmd.errors import CorruptStateError
from swarmd.migration.raft_log import Position, RaftLog, read_log
from swarmd.store.etcd import crc32c
from tests.unit.migration.raft_files import LogWriter

START = Position(0, 0)


@pytest.fixture
def log(tmp_path):
    """Three entries, and room for more."""
    writer = LogWriter(tmp_path)
    writer.segment(0)
    writer.snapshot(0, 0)
    for index in (1, 2, 3):
        writer.entry(index, b"x" * 700)
    writer.state(2)
    writer.preallocate(16384)
    return writer


def indexes(log: RaftLog) -> list[int]:
    return [entry.Index for entry in log.entries]


def flip(log: LogWriter, offset: int) -> None:
    with log.path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def blank(log: LogWriter, begin: int, end: int) -> None:
    with log.path.open("r+b") as file:
        file.seek(begin)
        file.write(bytes(end - begin))


def test_the_checksum_is_castagnolis():
    assert 0xE3069283 == crc32c.update(0, b"123456789")
    assert 0 == crc32c.update(0, b"")


def test_a_checksum_goes_on_from_any_place():
    data = random.Random(1).randbytes(501)
    whole = crc32c.update(0, data)
    assert {whole} == {crc32c.update(crc32c.update(0, data[:n]), data[n:]) for n in range(501)}


def test_every_entry_is_read(log):
    found = read_log(log.directory, START)
    assert [1, 2, 3] == indexes(found)
    assert (2, "") == (found.committed, found.torn)


def test_it_begins_behind_the_snapshot(log):
    log.preallocate(log.ends[-1])
    log.snapshot(2, 2)
    assert [3] == indexes(read_log(log.directory, Position(2, 2)))


def test_segments_follow_one_another(log):
    log.preallocate(log.ends[-1])
    log.segment(4)
    log.entry(4)
    assert [1, 2, 3, 4] == indexes(read_log(log.directory, START))


def test_segments_before_the_snapshot_are_not_needed(log):
    first = log.path
    log.preallocate(log.ends[-1])
    log.segment(4)
    log.snapshot(4, 2)
    log.entry(5)
    first.unlink()
    assert [5] == indexes(read_log(log.directory, Position(4, 2)))


def test_a_later_entry_takes_the_place_of_that_one_and_all_behind_it(log):
    log.preallocate(log.ends[-1])
    log.entry(2, b"another", term=3)
    found = read_log(log.directory, START)
    assert [(1, 2), (2, 3)] == [(entry.Index, entry.Term) for entry in found.entries]


def test_a_last_record_that_the_file_cuts_off_counts_for_nothing(log):
    log.preallocate(log.ends[-2] - 100)
    found = read_log(log.directory, START)
    assert [1, 2] == indexes(found)
    cut = log.ends[-2] - 100 - log.ends[-3]
    assert f"{log.path}, at offset {log.ends[-3]} ({cut} bytes)" == found.torn


def test_a_last_record_with_a_sector_that_was_never_written_counts_for_nothing(log):
    begin = log.ends[-3]
    blank(log, -(-(begin + 8) // 512) * 512, 16384)
    found = read_log(log.directory, START)
    assert [1, 2] == indexes(found)
    assert found.torn


@pytest.mark.parametrize("which", [2, 3, 4])
def test_a_byte_that_changed_is_damage_and_its_place_is_named(log, which):
    flip(log, log.ends[which] + 200)
    with pytest.raises(CorruptStateError, match=f"at offset {log.ends[which]}, is damaged"):
        read_log(log.directory, START)


def test_a_torn_record_is_damage_where_the_log_goes_on(log):
    log.preallocate(log.ends[-2] - 100)
    log.segment(4)
    with pytest.raises(CorruptStateError, match="not the end of the log"):
        read_log(log.directory, START)


def test_segments_of_another_log_are_damage(log):
    log.preallocate(log.ends[-1])
    log.crc ^= 1
    log.segment(4)
    with pytest.raises(CorruptStateError, match="do not follow one another"):
        read_log(log.directory, START)


def test_a_missing_segment_is_damage(log):
    for first_index in (4, 5):
        log.preallocate(log.ends[-1])
        log.segment(first_index)
        log.entry(first_index)
    (log.directory / f"{1:016x}-{4:016x}.wal").unlink()
    with pytest.raises(CorruptStateError, match="files are missing before"):
        read_log(log.directory, START)


def test_a_missing_entry_is_damage(log):
    log.preallocate(log.ends[-1])
    log.entry(5)
    with pytest.raises(CorruptStateError, match="entries are missing before index 5"):
        read_log(log.directory, START)


def test_a_log_that_does_not_know_the_snapshot_is_damage(log):
    with pytest.raises(CorruptStateError, match="does not know the snapshot of index 3"):
        read_log(log.directory, Position(3, 2))


def test_a_directory_without_a_log_is_damage(tmp_path):
    with pytest.raises(CorruptStateError, match="no file of it has the entries"):
        read_log(tmp_path, START)


def test_whatever_is_cut_off_or_changed_reads_or_is_refused(log):
    """Never another error, and never an entry that was not written."""
    chance, whole = random.Random(7), log.path.read_bytes()[: log.ends[-1]]
    for _ in range(300):
        data = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(3)):
            if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        log.path.write_bytes(data)
        with contextlib.suppress(CorruptStateError):
            found = read_log(log.directory, START)
            assert {b"x" * 700} >= {entry.Data for entry in found.entries}
            assert list(range(1, len(found.entries) + 1)) == indexes(found)
