"""A backup becomes the state directory of a manager that goes on alone with its cluster.

    read the file whole ─▶ decide (takeover.py) ─▶ make everything in STATE_DIR/restoring
        ─▶ move aside what is there, if that was asked for ─▶ certificates, then store, into place

Until all of it is made, nothing that was there is touched. A crash between the last two steps
leaves certificates without a store: a manager refuses to start on these, and restoring again helps.
"""

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple

from swarmd.api import times
from swarmd.api.protos.backup_pb2 import BackupInfo
from swarmd.errors import CannotBootError, SwarmError, UnavailableError
from swarmd.ids import new_id
from swarmd.security import data_key
from swarmd.security.certificates import BadCertificateError, NodeCertificates
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.root_ca import certify
from swarmd.security.sealed_parts import Head, open_parts
from swarmd.state_dir import PRIVATE_DIR, StateDir
from swarmd.store.backend import Loaded
from swarmd.store.backup import unpack
from swarmd.store.sqlite import SqliteBackend
from swarmd.store.takeover import Takeover, take_over


class Restored(NamedTuple):
    """A backup that was read, and what becomes of it."""

    info: BackupInfo
    before: Loaded
    takeover: Takeover
    certificates: NodeCertificates
    """This host's, of the cluster's own root."""


def read(file: BinaryIO, head: Head, secret: bytes, now: float, random: Random) -> Restored:
    """The backup behind that head, all of it sound.

    Raises PermissionDeniedError for a wrong passphrase, CorruptStateError or CannotBootError for a
    file that cannot be used; may raise OSError too.
    """
    unpacked = unpack(open_parts(file, head, secret), head.place)
    before = Loaded(unpacked.info.version, unpacked.rows)
    takeover = take_over(before, new_id(random), now, head.place)
    return Restored(unpacked.info, before, takeover, _certified(takeover, head.place, now))


async def make(restored: Restored, place: StateDir) -> StateDir:
    """Make store, key and certificates, in a directory within that one; raises UnavailableError."""
    made = StateDir(place.root / "restoring")
    try:
        shutil.rmtree(made.root, ignore_errors=True)  # of one that was cut short
        for path in (made.store.parent, made.root_ca.parent):
            path.mkdir(mode=PRIVATE_DIR, parents=True)
        await _make_store(restored.takeover.store, made)
        restored.certificates.save(made)
    except BaseException as error:
        shutil.rmtree(made.root, ignore_errors=True)
        if isinstance(error, OSError | SwarmError):
            reason = error.strerror if isinstance(error, OSError) else error
            raise UnavailableError(f"nothing in {place.root} was changed: {reason}") from error
        raise
    return made


def put_in_place(made: StateDir, place: StateDir) -> Path | None:
    """Have it be this directory's; where the files went that were there. Raises OSError."""
    there = place.kept()
    aside = _move_aside(there, place) if there else None
    for path in (made.root_ca.parent, made.store.parent):
        target = place.root / path.name
        if target.is_dir():
            target.rmdir()  # an empty one
        path.rename(target)
    made.root.rmdir()
    _sync(place.root)
    return aside


async def _make_store(loaded: Loaded, made: StateDir) -> None:
    keys = data_key.open_data_keys(made.node_key)
    backend = SqliteBackend(made.store, keys.sealer(made.node_key))
    try:
        await backend.load()
        await backend.commit(loaded.version, loaded.rows)
    finally:
        await backend.close()


def _certified(takeover: Takeover, place: str, now: float) -> NodeCertificates:
    cluster = takeover.cluster
    identity = Identity(takeover.node.id, MANAGER, cluster.id)
    expiry = times.seconds(cluster.spec.ca_config.node_cert_expiry)
    try:
        return certify(cluster.root_ca, identity, expiry, now)
    except BadCertificateError as error:
        raise CannotBootError(
            f"{place} has no usable key of the cluster's root CA ({error}), as where an external CA"
            " alone signs: without it no manager can be certified"
        ) from error


def _move_aside(paths: Iterable[Path], place: StateDir) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = place.root / f"before-restore-{stamp}"
    aside.mkdir(mode=PRIVATE_DIR)
    for path in paths:
        path.rename(aside / path.name)
    _sync(aside)
    return aside


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
