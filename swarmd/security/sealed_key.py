"""A private key sealed with an unlock key, byte for byte as SwarmKit seals it.

PKCS#8 EncryptedPrivateKeyInfo: PBES2 with PBKDF2 (SHA-1, 2048 rounds) and AES-256-CBC. Libraries
write a newer variant, which SwarmKit cannot read; so the little DER there is, is written here. The
few rounds do no harm: the unlock key is 32 random bytes, not a word that could be guessed.
"""

import os
from typing import Final

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

_ROUNDS: Final = 2048
_SALT_BYTES: Final = 8
_BLOCK_BYTES: Final = 16
_KEY_BYTES: Final = 32
_SEQUENCE: Final = 0x30
_OCTETS: Final = 0x04
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")
_ROUNDS_DER: Final = bytes.fromhex("02020800")
_SHORT_LENGTH: Final = 0x80


def seal(key_der: bytes, unlock_key: bytes) -> bytes:
    """An unsealed PKCS#8 key as EncryptedPrivateKeyInfo (DER)."""
    salt, iv = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BYTES)
    kdf = PBKDF2HMAC(hashes.SHA1(), _KEY_BYTES, salt, _ROUNDS)  # noqa: S303 - SwarmKit's format
    padder = padding.PKCS7(_BLOCK_BYTES * 8).padder()
    encryptor = Cipher(algorithms.AES(kdf.derive(unlock_key)), modes.CBC(iv)).encryptor()
    padded = padder.update(key_der) + padder.finalize()
    sealed = encryptor.update(padded) + encryptor.finalize()
    derivation = _der(_SEQUENCE, _PBKDF2, _der(_SEQUENCE, _der(_OCTETS, salt), _ROUNDS_DER))
    cipher = _der(_SEQUENCE, _AES256_CBC, _der(_OCTETS, iv))
    scheme = _der(_SEQUENCE, _PBES2, _der(_SEQUENCE, derivation, cipher))
    return _der(_SEQUENCE, scheme, _der(_OCTETS, sealed))


def unseal(sealed_der: bytes, unlock_key: bytes) -> bytes:
    """The key as unsealed PKCS#8 (DER); raises ValueError for a wrong unlock key."""
    try:
        key = serialization.load_der_private_key(sealed_der, unlock_key)
    except (TypeError, ValueError) as error:
        raise ValueError("the unlock key does not open it") from error
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < _SHORT_LENGTH:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _SHORT_LENGTH | len(length)]) + length + content
