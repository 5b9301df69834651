"""The data key, which seals the store: kept in the headers of the node's key file, as by SwarmKit.

    raft-dek            the key in use: base 64 of a MaybeEncryptedRecord
    raft-dek-pending    the next one; the store is on its way from one to the other
    kek-version         the version of the cluster object whose unlock key seals the file

Without an unlock key the record is in the clear: the file is worth as much as the store. With one,
the record is sealed too (Fernet, one of the two forms that SwarmKit reads). A data key that once
lay on the disk in the clear does not protect a locked manager, so locking brings a new one. Where
several managers share the key with the store, it is their leader that brings it, and when the store
is under which one is said in the store itself (swarmd.store.etcd.key_record).
"""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from google.protobuf.message import DecodeError

from swarmd import api
from swarmd.security import key_file, unlock_key
from swarmd.security.certificates import new_request
from swarmd.security.encryption import KEY_BYTES, Sealer
from swarmd.security.key_file import KEK_VERSION

_CURRENT: Final = "raft-dek"
_PENDING: Final = "raft-dek-pending"
_Algorithm = api.MaybeEncryptedRecord.Algorithm


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The key in use, and the next one while there is one."""

    current: bytes
    pending: bytes = b""

    @property
    def all(self) -> tuple[bytes, ...]:
        """The oldest first."""
        return (self.current, self.pending) if self.pending else (self.current,)

    def sealer(self, home: Path) -> Sealer:
        """Seals under the newest of them, and opens what either sealed."""
        return Sealer(self.pending or self.current, home, [self.current] if self.pending else [])


def open_data_keys(path: Path) -> DataKeys:
    """The data keys in this key file; where it has none, or is not there, it has one afterwards.

    Raises LockedError, CorruptStateError or OSError.
    """
    with key_file.exclusive(path):
        found = key_file.read(path) if path.exists() else key_file.KeyFile(new_request()[1], {})
        if _CURRENT in found.headers:
            return _keys(path, found.headers)
        keys = DataKeys(os.urandom(KEY_BYTES))
        _write(path, found, keys)
        return keys


def read_data_keys(path: Path) -> DataKeys | None:
    """The same, of a file that is only looked at; None where it has none."""
    found = key_file.read(path)
    return _keys(path, found.headers) if _CURRENT in found.headers else None


def adopt(path: Path, keys: Sequence[bytes]) -> DataKeys:
    """Have exactly these in the file, the oldest first; raises as `open_data_keys`.

    They are what the managers share.
    """
    assert [KEY_BYTES] * len(keys) == [len(key) for key in keys]
    adopted = DataKeys(*keys)
    with key_file.exclusive(path):
        _write(path, key_file.read(path), adopted)
    return adopted


def finish(path: Path) -> None:
    """The store is under the pending key now: it becomes the current one."""
    with key_file.exclusive(path):
        found = key_file.read(path)
        keys = _keys(path, found.headers)
        if keys.pending:
            _write(path, found, DataKeys(keys.pending))


def discard(path: Path) -> None:
    """Leave the file as a worker has it, with no data key, and not sealed; raises as `lock`."""
    with key_file.exclusive(path):
        found = key_file.read(path)
        kept = {k: v for k, v in found.headers.items() if k not in {_CURRENT, _PENDING}}
        key_file.write(path, found.pem, {**kept, **key_file.FIRST_HEADERS})


def lock(path: Path, key: bytes, version: int, *, replaceable: bool = True) -> DataKeys:
    """Seal the file under this unlock key (with an empty one, unseal it), as of that version.

    What was in the clear until now gets a new, pending data key, where that can be replaced. Does
    nothing to a file that is so already, or of a later version. Raises LockedError,
    CorruptStateError or OSError.
    """
    with key_file.exclusive(path):
        found = key_file.read(path)
        keys, was = _keys(path, found.headers), key_file.sealing(path)
        if key == was or kek_version(found) >= version:
            return keys
        if replaceable and not was and not keys.pending:
            keys = replace(keys, pending=os.urandom(KEY_BYTES))
        headers = {**found.headers, KEK_VERSION: str(version)}
        _write(path, key_file.KeyFile(found.pem, headers), keys, key)
        return keys


def kek_version(found: key_file.KeyFile) -> int:
    version = found.headers.get(KEK_VERSION, "0")
    return int(version) if version.isdecimal() else 0


def _write(path: Path, found: key_file.KeyFile, keys: DataKeys, key: bytes | None = None) -> None:
    """With these data keys, under that unlock key, or under the one that it was under."""
    sealing = key_file.sealing(path) if key is None else key
    headers = {**key_file.FIRST_HEADERS, **found.headers, _CURRENT: _record(keys.current, sealing)}
    headers.pop(_PENDING, None)
    if keys.pending:
        headers[_PENDING] = _record(keys.pending, sealing)
    key_file.write(path, found.pem, headers, sealing)


def _keys(path: Path, headers: key_file.Headers) -> DataKeys:
    found = [
        _open(path, name, headers[name]) if name in headers else b""
        for name in (_CURRENT, _PENDING)
    ]
    return DataKeys(*found)


def _record(data_key: bytes, key: bytes) -> str:
    record = api.MaybeEncryptedRecord(data=data_key)
    if key:
        record.algorithm = _Algorithm.FERNET_AES_128_CBC
        record.data = _fernet(key).encrypt(data_key)
    return base64.b64encode(record.SerializeToString()).decode()


def _open(path: Path, name: str, text: str) -> bytes:
    try:
        record = api.MaybeEncryptedRecord.FromString(base64.b64decode(text, validate=True))
        opened = _opened(record, unlock_key.remembered(path))
    except (ValueError, DecodeError, InvalidToken) as error:
        raise key_file.corrupt(path, f"its header {name} cannot be read") from error
    if len(opened) != KEY_BYTES:
        raise key_file.corrupt(path, f"its header {name} holds no data key")
    return opened


def _opened(record: api.MaybeEncryptedRecord, key: bytes) -> bytes:
    if record.algorithm == _Algorithm.NONE:
        return record.data
    if record.algorithm == _Algorithm.FERNET_AES_128_CBC and key:
        return _fernet(key).decrypt(record.data)
    raise ValueError(f"sealed by {record.algorithm}, which is not known here")


def _fernet(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))
