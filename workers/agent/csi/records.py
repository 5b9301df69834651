"""A file for each volume that this node may have mounted; an agent that comes later unmounts it.

It is the assignment as it came, which names secrets and holds none.
"""

from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from swarmd import api
from swarmd.logs import fields, get_logger
from swarmd.state_dir import replace_file

_PRIVATE: Final = 0o700

log = get_logger(__name__)


def load(directory: Path) -> list[api.VolumeAssignment]:
    """All of them; one that cannot be read is left out, and the log says so."""
    found = []
    for path in sorted(directory.glob("*")) if directory.is_dir() else ():
        try:
            found.append(api.VolumeAssignment.FromString(path.read_bytes()))
        except (OSError, DecodeError) as error:
            log.warning("a volume's record is unreadable", extra=fields(file=path, reason=error))
    return found


def save(directory: Path, volume: api.VolumeAssignment) -> None:
    """On disk before this returns; raises OSError."""
    directory.mkdir(_PRIVATE, parents=True, exist_ok=True)
    replace_file(directory / volume.id, volume.SerializeToString())


def forget(directory: Path, volume_id: str) -> None:
    (directory / volume_id).unlink(missing_ok=True)
