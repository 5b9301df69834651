"""The unlock key, which seals a manager's key file: SWMKEY-1-<32 bytes, base 64 without padding>.

A process keeps in memory the key with which a file was unlocked, since whoever replaces the node's
certificate has to seal its key again. It is kept for the file, as there is one node a file.
"""

import base64
import binascii
from pathlib import Path
from random import Random
from typing import Final

from swarmd.errors import InvalidArgumentError

KEY_BYTES: Final = 32
_PREFIX: Final = "SWMKEY-1-"
_known: dict[Path, bytes] = {}


def mint(random: Random) -> bytes:
    return random.randbytes(KEY_BYTES)


def show(key: bytes) -> str:
    """The key as people keep it."""
    return _PREFIX + base64.b64encode(key).decode().rstrip("=")


def parse(text: str) -> bytes:
    """The key of SWMKEY-1-…; raises InvalidArgumentError, without repeating it."""
    encoded = text.strip().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.strip().startswith(_PREFIX) or len(key) != KEY_BYTES:
        raise InvalidArgumentError(f"invalid unlock key: it has the form {_PREFIX}…")
    return key


def remember(file: Path, key: bytes) -> None:
    """This key opens that file, and seals what is written there; an empty one is none."""
    _known[file] = key


def remembered(file: Path) -> bytes:
    """Empty where none is known."""
    return _known.get(file, b"")
