"""Opens what SwarmKit sealed at rest: MaybeEncryptedRecord, of one of its two forms.

NaCl's secretbox (XSalsa20-Poly1305) is what it writes, Fernet where FIPS mode is demanded.
"""

import base64
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from google.protobuf.message import DecodeError
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarmd import api
from swarmd.security.encryption import KEY_BYTES, NotOpenedError

_Algorithm: Final = api.MaybeEncryptedRecord.Algorithm


class RecordOpener:
    """Opens what any of these keys sealed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        sound = [key for key in keys if len(key) == KEY_BYTES]
        self._boxes = [SecretBox(key) for key in sound]
        self._fernets = [Fernet(base64.urlsafe_b64encode(key)) for key in sound]

    def open(self, sealed: bytes, *, clear: bool = False) -> bytes:
        """What was sealed; raises NotOpenedError. `clear`: it may be in the clear too."""
        try:
            record = api.MaybeEncryptedRecord.FromString(sealed)
        except DecodeError as error:
            raise NotOpenedError("it is not sealed as SwarmKit seals") from error
        if record.algorithm == _Algorithm.NONE and clear:
            return record.data
        if record.algorithm == _Algorithm.SECRETBOX_SALSA20_POLY1305:
            return self._from_boxes(record)
        if record.algorithm == _Algorithm.FERNET_AES_128_CBC:
            return self._from_fernets(record)
        raise NotOpenedError(f"it is sealed in the unknown form {record.algorithm}")

    def _from_boxes(self, record: api.MaybeEncryptedRecord) -> bytes:
        for box in self._boxes:
            try:
                return box.decrypt(record.data, record.nonce)
            except (CryptoError, ValueError):
                continue
        raise NotOpenedError("another key sealed it, or it was tampered with", wrong_key=True)

    def _from_fernets(self, record: api.MaybeEncryptedRecord) -> bytes:
        for fernet in self._fernets:
            try:
                return fernet.decrypt(record.data)
            except InvalidToken:
                continue
        raise NotOpenedError("another key sealed it, or it was tampered with", wrong_key=True)
