"""etcd/quorum.json: which managers keep the store together, and where each is found.

    {"node_id": "…", "members": {"<node id>": "10.0.0.5:4242", …}, "start": "existing"}

The manager worker writes it, the etcd worker reads it, and reads it again when a member is to be
reached: an address that changed is used from then on. Without the file there is no etcd.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from swarmd.errors import CorruptStateError
from swarmd.state_dir import replace_file

MOVING: Final = "moving"  # this member is the first, and not all of the store is there yet
EXISTING: Final = "existing"  # this member was added by the others
FORCED: Final = "forced"  # this member goes on alone: the others are lost
_STARTS: Final = (MOVING, EXISTING, FORCED)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumFile:
    """What one member knows; `start` says how its data directory comes to be, or goes on."""

    node_id: str
    members: Mapping[str, str]
    start: str = EXISTING
    forced: bool = False  # since the last start without --force-new-cluster

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """What the file says, None where there is none; raises CorruptStateError."""
        try:
            record = json.loads(path.read_bytes())
            return cls._of(record)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            message = (
                f"{path} does not say which managers keep the store ({error!r}); nothing was "
                "changed: put back a copy of it, or remove this manager and have it join again"
            )
            raise CorruptStateError(message) from error

    def save(self, path: Path) -> None:
        """Replace the file; raises OSError."""
        replace_file(path, json.dumps({**asdict(self), "members": dict(self.members)}).encode())

    def started(self) -> Self:
        """The same, once the store is whole."""
        return replace(self, start=EXISTING)

    def at_start(self, *, force: bool) -> Self:
        """The same for a start that was told to go on alone, or not.

        Told so again it stays as it is, with those that joined meanwhile: that is a crash, and not
        another disaster. A start without the option makes room for the next one.
        """
        if force and not self.forced and self.start != MOVING:  # that one is alone anyway
            alone = {self.node_id: self.members.get(self.node_id, "")}
            return replace(self, members=alone, start=FORCED, forced=True)
        return replace(self, forced=force)

    @classmethod
    def _of(cls, record: Mapping[str, Any]) -> Self:
        node_id, members, start = record["node_id"], dict(record["members"]), record["start"]
        texts = (node_id, *members, *members.values())
        if start not in _STARTS or not all(isinstance(text, str) for text in texts):
            raise ValueError(record)
        forced = record.get("forced", False) is True
        return cls(node_id=node_id, members=members, start=start, forced=forced)


def change(path: Path, how: Callable[[QuorumFile], QuorumFile]) -> QuorumFile | None:
    """What the file says then; None where there is none, and nothing happens.

    The manager worker and the etcd worker both do so, each as it starts, and one waits for the
    other. Blocks; raises CorruptStateError or OSError.
    """
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        found = QuorumFile.load(path)
        changed = how(found) if found is not None else None
        if changed is not None and changed != found:
            changed.save(path)
        return changed
    finally:
        os.close(directory)


def is_shared(path: Path) -> bool:
    """Whether the store is in etcd, by this file; not where its move there was cut short.

    A file that cannot be read says yes: who needs what is in it refuses it.
    """
    try:
        found = QuorumFile.load(path)
    except (CorruptStateError, OSError):
        return True
    return found is not None and found.start != MOVING


def discard(directory: Path) -> None:
    """Be of no quorum, from one moment to the next, and remove what was there; raises OSError.

    An etcd that still runs there goes on in what is being removed, and nobody meets it any more.
    It takes no room on the disk, which may be full.
    """
    names = (directory.with_name(f"{directory.name}.gone.{number}") for number in count())
    with contextlib.suppress(FileNotFoundError):
        directory.rename(next(name for name in names if not name.exists()))
    sweep(directory)


def sweep(directory: Path) -> None:
    """Remove what is left of discarded ones; what an etcd still writes there goes the next time."""
    for left in directory.parent.glob(f"{directory.name}.gone.*"):
        shutil.rmtree(left, ignore_errors=True)
