"""The state directory of SwarmKit's manager, Docker's /var/lib/docker/swarm among them, at rest.

Nothing in it is changed: not even a lock is taken.
"""

import base64
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from swarmd.errors import CorruptStateError, FailedPreconditionError
from swarmd.migration.found import Found
from swarmd.migration.raft_directory import read_raft_directory
from swarmd.migration.raft_log import damaged
from swarmd.migration.sealed_records import RecordOpener
from swarmd.security import key_file, unlock_key
from swarmd.security.certificates import BadCertificateError, NodeCertificates
from swarmd.security.encryption import NotOpenedError
from swarmd.security.identity import MANAGER
from swarmd.state_dir import StateDir

_CURRENT: Final = "raft-dek"
_PENDING: Final = "raft-dek-pending"


def read_stopped(directory: Path, ask_unlock_key: Callable[[], bytes]) -> Found:
    """All that is there; `ask_unlock_key` is called where the manager is locked.

    Raises SwarmError, with a sentence for people, or OSError.
    """
    place = StateDir(directory)
    raft = directory / "raft"
    if not raft.is_dir():
        raise FailedPreconditionError(
            f"{directory} is not the state directory of SwarmKit's manager: it has no raft/ in it"
            " (a worker has no store; Docker's is /var/lib/docker/swarm)"
        )
    if key_file.is_sealed(place.node_key):
        key_file.unlock(place.node_key, ask_unlock_key())
    key = unlock_key.remembered(place.node_key)
    found = key_file.read(place.node_key)
    certificates = _certificates(place, found.pem)
    opener = RecordOpener(_data_keys(place.node_key, found.headers, key))
    raft_store = read_raft_directory(raft, opener, place.node_key)
    return Found(
        place=f"{directory}, as of entry {raft_store.index}",
        store=raft_store.snapshot(),
        certificates=certificates,
        unlock_key=key,
        kek_version=found.headers.get(key_file.KEK_VERSION, "0"),
        advertised=raft_store.addresses.get(certificates.identity.node_id, ""),
        remarks=raft_store.remarks,
    )


def _data_keys(path: Path, headers: Mapping[str, str], key: bytes) -> list[bytes]:
    """The newest first; the headers' records are in the clear where the file is."""
    opener = RecordOpener([key] if key else [])
    found = []
    for name in (_PENDING, _CURRENT):
        if name not in headers:
            continue
        try:
            sealed = base64.b64decode(headers[name], validate=True)
            found.append(opener.open(sealed, clear=not key))
        except (ValueError, NotOpenedError) as error:
            raise key_file.corrupt(path, f"its header {name} cannot be read") from error
    if not found:
        raise FailedPreconditionError(f"{path} has no data key (raft-dek): it is not a manager's")
    return found


def _certificates(place: StateDir, key_pem: bytes) -> NodeCertificates:
    """The one that belongs to the key; a renewal that was cut short left it under another name."""
    root, path = place.root_ca.read_bytes(), place.node_certificate
    why = ""
    for candidate in (path, path.with_name(f".{path.name}")):
        with contextlib.suppress(FileNotFoundError):
            try:
                found = NodeCertificates.of(root, candidate.read_bytes(), key_pem)
            except BadCertificateError as error:
                why = why or str(error)
                continue
            if found.identity.role != MANAGER:
                raise CorruptStateError(f"{candidate} is a {found.identity.role}'s, no manager's")
            return found
    raise damaged(str(path), why or "it is missing")
