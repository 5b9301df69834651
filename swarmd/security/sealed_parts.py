"""A file of parts, sealed one by one: read in their order, all of them, or not at all.

    "swarmd backup\\n" | form 01 | kind | log2 N | salt, 16 bytes | proof, 16 bytes
    then, for each part:  length, 4 bytes | AES-256-GCM of the part, deflated

The kind says what opens it: a passphrase (01), stretched by scrypt with that N, r = 8, p = 1; or a
recovery key (02), 32 bytes, with no N. HKDF-SHA256 makes of it, and of the salt, one key for the
parts and one for the proof: an HMAC of what stands before it, which tells a wrong passphrase from
damage, and lets no file open under two passphrases.

A part's nonce is its number, 11 bytes, and 01 where it is the last one, else 00. The salt is fresh
for each file, so no key ever sees a nonce twice. So nothing can be cut off, left out, put elsewhere
or changed without being found.
"""

import hmac
import os
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from swarmd.errors import CannotBootError, CorruptStateError, PermissionDeniedError

_MAGIC: Final = b"swarmd backup\n"
_FORM: Final = 1
_SALT_BYTES: Final = 16
_PROOF_BYTES: Final = 16
_LENGTH_BYTES: Final = 4
_COUNT_BYTES: Final = 11
_KEY_BYTES: Final = 32
_LOG_N: Final = 17  # 128 MiB and half a second
_MOST_LOG_N: Final = 20  # what a file may ask of its reader: 1 GiB
_MOST_PART: Final = 64 << 20
_DEFLATE: Final = 1  # messages shrink to a sixth of their size as fast as a disk writes


class Kind(IntEnum):
    """What opens a file."""

    PASSPHRASE = 1
    RECOVERY_KEY = 2


@dataclass(frozen=True, slots=True)
class Head:
    """How a file begins; `place` is its name, for who has to be told what is wrong with it."""

    kind: Kind
    log_n: int
    salt: bytes
    proof: bytes = b""
    place: str = ""

    @classmethod
    def fresh(cls, kind: Kind) -> Self:
        log_n = _LOG_N if kind is Kind.PASSPHRASE else 0
        return cls(kind, log_n, os.urandom(_SALT_BYTES))

    @classmethod
    def read(cls, file: BinaryIO, place: str) -> Self:
        """Raises CorruptStateError for what is no backup, CannotBootError for one of a later form.

        May raise OSError too.
        """
        magic = file.read(len(_MAGIC))
        rest = file.read(3 + _SALT_BYTES + _PROOF_BYTES)
        if magic != _MAGIC:
            raise CorruptStateError(f"{place} is not a backup of swarmd")
        if rest and rest[0] > _FORM:
            raise CannotBootError(
                f"{place} was written by a newer swarmd (its form is {rest[0]}, this one knows "
                f"{_FORM}): use that one"
            )
        try:
            form, kind, log_n = rest[0], Kind(rest[1]), rest[2]
        except (IndexError, ValueError) as error:
            raise damaged(place, "its head is not sound") from error
        if form != _FORM or log_n > _MOST_LOG_N or len(rest) != 3 + _SALT_BYTES + _PROOF_BYTES:
            raise damaged(place, "its head is not sound")
        return cls(kind, log_n, rest[3:-_PROOF_BYTES], rest[-_PROOF_BYTES:], place)

    @property
    def proven(self) -> bytes:
        """What the proof is of."""
        return _MAGIC + bytes([_FORM, self.kind, self.log_n]) + self.salt

    def keys(self, secret: bytes) -> tuple[AESGCM, bytes]:
        """What seals the parts, and the proof; takes the time that scrypt takes."""
        if self.kind is Kind.PASSPHRASE:
            secret = Scrypt(self.salt, _KEY_BYTES, 1 << self.log_n, 8, 1).derive(secret)
        info = b"swarmd backup parts and proof"
        both = HKDF(hashes.SHA256(), 2 * _KEY_BYTES, self.salt, info).derive(secret)
        proof = hmac.digest(both[_KEY_BYTES:], self.proven, "sha256")[:_PROOF_BYTES]
        return AESGCM(both[:_KEY_BYTES]), proof


def passphrase_bytes(text: str) -> bytes:
    """One passphrase, however the keyboard spelt its letters."""
    return unicodedata.normalize("NFC", text).encode()


class PartWriter:
    """Writes the head, then part by part; without the last one, a file is none."""

    def __init__(self, file: BinaryIO, kind: Kind, secret: bytes) -> None:
        head = Head.fresh(kind)
        self._cipher, proof = head.keys(secret)
        self._proven = head.proven
        self._file = file
        self._count = 0
        self.size = file.write(head.proven + proof)
        """The bytes that were written."""

    def write(self, part: bytes, *, last: bool) -> None:
        """Raises OSError."""
        packed = zlib.compress(part, _DEFLATE)
        sealed = self._cipher.encrypt(_nonce(self._count, last=last), packed, self._proven)
        self._count += 1
        self.size += self._file.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)


def open_parts(file: BinaryIO, head: Head, secret: bytes) -> Iterator[bytes]:
    """The parts behind that head, each once it is known to be sound.

    Raises PermissionDeniedError for a wrong passphrase or key, CorruptStateError for damage; may
    raise OSError too.
    """
    cipher, proof = head.keys(secret)
    if not hmac.compare_digest(proof, head.proof):
        name = "passphrase" if head.kind is Kind.PASSPHRASE else "recovery key"
        raise PermissionDeniedError(f"wrong {name} for {head.place}")
    count, sealed = 0, _next(file, head.place, 0)
    while sealed:
        following = _next(file, head.place, count + 1)
        nonce = _nonce(count, last=not following)
        try:
            packed = cipher.decrypt(nonce, sealed, head.proven)
        except InvalidTag as error:
            cut = not following and _opens(cipher, _nonce(count, last=False), sealed, head)
            reason = "it is cut short" if cut else f"part {count + 1} was changed"
            raise damaged(head.place, reason) from error
        yield zlib.decompress(packed)
        count, sealed = count + 1, following
    if not count:
        raise damaged(head.place, "it is cut short")


def damaged(place: str, reason: str) -> CorruptStateError:
    return CorruptStateError(f"{place} is damaged ({reason}): use another copy of it")


def _next(file: BinaryIO, place: str, number: int) -> bytes:
    """The next part, sealed; nothing at the end of the file."""
    start = file.read(_LENGTH_BYTES)
    if not start:
        return b""
    length = int.from_bytes(start, "big")
    if len(start) == _LENGTH_BYTES and not 0 < length <= _MOST_PART:
        raise damaged(place, f"part {number + 1} was changed")
    sealed = file.read(length)
    if len(start) < _LENGTH_BYTES or len(sealed) < length:
        raise damaged(place, "it is cut short")
    return sealed


def _opens(cipher: AESGCM, nonce: bytes, sealed: bytes, head: Head) -> bool:
    try:
        cipher.decrypt(nonce, sealed, head.proven)
    except InvalidTag:
        return False
    return True


def _nonce(count: int, *, last: bool) -> bytes:
    return count.to_bytes(_COUNT_BYTES, "big") + bytes([last])
