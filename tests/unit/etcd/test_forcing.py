"""--force-new-cluster: what it does before etcd runs, what it says, and what it refuses."""

from pathlib import Path

import pytest

from swarmd.api.protos.raftlog_pb2 import LogOwner
from swarmd.errors import CannotBootError
from swarmd.quorum_file import FORCED, QuorumFile
from swarmd.state_dir import StateDir
from tests.unit.migration.raft_files import LogWriter
from workers.etcd import unheard
from workers.etcd.forcing import quorum_at_start

FILE = QuorumFile(node_id="a", members={"a": "10.0.0.1:4242", "b": "10.0.0.2:4242", "c": ""})


@pytest.fixture
def place(tmp_path: Path) -> StateDir:
    place = StateDir(tmp_path)
    (place.etcd / "data/member/wal").mkdir(parents=True)
    FILE.save(place.quorum)
    return place


@pytest.fixture
def log(place: StateDir) -> LogWriter:
    """Three entries, of which this member has heard of one that it is committed."""
    log = LogWriter(
        place.etcd / "data/member/wal", LogOwner(member=7, cluster=1).SerializeToString()
    )
    log.segment(0)
    log.snapshot(0, 0)
    for index in (1, 2, 3):
        log.entry(index, b"x" * 700)
    log.state(1)
    log.preallocate(8192)
    return log


def test_it_says_who_is_gone_and_how_much_of_the_log_it_kept(place: StateDir, log: LogWriter):
    quorum, told = quorum_at_start(place, force=True)
    assert (FORCED, ["a"]) == (quorum.start, list(quorum.members))
    assert quorum == QuorumFile.load(place.quorum)
    assert {
        "forced": "to go on without b at 10.0.0.2:4242, c at ?; kept 2 entries of the log that it"
        " had not heard to be committed, up to 3"
    } == told
    assert [] == unheard.read(log.directory).unheard


def test_done_once_it_is_a_start_like_any_other(place: StateDir, log: LogWriter):
    quorum, _ = quorum_at_start(place, force=True)
    quorum.started().save(place.quorum)
    written = log.path.read_bytes()
    assert (quorum.started(), {}) == quorum_at_start(place, force=True)
    assert written == log.path.read_bytes()


def test_an_ordinary_start_leaves_the_log_alone(place: StateDir, log: LogWriter):
    written = log.path.read_bytes()
    assert (FILE, {}) == quorum_at_start(place, force=False)
    assert written == log.path.read_bytes()


def test_who_has_nothing_of_the_cluster_does_not_begin_an_empty_one(place: StateDir):
    with pytest.raises(CannotBootError, match=r"nothing of the cluster .* Take another one"):
        quorum_at_start(place, force=True)
    assert FILE == QuorumFile.load(place.quorum)


def test_a_damaged_log_is_named_and_nothing_is_changed(place: StateDir, log: LogWriter):
    written = bytearray(log.path.read_bytes())
    written[log.ends[3] + 200] ^= 1
    log.path.write_bytes(written)
    with pytest.raises(CannotBootError, match=f"{log.path}, at offset .* is damaged"):
        quorum_at_start(place, force=True)
    assert (FILE, bytes(written)) == (QuorumFile.load(place.quorum), log.path.read_bytes())
