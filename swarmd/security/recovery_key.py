"""The recovery key, which opens one backup: SWMBKP-1-<32 bytes, base 64 without padding>."""

import base64
import binascii
import os
from typing import Final

from swarmd.errors import InvalidArgumentError

KEY_BYTES: Final = 32
_PREFIX: Final = "SWMBKP-1-"


def mint() -> bytes:
    """A fresh one, from the system's randomness: whoever guesses it has the cluster."""
    return os.urandom(KEY_BYTES)


def show(key: bytes) -> str:
    """The key as people keep it."""
    return _PREFIX + base64.b64encode(key).decode().rstrip("=")


def parse(text: str) -> bytes:
    """The key of SWMBKP-1-…; raises InvalidArgumentError, without repeating it."""
    encoded = text.strip().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.strip().startswith(_PREFIX) or len(key) != KEY_BYTES:
        raise InvalidArgumentError(f"invalid recovery key: it has the form {_PREFIX}…")
    return key
