"""Writes what SwarmKit's manager has on disk, by etcd's rules."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from nacl.secret import SecretBox

from swarmd import api
from swarmd.api.protos import raftpb_pb2 as raftpb
from swarmd.api.protos.raftlog_pb2 import LogHardState, LogRecord, LogSnapshot, SnapshotFile
from swarmd.store.etcd import crc32c, wal

KEY = b"k" * 32
OWNER = api.RaftMember(raft_id=1, node_id="n1", addr="h:1").SerializeToString()
METADATA, ENTRY, STATE, CHECKSUM, SNAPSHOT = range(1, 6)


class LogWriter:
    """A log, segment by segment; `ends` has the offset behind each record of the last."""

    def __init__(self, directory: Path, owner: bytes = OWNER) -> None:
        self.directory = directory
        self.owner = owner
        self.crc = 0
        self.path = directory
        self.ends: list[int] = []
        self._segments = 0

    def segment(self, first_index: int) -> None:
        self.path = self.directory / f"{self._segments:016x}-{first_index:016x}.wal"
        self._segments += 1
        self.path.touch()
        self.ends = []
        self._frame(LogRecord(type=CHECKSUM, crc=self.crc))
        self.record(METADATA, self.owner)

    def record(self, kind: int, data: bytes) -> None:
        self.crc = crc32c.update(self.crc, data)
        self._frame(LogRecord(type=kind, crc=self.crc, data=data))

    def entry(self, index: int, data: bytes = b"", term: int = 2) -> None:
        entry = raftpb.Entry(Type=raftpb.EntryNormal, Term=term, Index=index, Data=data)
        self.record(ENTRY, entry.SerializeToString())

    def snapshot(self, index: int, term: int) -> None:
        self.record(SNAPSHOT, LogSnapshot(index=index, term=term).SerializeToString())

    def state(self, commit: int) -> None:
        self.record(STATE, LogHardState(term=2, vote=1, commit=commit).SerializeToString())

    def preallocate(self, size: int) -> None:
        """What follows the last record: zeros."""
        with self.path.open("r+b") as file:
            file.truncate(size)

    def _frame(self, record: LogRecord) -> None:
        with self.path.open("ab") as file:
            file.write(wal.frame(record))
            self.ends.append(file.tell())


def sealed(data: bytes, key: bytes = KEY) -> bytes:
    made = SecretBox(key).encrypt(data)
    return api.MaybeEncryptedRecord(
        algorithm=api.MaybeEncryptedRecord.Algorithm.SECRETBOX_SALSA20_POLY1305,
        data=made.ciphertext,
        nonce=made.nonce,
    ).SerializeToString()


def change(kind: api.StoreActionKind, *objects: object) -> bytes:
    """An entry's data, in the clear: the same done to each of these."""
    actions = [api.StoreAction(action=kind, **{type(one).__name__.lower(): one}) for one in objects]
    return api.InternalRaftRequest(id=1, action=actions).SerializeToString()


def write_snapshot(directory: Path, index: int, objects: Iterable[api.Service]) -> Path:
    store = api.StoreSnapshot(services=objects)
    data = sealed(api.Snapshot(store=store).SerializeToString())
    metadata = raftpb.SnapshotMetadata(index=index, term=2)
    inner = raftpb.Snapshot(data=data, metadata=metadata).SerializeToString()
    file = SnapshotFile(crc=crc32c.update(0, inner), data=inner)
    path = directory / f"{2:016x}-{index:016x}.snap"
    path.write_bytes(file.SerializeToString())
    return path


def names(services: Sequence[api.Service]) -> list[str]:
    return sorted(one.spec.annotations.name for one in services)
