"""Seal and open bytes at rest: AES-256-GCM under a data key.

    01 | key id, 4 bytes | nonce, 12 bytes | ciphertext and tag

The nonce is random for each record, which is sound for 2^32 of them under one key. What a record
is bound to (its kind, id and version, say) is authenticated with it: elsewhere it does not open.
The key id tells a wrong key from a damaged record; it is a digest, and gives nothing away.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_FORM: Final = b"\x01"
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_FORM) + _ID_BYTES + _NONCE_BYTES


class NotOpenedError(Exception):
    """The record does not open; `wrong_key` says whether another key sealed it."""

    def __init__(self, reason: str, *, wrong_key: bool = False) -> None:
        super().__init__(reason)
        self.wrong_key = wrong_key


class Sealer:
    """Seals under one key; opens what that key, or one of the `older` ones, sealed.

    `home` is the file that keeps the key, for who has to say what does not fit.
    """

    def __init__(self, key: bytes, home: Path, older: Sequence[bytes] = ()) -> None:
        self.home = home
        self._id = _key_id(key)
        self._ciphers = {_key_id(one): AESGCM(one) for one in (*older, key)}
        self._start = _FORM + self._id

    def seal(self, data: bytes, bound: bytes) -> bytes:
        return self.seal_all(((data, bound),))[0]

    def seal_all(self, records: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Each piece of data with what it is bound to; many at once cost little more than one."""
        random = os.urandom(_NONCE_BYTES * len(records))
        start, encrypt = self._start, self._ciphers[self._id].encrypt
        sealed = []
        for at, (data, bound) in enumerate(records):
            nonce = random[at * _NONCE_BYTES : (at + 1) * _NONCE_BYTES]
            sealed.append(b"".join((start, nonce, encrypt(nonce, data, bound))))
        return sealed

    def open(self, record: bytes, bound: bytes) -> bytes:
        """What was sealed, bound to the same; raises NotOpenedError."""
        if len(record) < _HEAD_BYTES or not record.startswith(_FORM):
            raise NotOpenedError("it is not sealed as this version seals")
        cipher = self._ciphers.get(record[1 : 1 + _ID_BYTES])
        if cipher is None:
            raise NotOpenedError("it was sealed with another data key", wrong_key=True)
        nonce = record[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, record[_HEAD_BYTES:], bound)
        except InvalidTag as error:
            raise NotOpenedError("it was tampered with, or moved from its place") from error

    def is_current(self, record: bytes) -> bool:
        """It is under the key that seals now, not an older one."""
        return record.startswith(self._start)

    def seals_under(self, key_id: str) -> bool:
        return self._id == bytes.fromhex(key_id)

    def seal_under(self, key_id: str) -> None:
        """From here on; raises KeyError for a key that is none of its own."""
        chosen = bytes.fromhex(key_id)
        if chosen not in self._ciphers:
            raise KeyError(key_id)
        self._id, self._start = chosen, _FORM + chosen


def key_id(key: bytes) -> str:
    """By which a key can be named without giving it away."""
    return _key_id(key).hex()


def _key_id(key: bytes) -> bytes:
    assert len(key) == KEY_BYTES
    return hashlib.sha256(b"swarmd data key" + key).digest()[:_ID_BYTES]
