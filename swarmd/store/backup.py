"""A whole cluster as the parts of a backup, and back: swarmd.v1's BackupPart, in their order.

The first part says what it is, the others have the objects, of our own kinds too. Versions are kept
as they are; what a restored cluster does with them is takeover.py's.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

import swarmd
from swarmd.api import defaults, times
from swarmd.api.protos.backup_pb2 import BackupInfo, BackupObject, BackupPart
from swarmd.errors import CannotBootError, FailedPreconditionError
from swarmd.security.sealed_parts import damaged
from swarmd.store import queries as by
from swarmd.store.backend import Row
from swarmd.store.store import Store
from swarmd.store.tables import ALL_KINDS, KIND_BY_NAME

_PART_BYTES: Final = 256 << 10
_PART_OBJECTS: Final = 500  # their messages are written within a millisecond or two


class Taken(NamedTuple):
    """One view of a store; what it refers to never changes, so it can be written down later."""

    info: BackupInfo
    objects: dict[str, list[Any]]
    """By kind."""


def take(store: Store, now: float) -> Taken:
    """Everything, as of now; raises FailedPreconditionError for a store without a cluster."""
    tx = store.view()
    clusters = tx.clusters.find(by.name(defaults.CLUSTER_NAME))
    if not clusters:
        raise FailedPreconditionError("there is no cluster here yet: nothing to back up")
    objects = {kind.name: getattr(tx, kind.table).find() for kind in ALL_KINDS}
    info = BackupInfo(
        cluster_id=clusters[0].id,
        taken_at=times.timestamp(now),
        version=store.version,
        swarmd_version=swarmd.__version__,
        counts={kind: len(some) for kind, some in objects.items()},
    )
    return Taken(info, objects)


def parts(taken: Taken) -> Iterator[BackupPart]:
    """All of it, a few hundred objects at a time; each takes a moment to make."""
    part = BackupPart(info=taken.info)
    size = 0
    for kind, one in ((kind, one) for kind, some in taken.objects.items() for one in some):
        if part.HasField("info") or size >= _PART_BYTES or len(part.objects) >= _PART_OBJECTS:
            yield part
            part, size = BackupPart(), 0
        data = one.SerializeToString()
        size += len(data)
        part.objects.append(
            BackupObject(kind=kind, id=one.id, version=one.meta.version.index, data=data)
        )
    yield part


class Unpacked(NamedTuple):
    """What a backup holds."""

    info: BackupInfo
    rows: list[Row]


def unpack(texts: Iterable[bytes], place: str) -> Unpacked:
    """What these parts hold; `place` is their file's name.

    Raises CorruptStateError where they are no whole backup, CannotBootError for kinds of object
    that a newer swarmd has.
    """
    found = [_part(text, place) for text in texts]
    if not found or not found[0].HasField("info"):
        raise damaged(place, "it does not say what it is")
    info, counts = found[0].info, dict.fromkeys(found[0].info.counts, 0)
    rows = []
    for one in (one for part in found for one in part.objects):
        if one.kind not in KIND_BY_NAME:
            raise CannotBootError(
                f"{place} was written by a newer swarmd ({info.swarmd_version}), and has objects "
                f"of a kind that this one does not know ({one.kind}): use that one"
            )
        counts[one.kind] = counts.get(one.kind, 0) + 1
        rows.append(Row(one.kind, one.id, one.version, one.data))
    if counts != dict(info.counts):
        raise damaged(place, "it does not have as many objects as it says")
    return Unpacked(info, rows)


def _part(text: bytes, place: str) -> BackupPart:
    try:
        return BackupPart.FromString(text)
    except DecodeError as error:
        raise damaged(place, "a part of it is no message") from error
