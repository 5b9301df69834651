"""The store of SwarmKit's manager: the newest snapshot, and what the log has behind it.

    raft/snap-v3-encrypted/<term>-<index>.snap     SnapshotFile, of raftpb.Snapshot, whose data are
                                                   sealed: SwarmKit's Snapshot
    raft/wal-v3-encrypted/                         the log (raft_log), whose entries are sealed too:
                                                   InternalRaftRequest, a list of changes

Every entry counts, also one that this member did not yet know to be committed: of an import there
is one manager, and nothing that was acknowledged may be missing.
"""

import fcntl
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError

from swarmd import api
from swarmd.api.protos import raftpb_pb2 as raftpb
from swarmd.api.protos.raftlog_pb2 import SnapshotFile
from swarmd.errors import CorruptStateError, FailedPreconditionError
from swarmd.migration.found import Remark
from swarmd.migration.raft_log import Position, damaged, read_log
from swarmd.migration.sealed_records import RecordOpener
from swarmd.security.encryption import NotOpenedError
from swarmd.store.etcd import crc32c
from swarmd.store.tables import KINDS

_LOG: Final = "wal-v3-encrypted"
_SNAPSHOTS: Final = "snap-v3-encrypted"
_TABLES: Final = {kind.name: kind.table for kind in KINDS}
_Action: Final = api.StoreActionKind
_M = TypeVar("_M", api.Snapshot, api.RaftMember, api.InternalRaftRequest, raftpb.ConfChange)
# struct flock: type, whence, start, length, pid
_FLOCK: Final = "hhqqi4x"


@dataclass(slots=True)
class RaftStore:
    """All objects as of one index of the log."""

    index: int = 0
    tables: dict[str, dict[str, Any]] = field(default_factory=lambda: {k.table: {} for k in KINDS})
    addresses: dict[str, str] = field(default_factory=dict)
    """Where each manager was reached, by node id."""
    remarks: list[Remark] = field(default_factory=list)

    def snapshot(self) -> api.StoreSnapshot:
        return api.StoreSnapshot(**{name: list(one.values()) for name, one in self.tables.items()})


def read_raft_directory(raft: Path, opener: RecordOpener, key_home: Path) -> RaftStore:
    """What is in there; `key_home` is the file that has the keys.

    Raises CorruptStateError, FailedPreconditionError for a directory that is in use or of a form
    that is not read, or OSError.
    """
    if not (raft / _LOG).is_dir():
        raise FailedPreconditionError(f"{raft / _LOG} is not there: this is no manager's store")
    refuse_in_use(raft / _LOG)
    found = RaftStore()
    start = _load_snapshot(raft / _SNAPSHOTS, found, opener, key_home)
    log = read_log(raft / _LOG, start)
    _meet(found, log.metadata, str(raft / _LOG))
    for entry in log.entries:
        place = f"{raft / _LOG}, entry {entry.Index},"
        data = _opened(entry.Data, opener, place, key_home)
        if entry.Type == raftpb.EntryNormal:
            _apply(found, data, place)
        else:
            _meet(found, _parsed(raftpb.ConfChange, data, place).context, place)
        found.index = entry.Index
    if log.torn:
        why = "was not whole, as after a crash: it was never acknowledged, and counts for nothing"
        found.remarks.append(Remark(log.torn, f"the last record {why}"))
    return found


def refuse_in_use(log: Path) -> None:
    """Raises FailedPreconditionError where a manager has its log open; takes no lock itself."""
    for path in sorted(log.glob("*.wal")):
        with path.open("rb") as file:
            asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            told = fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked)
        if struct.unpack(_FLOCK, told)[0] != fcntl.F_UNLCK:
            raise FailedPreconditionError(
                f"{path} is in use: the manager still runs. Stop it first (systemctl stop"
                " docker.service docker.socket), or import from its control socket: --from-socket"
            )


def _load_snapshot(
    directory: Path, found: RaftStore, opener: RecordOpener, key_home: Path
) -> Position:
    """The newest that is whole, as etcd does it; where there is none, the log has everything."""
    for path in sorted(directory.glob("*.snap"), reverse=True):
        try:
            snapshot = _snapshot_file(path)
        except CorruptStateError as error:
            found.remarks.append(Remark(str(path), f"passed over, an older one taken: {error}"))
            continue
        opened = _opened(snapshot.data, opener, str(path), key_home)
        store = _parsed(api.Snapshot, opened, str(path))
        if store.version != api.Snapshot.Version.V0:
            raise damaged(str(path), f"its version {store.version} is not known")
        for name, table in found.tables.items():
            table |= {one.id: one for one in getattr(store.store, name)}
        found.addresses |= {one.node_id: one.addr for one in store.membership.members}
        found.index = snapshot.metadata.index
        return Position(snapshot.metadata.index, snapshot.metadata.term)
    return Position(0, 0)


def _snapshot_file(path: Path) -> raftpb.Snapshot:
    try:
        file = SnapshotFile.FromString(path.read_bytes())
        if not file.data or crc32c.update(0, file.data) != file.crc:
            raise damaged(str(path), "its checksum is wrong")
        return raftpb.Snapshot.FromString(file.data)
    except DecodeError as error:
        raise damaged(str(path), "it cannot be read") from error


def _opened(sealed: bytes, opener: RecordOpener, place: str, key_home: Path) -> bytes:
    try:
        return opener.open(sealed)
    except NotOpenedError as error:
        if not error.wrong_key:
            raise damaged(place, str(error)) from error
        raise CorruptStateError(
            f"{place} does not open with the data key in {key_home}: they come from different"
            " managers or times, or it was tampered with. Take both from the same copy"
        ) from error


def _parsed(kind: type[_M], data: bytes, place: str) -> _M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise damaged(place, "what is sealed in it cannot be read") from error


def _meet(found: RaftStore, data: bytes, place: str) -> None:
    """A manager, as the log introduces it; one that leaves has no such words."""
    member = _parsed(api.RaftMember, data, place)
    if member.addr:
        found.addresses[member.node_id] = member.addr


def _apply(found: RaftStore, data: bytes, place: str) -> None:
    request = _parsed(api.InternalRaftRequest, data, place)
    for action in request.action:
        kind = action.WhichOneof("target")
        if kind is None:
            what = "changes an object of a kind that is not known here: left out"
            found.remarks.append(Remark(place, what))
            continue
        one, table = getattr(action, kind), found.tables[_TABLES[kind]]
        if action.action == _Action.STORE_ACTION_REMOVE:
            table.pop(one.id, None)
        else:
            table[one.id] = one
